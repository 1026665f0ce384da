-- name: TakeTokens :one
-- Takes up to @n whole tokens of a bucket that refills at @rate per second up to
-- @burst: none when there is not one. No row: there is no such bucket yet.
with b as (
    select o.name, least(@burst::float8, o.tokens + greatest(extract(epoch from now() - o.at), 0) * @rate::float8) as filled
    from token_bucket o where o.name = @name for update
)
update token_bucket t
set tokens = b.filled - least(@n::float8, floor(b.filled)), at = greatest(t.at, now())
from b where t.name = b.name
returning least(@n::float8, floor(b.filled))::integer as taken, t.tokens;

-- name: FillBucket :exec
insert into token_bucket (name, tokens, at) values (@name, @burst::float8, now()) on conflict (name) do nothing;

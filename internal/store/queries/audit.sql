-- name: LastSeal :one
select * from audit_seal order by n desc limit 1;

-- name: CompleteBefore :one
-- Every transaction below has ended.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as upto;

-- name: SealInsert :exec
insert into audit_seal (n, at, upto, lines, heads, root, prev_hash, hash, mac)
values (@n, @at, @upto, @lines, @heads, @root, @prev_hash, @hash, @mac);

-- name: Seals :many
select * from audit_seal order by n;

-- name: SealedHeadsThatDiffer :many
-- Sealed lines that are gone, or are no longer what was sealed.
select a.n, a.request_id, a.seq, (h.hash is null)::boolean as gone
from audit_head a
left join history h on h.request_id = a.request_id and h.seq = a.seq
where h.hash is distinct from a.hash
order by a.n, a.request_id
limit @max_rows;

-- name: CountUnsealed :one
select count(*) from history h
where not exists (select from audit_head a where a.request_id = h.request_id and a.seq >= h.seq);

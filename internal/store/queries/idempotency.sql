-- name: TryLockKey :one
-- False when another transaction holds the key.
select pg_try_advisory_xact_lock(hashtextextended(@key::text, 0))::boolean;

-- name: IdempotentAnswer :one
select hash, status, header, body, sealed, created_at from idempotent_answer where caller = @caller and key = @key;

-- name: SaveIdempotentAnswer :exec
-- One that is over is replaced.
insert into idempotent_answer (caller, key, hash, status, header, body, sealed, created_at)
values (@caller, @key, @hash, @status, @header, @body, @sealed, @created_at)
on conflict (caller, key) do update
set hash = excluded.hash, status = excluded.status, header = excluded.header, body = excluded.body, sealed = excluded.sealed, created_at = excluded.created_at;

-- name: PurgeIdempotentAnswers :execrows
delete from idempotent_answer
where (caller, key) in (select a.caller, a.key from idempotent_answer a where a.created_at < @before order by a.created_at limit @max_rows);

-- name: SealingProcessSeen :exec
insert into sealing_process (id, name, active, keys, seen_at) values (@id, @name, @active, @keys, now())
on conflict (id) do update set active = excluded.active, keys = excluded.keys, seen_at = excluded.seen_at;

-- name: SealingProcessGone :exec
delete from sealing_process where id = @id;

-- name: SealingProcesses :many
-- Those seen lately; a row that was not is a process that was killed.
select * from sealing_process where seen_at > now() - interval '1 minute' order by name, id;

-- name: PurgeSealingProcesses :execrows
delete from sealing_process where seen_at < now() - interval '1 day';

-- name: InsertTask :execrows
insert into hand_task (id, manager, key, kind, credential_id, request_id, definition, rights, instructions, wants_key, wants_reference, replaces, grace_ms, ends_at, asked_at, mails, mailed_at, remind_at)
values (@id, @manager, @key, @kind, @credential_id, @request_id, @definition, @rights, @instructions, @wants_key, @wants_reference, @replaces, @grace_ms, @ends_at, @asked_at, @mails, @mailed_at, @remind_at)
on conflict (manager, key) do nothing;

-- name: TaskByKey :one
select * from hand_task where manager = @manager and key = @key;

-- name: TaskByID :one
select * from hand_task where id = @id;

-- name: LockTask :one
select * from hand_task where id = @id for update;

-- name: LockRefusedTasks :many
select * from hand_task where credential_id = @credential_id and state = 'refused' order by asked_at for update;

-- name: UpdateTask :exec
update hand_task
set state = @state, secret_sealed = @secret_sealed, reference = @reference, reason = @reason, asked_at = @asked_at, answered_at = @answered_at, mails = @mails, mailed_at = @mailed_at, remind_at = @remind_at
where id = @id;

-- name: WithdrawTask :execrows
update hand_task set state = 'withdrawn', answered_at = @at, remind_at = null
where manager = @manager and key = @key and state = 'waiting';

-- name: DropTaskSecrets :exec
update hand_task set secret_sealed = null where credential_id = @credential_id and secret_sealed is not null;

-- name: TasksToRemind :many
select id from hand_task where state = 'waiting' and remind_at <= @now order by remind_at limit @max_rows;

-- name: WaitingTasks :many
select id, manager, key, kind, definition, request_id, credential_id, asked_at, mails, mailed_at, remind_at from hand_task
where state = 'waiting'
order by asked_at
limit @max_rows;

-- name: CredentialByRef :one
select * from credential where manager = @manager and ref = @ref;

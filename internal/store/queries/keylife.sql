-- name: InsertRotation :exec
insert into rotation (credential_id, old_id, grace_ms, reason, asked_at, asked_by)
values (@credential_id, @old_id, @grace_ms, @reason, @asked_at, @asked_by);

-- name: RotationInto :one
select * from rotation where credential_id = @credential_id;

-- name: RotationOf :one
-- The last rotation that replaces a credential.
select * from rotation where old_id = @old_id order by asked_at desc, credential_id limit 1;

-- name: SettleRotation :exec
update rotation set overlap = @overlap, rotated_at = @rotated_at where credential_id = @credential_id;

-- name: CredentialsNearEnd :many
-- Live credentials that end before a moment, soonest first, from a place on.
select id, expires_at from credential
where state in ('active', 'expiring', 'suspended', 'rotating') and expires_at < @before
  and (expires_at, id) > (@after_end::timestamptz, @after_id::uuid)
order by expires_at, id limit @max_rows;

-- name: InsertNotice :execrows
insert into expiry_notice (credential_id, days, expires_at, sent_at) values (@credential_id, @days, @expires_at, @sent_at)
on conflict do nothing;

-- name: NoticesOf :many
select days from expiry_notice where credential_id = @credential_id and expires_at = @expires_at order by days;

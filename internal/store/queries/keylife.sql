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

-- name: CredentialsOfHabilitation :many
select * from credential where request_id = @request_id and habilitation_id = @habilitation_id order by number;

-- name: DefinitionsWithLiveKeys :many
select distinct definition from credential where state in ('active', 'expiring');

-- name: CredentialsIssuedBefore :many
-- Live credentials of a definition that were issued before a moment, oldest first, from a place on.
select id, issued_at from credential
where definition = @definition and state in ('active', 'expiring') and issued_at < @before
  and (issued_at, id) > (@after_issued::timestamptz, @after_id::uuid)
order by issued_at, id limit @max_rows;

-- name: CredentialsByKey :many
-- Live credentials whose token a signing key signed, from a place on.
select id from credential
where state in ('active', 'expiring') and handle -> 'extra' ->> 'kid' = @kid::text and id > @after_id::uuid
order by id limit @max_rows;

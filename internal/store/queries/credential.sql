-- name: InsertCredential :exec
insert into credential (id, request_id, habilitation_id, definition, manager, number, ref, state, scopes, replaces, expires_at, allowed_ips, created_at, updated_at)
values (@id, @request_id, @habilitation_id, @definition, @manager, @number, @ref, @state, @scopes, @replaces, @expires_at, @allowed_ips, @created_at, @updated_at);

-- name: NextCredentialNumber :one
select coalesce(max(number), 0)::integer + 1 from credential where request_id = @request_id;

-- name: CredentialByID :one
select * from credential where id = @id;

-- name: LockCredential :one
select * from credential where id = @id for update;

-- name: CredentialByFingerprint :one
select * from credential where fingerprint = @fingerprint::bytea limit 1;

-- name: CredentialsOfRequest :many
select * from credential where request_id = @request_id order by number;

-- name: LockCredentialsOfRequest :many
-- Steps lock their credential alone: whoever means to save the rows of a request must hold them.
select * from credential where request_id = @request_id order by number for update;

-- name: UpdateCredential :exec
update credential
set state = @state, manager = @manager, habilitation_id = @habilitation_id, scopes = @scopes, grants_pending = @grants_pending, secret_sealed = @secret_sealed,
    fingerprint = @fingerprint, hint = @hint, subject_id = @subject_id, handle = @handle, expires_at = @expires_at,
    issued_at = @issued_at, old_until = @old_until, revoked_at = @revoked_at, verified_at = @verified_at,
    reason = @reason, prolong_until = @prolong_until, allowed_ips = @allowed_ips, updated_at = @updated_at
where id = @id;

-- name: UnassignedDefinitions :many
select distinct definition from credential where manager = '' and state = 'requested';

-- name: UnassignedCredentials :many
select id from credential
where manager = '' and state = 'requested' and definition = any (@definitions::text[])
order by created_at
limit @max_rows;

-- name: UpsertStep :exec
insert into provisioning_step (credential_id, name, state, attempts, class, detail, started_at, finished_at, retry_at)
values (@credential_id, @name, @state, @attempts, @class, @detail, @started_at, @finished_at, @retry_at)
on conflict (credential_id, name) do update
set state = excluded.state, attempts = provisioning_step.attempts + excluded.attempts, class = excluded.class, detail = excluded.detail,
    started_at = coalesce(provisioning_step.started_at, excluded.started_at), finished_at = excluded.finished_at, retry_at = excluded.retry_at;

-- name: StepsOf :many
select * from provisioning_step where credential_id = @credential_id order by started_at nulls last, name;

-- name: WaitingCredentials :many
-- What waits and why: every credential that is neither live nor final, with its
-- unfinished step and whose it is. An old key within its overlap waits for nobody.
select c.id, c.request_id, r.external_id, o.name as organization, c.definition, c.manager, c.ref, c.state, c.reason, c.created_at, c.updated_at,
       coalesce(s.name, '') as step, coalesce(s.state, '') as step_state, coalesce(s.attempts, 0)::integer as attempts,
       coalesce(s.class, '') as class, coalesce(s.detail, '') as detail, s.retry_at
from credential c
join request r on r.id = c.request_id
join organization o on o.id = r.organization_id
left join lateral (
    select * from provisioning_step p where p.credential_id = c.id and p.state <> 'done'
    order by p.started_at desc nulls last limit 1) s on true
where (c.state in ('requested', 'prepared', 'issuing', 'revoking', 'revoked_at_hub', 'failed', 'rotating') or c.grants_pending or c.prolong_until is not null)
  and not (c.state = 'rotating' and c.old_until > now() and not c.grants_pending)
order by c.updated_at
limit @max_rows;

-- name: TakeLease :one
-- Takes or renews a lease, by the database's clock; no row when another holds it.
insert into lease (name, holder, until) values (@name, @holder, now() + make_interval(secs => @seconds::float8))
on conflict (name) do update set holder = excluded.holder, until = excluded.until
where lease.until < now() or lease.holder = excluded.holder
returning holder;

-- name: ReleaseLease :exec
delete from lease where name = @name and holder = @holder;

-- name: LockSigningKeys :exec
-- One replica at a time decides whether a key must be made.
select pg_advisory_xact_lock(hashtextextended('signing_key/' || @purpose::text, 0));

-- name: InsertSigningKey :exec
insert into signing_key (kid, purpose, alg, public_jwk, private_sealed, created_at, sign_from, retire_at, remove_at)
values (@kid, @purpose, @alg, @public_jwk, @private_sealed, @created_at, @sign_from, @retire_at, @remove_at);

-- name: SigningKeys :many
select * from signing_key where purpose = @purpose order by sign_from, kid;

-- name: DeleteSigningKey :exec
delete from signing_key where purpose = @purpose and kid = @kid;

-- name: GetRecord :one
select value from connector_record where connector = @connector and key = @key;

-- name: PutRecord :exec
insert into connector_record (connector, key, value) values (@connector, @key, @value)
on conflict (connector, key) do update set value = excluded.value, updated_at = now();

-- name: PutNewRecord :execrows
insert into connector_record (connector, key, value) values (@connector, @key, @value)
on conflict (connector, key) do nothing;

-- name: DeleteRecord :exec
delete from connector_record where connector = @connector and key = @key;

-- name: TakeFromBucket :one
-- Takes one token of a bucket that refills at rate per second up to burst; taken is false when it must wait.
insert into token_bucket as b (name, tokens, at)
values (@name, @after_first::float8, now())
on conflict (name) do update
set tokens = case when least(@burst::float8, b.tokens + extract(epoch from now() - b.at) * @rate::float8) >= 1
                  then least(@burst::float8, b.tokens + extract(epoch from now() - b.at) * @rate::float8) - 1 else b.tokens end,
    at = case when least(@burst::float8, b.tokens + extract(epoch from now() - b.at) * @rate::float8) >= 1 then now() else b.at end
returning (at = now())::boolean as taken, tokens, at;

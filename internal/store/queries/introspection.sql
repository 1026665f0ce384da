-- name: LiveCredential :one
-- What introspection says of a credential, in one read.
select c.id, c.request_id, c.definition, c.state, c.scopes, c.expires_at, c.issued_at, c.old_until, c.allowed_ips,
       coalesce(o.siret, '')::text as siret
from credential c
join request r on r.id = c.request_id
join organization o on o.id = r.organization_id
where c.id = @id;

-- name: CredentialIDByFingerprint :one
select id from credential where fingerprint = @fingerprint::bytea order by number desc limit 1;

-- name: CredentialChanges :one
-- What changed since a transaction, the transaction to go on from, and the signing keys: one statement is one snapshot.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as next,
       coalesce((select array_agg(distinct c.credential_id) from credential_change c where c.xid >= (@since::bigint)::text::xid8), '{}')::uuid[] as changed,
       coalesce((select string_agg(k.kid, ' ' order by k.kid) from signing_key k where k.purpose = @purpose), '')::text as keys;

-- name: PurgeCredentialChanges :execrows
delete from credential_change where at < @before;

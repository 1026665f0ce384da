-- name: InsertApplication :exec
insert into api_client (id, name, owner_id, secret_sha256, hint, scopes, definitions, editor)
values (@id, @name, @owner_id, @secret_sha256, @hint, @scopes, @definitions, @editor);

-- name: ApplicationByID :one
select * from api_client where id = @id and disabled_at is null;

-- name: ApplicationBySecret :one
select * from api_client where secret_sha256 = @secret_sha256 and disabled_at is null;

-- name: Applications :many
select c.id, c.name, c.hint, c.scopes, c.definitions, c.editor, c.created_at, c.disabled_at, coalesce(p.email, '')::text as owner
from api_client c
left join person p on p.id = c.owner_id
order by c.created_at, c.id;

-- name: DisableApplication :execrows
update api_client set disabled_at = @at where id = @id and disabled_at is null;

-- name: DisableApplicationsOf :execrows
update api_client set disabled_at = @at where owner_id = @owner_id and disabled_at is null;

-- name: InsertAccessToken :exec
insert into access_token (sha256, client_id, scopes, created_at, expires_at)
values (@sha256, @client_id, @scopes, @created_at, @expires_at);

-- name: AccessToken :one
select sqlc.embed(t), sqlc.embed(c)
from access_token t
join api_client c on c.id = t.client_id
where t.sha256 = @sha256;

-- name: RevokeAccessToken :execrows
update access_token set revoked_at = @at where sha256 = @sha256 and client_id = @client_id and revoked_at is null;

-- name: PurgeAccessTokens :execrows
delete from access_token
where sha256 in (select t.sha256 from access_token t where t.expires_at < @before limit @max_rows);

-- name: PersonByIdentity :one
select p.* from person p
where p.id = (select i.person_id from person_identity i where i.issuer = @issuer and i.subject = @subject);

-- name: PersonWithMemberships :many
-- The same with his organisations, a row each; one row without where he has none. The person is found first: as one
-- more join, a plan could walk through everybody.
select sqlc.embed(p), m.verified, o.id as organization_id, o.siret, o.name, o.insee_payload
from person p
left join membership m on m.person_id = p.id
left join organization o on o.id = m.organization_id
where p.id = (select i.person_id from person_identity i where i.issuer = @issuer and i.subject = @subject)
order by o.id;

-- name: BindIdentity :exec
insert into person_identity (issuer, subject, person_id) values (@issuer, @subject, @person_id)
on conflict (issuer, subject) do nothing;

-- name: IdentitySubject :one
select subject from person_identity where person_id = @person_id and issuer = @issuer;

-- name: UnbindIdentities :execrows
delete from person_identity where person_id = @person_id;

-- name: LockPerson :one
select * from person where id = @id and source = '' for update;

-- name: PeopleWithRoles :many
select * from person where source = '' and roles <> '{}' order by email;

-- name: InsertRoleChange :exec
insert into role_change (person_id, at, actor, granted, revoked) values (@person_id, @at, @actor, @granted, @revoked);

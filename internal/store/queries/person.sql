-- name: PersonByID :one
select * from person where id = @id and source = '';

-- name: PeopleByID :many
select * from person where id = any (@ids::bigint[]) and source = '';

-- name: PersonByEmail :one
select * from person where email = @email and source = '';

-- name: UpsertPerson :one
-- A native person, made or completed: only what is blank is filled.
insert into person (source, email, given_name, family_name, phone_number, job_title)
values ('', @email, @given_name, @family_name, @phone_number, @job_title)
on conflict (email) where source = ''
do update set given_name = coalesce(nullif(person.given_name, ''), excluded.given_name),
              family_name = coalesce(nullif(person.family_name, ''), excluded.family_name),
              phone_number = coalesce(nullif(person.phone_number, ''), excluded.phone_number),
              job_title = coalesce(nullif(person.job_title, ''), excluded.job_title), updated_at = now()
returning *;

-- name: SetRoles :execrows
update person set roles = @roles, updated_at = now() where id = @id and source = '';

-- name: OrganizationByID :one
select * from organization where id = @id and source = '';

-- name: OrganizationBySIRET :one
select * from organization where siret = @siret and source = '';

-- name: InsertOrganization :exec
insert into organization (source, siret, name) values ('', @siret, @name)
on conflict (siret) where source = '' do nothing;

-- name: LinkPerson :exec
-- A link once verified stays verified.
insert into membership (person_id, organization_id, verified) values (@person_id, @organization_id, @verified)
on conflict (person_id, organization_id) do update set verified = membership.verified or excluded.verified
where not membership.verified and excluded.verified;

-- name: Membership :one
select * from membership where person_id = @person_id and organization_id = @organization_id;

-- name: MembershipsOf :many
select sqlc.embed(membership), sqlc.embed(organization) from membership
join organization on organization.id = membership.organization_id
where membership.person_id = @person_id
order by organization.id;

-- name: ReportersWanting :many
-- Who holds one of these roles and has not switched that mail off.
select * from person
where source = '' and roles && @roles::text[]
  and not exists (select from mail_setting s where s.person_id = person.id and s.definition = @definition and s.kind = @kind and not s.enabled)
order by id;

-- name: SetMailSetting :exec
insert into mail_setting (person_id, definition, kind, enabled) values (@person_id, @definition, @kind, @enabled)
on conflict (person_id, definition, kind) do update set enabled = excluded.enabled, updated_at = now();

-- name: MailSettingsOf :many
select definition, kind, enabled from mail_setting where person_id = @person_id order by definition, kind;

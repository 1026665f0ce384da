-- name: LockExternalRequest :exec
-- One writer per mirrored request, also before its row exists.
select pg_advisory_xact_lock(hashtextextended(@key::text, 0));

-- name: RequestIDByExternal :one
select id from request where source = @source and external_id = @external_id;

-- name: RequestIDsByExternal :many
select id from request where source = @source and external_id = any (@external_ids::bigint[]);

-- name: MirroredStates :many
select h.external_id, h.state
from habilitation h
join request r on r.id = h.request_id
where r.source = @source and h.external_id = any (@external_ids::bigint[]);

-- name: ExternalOrganizationName :one
select name from organization where source = @source and external_id = @external_id;

-- name: WholeRequests :many
-- Requests with their holders and, as JSON, their habilitations, oldest first. The
-- ids come by a query of their own: the planner cannot count them, and keeps one plan.
select r.id, r.origin, r.source, r.external_id, r.public_id, r.definition, r.form, r.state, r.reopening, r.data, r.created_at,
       r.service_provider_id, r.service_provider_siret, r.service_provider_type, r.terms_accepted, r.dpo_informed, r.last_submitted_at,
       r.last_validated_at, r.reopened_at, r.applied_at, r.version,
       o.id as organization_id, o.external_id as organization_external_id, o.siret, o.name, o.insee_payload,
       p.id as person_id, p.external_id as person_external_id, p.uid, p.email, p.given_name, p.family_name, p.phone_number, p.job_title,
       (select coalesce(json_agg(json_build_object(
            'id', h.id, 'external_id', h.external_id, 'definition', h.definition, 'form', h.form, 'state', h.state, 'parent_id', h.parent_id,
            'data', h.data, 'organization', h.organization, 'applicant', h.applicant, 'message', h.message, 'created_at', h.created_at) order by h.id), '[]')
        from habilitation h where h.request_id = r.id)::json as habilitations
from request r
join organization o on o.id = r.organization_id
join person p on p.id = r.applicant_id
where r.id = any ((select @ids::bigint[])::bigint[]);

-- name: LockRequest :one
select id from request where id = @id for update;

-- name: InsertRequest :one
with made as (
    insert into request (origin, source, external_id, public_id, definition, form, state, reopening, data, organization_id, applicant_id,
                         service_provider_id, service_provider_siret, service_provider_type, created_at, terms_accepted, dpo_informed,
                         last_submitted_at, last_validated_at, reopened_at, applied_at, updated_at, definition_set, words)
    values (@origin, @source, @external_id, @public_id, @definition, @form, @state, @reopening, @data, @organization_id, @applicant_id,
            @service_provider_id, @service_provider_siret, @service_provider_type, @created_at, @terms_accepted, @dpo_informed,
            @last_submitted_at, @last_validated_at, @reopened_at, @applied_at, @updated_at, @definition_set, @words)
    returning id, definition, words
), posted as (
    insert into request_word (word, request_id, definition)
    select unnest(words), id, definition from made
)
select id from made;

-- name: UpdateRequest :exec
-- Postings follow by a trigger where words or definition changed.
update request
set definition = @definition, form = @form, state = @state, reopening = @reopening, data = @data,
    organization_id = @organization_id, applicant_id = @applicant_id, service_provider_id = @service_provider_id,
    service_provider_siret = @service_provider_siret, service_provider_type = @service_provider_type,
    terms_accepted = @terms_accepted, dpo_informed = @dpo_informed,
    last_submitted_at = @last_submitted_at, last_validated_at = @last_validated_at, reopened_at = @reopened_at,
    applied_at = @applied_at, updated_at = @updated_at, definition_set = @definition_set, words = @words::text[], version = version + 1
where request.id = @id;

-- name: TouchApplied :exec
-- An event changed nothing, but nothing older may be applied any more.
update request set applied_at = @applied_at where id = @id;

-- name: UpsertExternalOrganization :one
insert into organization (source, external_id, siret, name, insee_payload, updated_at)
values (@source, @external_id, @siret, @name, @insee_payload, now())
on conflict (source, external_id) where external_id is not null
do update set siret = excluded.siret, name = coalesce(nullif(excluded.name, ''), organization.name),
              insee_payload = coalesce(excluded.insee_payload, organization.insee_payload), updated_at = now()
returning id;

-- name: UpsertExternalPerson :one
insert into person (source, external_id, uid, email, given_name, family_name, phone_number, job_title, updated_at)
values (@source, @external_id, @uid, @email, @given_name, @family_name, @phone_number, @job_title, now())
on conflict (source, external_id) where external_id is not null
do update set uid = coalesce(excluded.uid, person.uid), email = excluded.email, given_name = excluded.given_name, family_name = excluded.family_name,
              phone_number = excluded.phone_number, job_title = coalesce(nullif(excluded.job_title, ''), person.job_title), updated_at = now()
returning id;

-- name: ReserveHabilitationID :one
select nextval(pg_get_serial_sequence('habilitation', 'id'))::bigint;

-- name: InsertHabilitation :exec
insert into habilitation (id, request_id, external_id, definition, form, state, parent_id, data, organization, applicant, message, created_at)
values (@id, @request_id, @external_id, @definition, @form, @state, @parent_id, @data, @organization, @applicant, @message, @created_at);

-- name: UpdateHabilitationState :exec
update habilitation set state = @state, updated_at = now() where id = @id;

-- name: LastHistory :one
select seq, hash from history where request_id = @request_id order by seq desc limit 1;

-- name: InsertHistory :exec
insert into history (request_id, seq, at, actor, event, entity_type, entity_id, reason, detail, correlation, prev_hash, hash)
values (@request_id, @seq, @at, @actor, @event, @entity_type, @entity_id, @reason, @detail, @correlation, @prev_hash, @hash);

-- name: HistoryOf :many
select * from history where request_id = @request_id order by seq;

-- name: LockKey :exec
-- One writer at a time on something that has no row of its own, until the end of the transaction.
select pg_advisory_xact_lock(hashtextextended(@key::text, 0));

-- name: SiblingsOf :many
-- The organisation's other requests of a definition.
select state, coalesce(data ->> 'scopes', '')::text as scopes from request
where organization_id = @organization_id and definition = @definition and id <> @id;

-- name: FranceConnectIDs :many
-- The active FranceConnect habilitations of an organisation, as requests name them.
select coalesce(h.external_id, h.id)::bigint as id from habilitation h
join request r on r.id = h.request_id
join organization o on o.id = r.organization_id
where h.definition = 'france_connect' and h.state = 'active'
  and (o.id = @organization_id or o.siret = @siret::text)
order by 1;

-- name: ChangelogsOf :many
-- What was told of the answers so far, and what they started from.
select event, detail from history
where request_id = @request_id and event in ('create', 'create_by_api', 'update_by_api', 'admin_update', 'submit')
order by seq;

-- name: RequestsNamed :many
-- What a number names: our id, or that of a source.
select id from request where id = @shown or external_id = @shown order by id limit 3;

-- name: RequestsOfHabilitation :many
-- The requests whose habilitation a number names: our id, or that of a source.
select request_id from habilitation where id = @shown or external_id = @shown order by id limit 3;

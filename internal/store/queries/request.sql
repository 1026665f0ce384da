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

-- name: RequestByID :one
select sqlc.embed(request), sqlc.embed(organization), sqlc.embed(person)
from request
join organization on organization.id = request.organization_id
join person on person.id = request.applicant_id
where request.id = @id;

-- name: LockRequest :one
select id from request where id = @id for update;

-- name: HabilitationsOf :many
select * from habilitation where request_id = @request_id order by id;

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

-- name: UpdateRequest :one
-- Postings follow where words or definition changed.
with before as (
    select r.id, r.words, r.definition from request r where r.id = @id
), gone as (
    delete from request_word w using before b
    where w.request_id = b.id and w.word = any (b.words) and not w.word = any (@words::text[])
), posted as (
    insert into request_word (word, request_id, definition)
    select n.word, b.id, @definition from before b, unnest(@words::text[]) n (word)
    where b.definition <> @definition or not n.word = any (b.words)
    on conflict (word, request_id) do update set definition = excluded.definition
)
update request
set definition = @definition, form = @form, state = @state, reopening = @reopening, data = @data,
    organization_id = @organization_id, applicant_id = @applicant_id, service_provider_id = @service_provider_id,
    service_provider_siret = @service_provider_siret, service_provider_type = @service_provider_type,
    terms_accepted = @terms_accepted, dpo_informed = @dpo_informed,
    last_submitted_at = @last_submitted_at, last_validated_at = @last_validated_at, reopened_at = @reopened_at,
    applied_at = @applied_at, updated_at = @updated_at, definition_set = @definition_set, words = @words::text[], version = version + 1
where request.id = @id
returning version;

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

-- name: ReserveHabilitationIDs :many
select nextval(pg_get_serial_sequence('habilitation', 'id'))::bigint from generate_series(1, @n::integer);

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

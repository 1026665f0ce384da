-- name: EndpointsOf :many
-- A page of the endpoints of these definitions and editors, or of all.
select id, definition, editor, url, description, events, format, header_names, ordered, rate_limit, max_in_flight, environment, contact, enabled,
       tested_url, tested_at, test_passed, test_status, test_error_class, test_error, test_duration_ms, test_answer, previous_until,
       disabled_at, disabled_reason, disabled_by, created_by, version, created_at, updated_at
from endpoint
where id > @after
  and (@everything::boolean or definition <> '' and definition = any (@definitions::text[]) or editor <> '' and editor = any (@editors::text[]))
order by id
limit @max_rows;

-- name: CountEndpoints :one
select count(*) from endpoint where definition = @definition and editor = @editor;

-- name: UpdateEndpoint :exec
update endpoint
set url = @url, description = @description, events = @events, format = @format, headers_sealed = @headers_sealed, header_names = @header_names,
    ordered = @ordered, rate_limit = sqlc.narg('rate_limit'), max_in_flight = @max_in_flight, environment = @environment, contact = @contact,
    tested_url = @tested_url, version = version + 1, updated_at = @now
where id = @id;

-- name: EnableEndpoint :exec
update endpoint set enabled = true, disabled_at = null, disabled_reason = '', disabled_by = '', version = version + 1, updated_at = @now where id = @id;

-- name: ResetHealth :exec
-- A fresh start: what failed before is no reason to rest or to disable.
update endpoint_health
set failures = 0, failing_since = null, rest_until = null, rests = 0, in_flight = null, slow = false, warned_at = null
where endpoint_id = @endpoint_id;

-- name: SealedOfEndpoint :one
select secrets_sealed, headers_sealed from endpoint where id = @id;

-- name: SaveEndpointSecrets :exec
update endpoint
set secrets_sealed = @secrets_sealed, previous_until = sqlc.narg('previous_until'), version = version + @bump::integer,
    updated_at = case when @bump::integer > 0 then @now else updated_at end
where id = @id;

-- name: EndpointsWithOldSecrets :many
select id from endpoint where previous_until <= @now order by id limit @max_rows;

-- name: StartEndpointTest :execrows
update endpoint set test_started_at = @now where id = @id and (test_started_at is null or test_started_at <= @since or test_started_at > @now);

-- name: EndEndpointTest :execrows
-- Its result counts for what was tested: not when the endpoint was changed meanwhile.
update endpoint
set tested_at = @now, test_passed = @passed, test_status = sqlc.narg('status'), test_error_class = @error_class, test_error = @error,
    test_duration_ms = @duration_ms, test_answer = @answer, tested_url = case when @passed::boolean then url else '' end
where id = @id and url = @url and format = @format;

-- name: DeleteEndpoint :exec
delete from endpoint where id = @id;

-- name: NoteRemoval :exec
insert into endpoint_removed (endpoint_id, at) values (@endpoint_id, @now);

-- name: RemovedEndpoints :many
select endpoint_id from endpoint_removed order by at limit @max_rows;

-- name: RemoveDeliveries :execrows
delete from delivery d
where (d.endpoint_id, d.event_id) in (select o.endpoint_id, o.event_id from delivery o where o.endpoint_id = @endpoint_id limit @max_rows);

-- name: RemoveAttempts :execrows
delete from attempt t using (select a.id, a.at from attempt a where a.endpoint_id = @endpoint_id limit @max_rows) gone
where t.id = gone.id and t.at = gone.at;

-- name: RemoveLane :exec
delete from lane where endpoint_id = @endpoint_id;

-- name: EndRemoval :exec
delete from endpoint_removed where endpoint_id = @endpoint_id;

-- name: InsertEndpointChange :exec
insert into endpoint_change (endpoint_id, at, actor, event, detail, correlation)
values (@endpoint_id, @at, @actor, @event, @detail, @correlation);

-- name: EndpointChanges :many
select id, at, actor, event, detail from endpoint_change where endpoint_id = @endpoint_id order by id desc limit @max_rows;

-- name: LaneHeld :one
select exists (select from lane where endpoint_id = @endpoint_id and until > clock_timestamp())::boolean;

-- name: EndpointStates :many
-- How endpoints do, by what is owed to them; the count is exact up to a bound.
select e.id, e.definition, e.editor, e.url, e.description, e.format, e.ordered, e.enabled, e.tested_url, e.disabled_at, e.disabled_reason, e.version,
       coalesce(h.failures, 0)::integer as failures, h.failing_since, h.rest_until, h.last_ok_at, h.last_failed_at, h.last_status,
       coalesce(h.last_error, '')::text as last_error,
       (select count(*) from (select from delivery d where d.endpoint_id = e.id and d.abandoned_at is null limit @most::integer) w)::integer as waiting,
       (select count(*) from (select from delivery d where d.endpoint_id = e.id and d.abandoned_at is not null limit @most::integer) a)::integer as abandoned,
       coalesce(o.created_at, e.created_at)::timestamptz as oldest, (o.created_at is not null)::boolean as waits
from endpoint e
left join endpoint_health h on h.endpoint_id = e.id
left join lateral (
    -- Ids are made of the time: the least one is the oldest event.
    select d.created_at from delivery d where d.endpoint_id = e.id and d.abandoned_at is null order by d.event_id limit 1
) o on true
where e.id > @after and (@id::bigint = 0 or e.id = @id::bigint)
order by e.id
limit @max_rows;

-- name: EndpointEditors :many
select distinct editor from endpoint where editor <> '';

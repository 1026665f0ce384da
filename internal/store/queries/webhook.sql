-- name: PublishEvent :many
-- Stores an event with one delivery for every endpoint that asked for it. At an
-- ordered endpoint it is not due before those that it must follow.
with published as (
    insert into event (id, type, definition, editor, editor_siret, request_id, habilitation_id, subject, seq, body, datapass_sealed, occurred_at, correlation)
    select @id, @type, @definition, @editor, @editor_siret, sqlc.narg('request_id'), sqlc.narg('habilitation_id'), @subject,
           (select coalesce(max(v.seq), 0) + 1 from event v where v.subject = @subject),
           @body, @datapass_sealed, @occurred_at, @correlation
    returning id, seq
)
insert into delivery (endpoint_id, event_id, next_at, subject, seq, ordered, created_at)
select e.id, p.id,
       case when e.ordered then greatest(@occurred_at::timestamptz, (
           select max(b.next_at) from delivery b
           where b.endpoint_id = e.id and b.subject = @subject and b.rank <> 2 and b.ordered and b.abandoned_at is null))
       else @occurred_at::timestamptz end,
       @subject, p.seq, e.ordered, @occurred_at
from published p
cross join endpoint e
where e.enabled
  and (e.definition = @definition and e.definition <> '' or e.editor in (@editor, @editor_siret) and e.editor <> '')
  and (@type::text = any (e.events) or '*' = any (e.events))
returning endpoint_id;

-- name: TakeLane :one
-- Takes an endpoint for a time, unless another process has it, and reads it; or
-- keeps one (@keep) that this process has.
with taken as (
    insert into lane as l (endpoint_id, holder, until)
    select e.id, @holder, clock_timestamp() + make_interval(secs => @seconds::float8)
    from endpoint e where e.id = @endpoint_id and e.enabled
    on conflict (endpoint_id) do update set holder = excluded.holder, until = excluded.until
    where case when @keep::boolean then l.holder = excluded.holder and l.until > clock_timestamp() else l.until <= clock_timestamp() end
    returning l.endpoint_id, l.paced_until
)
select t.paced_until, e.id, e.definition, e.editor, e.url, e.format, e.secrets_sealed, e.headers_sealed, e.ordered, e.rate_limit, e.max_in_flight, e.environment, e.version,
       coalesce(h.failures, 0)::integer as failures, h.failing_since, h.rest_until, coalesce(h.rests, 0)::integer as rests,
       h.in_flight, coalesce(h.slow, false)::boolean as slow, h.last_ok_at, h.last_failed_at, h.last_status,
       coalesce(h.last_error, '')::text as last_error, h.warned_at
from taken t
join endpoint e on e.id = t.endpoint_id
left join endpoint_health h on h.endpoint_id = e.id;

-- name: ReleaseLane :exec
update lane set until = '-infinity', paced_until = sqlc.narg('paced_until') where endpoint_id = @endpoint_id and holder = @holder;

-- name: NextDue :one
-- When something is due at an endpoint, not before its rest is over. No row: never.
select greatest(n.next_at, n.rest_until)::timestamptz as next_at
from (
    select h.rest_until, least(
        (select d.next_at from delivery d where d.endpoint_id = e.id and d.rank = 0 and d.abandoned_at is null order by d.next_at limit 1),
        (select d.next_at from delivery d where d.endpoint_id = e.id and d.rank = 1 and d.abandoned_at is null order by d.next_at limit 1),
        (select d.next_at from delivery d where d.endpoint_id = e.id and d.rank = 2 and d.abandoned_at is null order by d.next_at limit 1)) as next_at
    from endpoint e
    left join endpoint_health h on h.endpoint_id = e.id
    where e.id = @endpoint_id and e.enabled
) n
where n.next_at is not null;

-- name: LanesToStart :many
-- Of these endpoints, those that are enabled and do not rest, and whether a lane
-- of any process holds them now.
select e.id, coalesce(h.slow or h.rests > 0, false)::boolean as slow, coalesce(l.until > clock_timestamp(), false)::boolean as served
from endpoint e
left join endpoint_health h on h.endpoint_id = e.id
left join lane l on l.endpoint_id = e.id
where e.id = any (@ids::bigint[]) and e.enabled and (h.rest_until is null or h.rest_until <= @now);

-- name: TellLanes :exec
-- Tells the lanes of other processes, which listen, where there is something new.
select pg_notify('passerelle_lanes', @endpoints::text);

-- name: EndpointsWithDue :many
-- Endpoints that have something due and that nobody serves: what the sweep wakes.
select e.id
from endpoint e
left join endpoint_health h on h.endpoint_id = e.id
left join lane l on l.endpoint_id = e.id
where e.enabled and (h.rest_until is null or h.rest_until <= @now) and (l.until is null or l.until <= clock_timestamp())
  and (exists (select 1 from delivery d where d.endpoint_id = e.id and d.rank = 0 and d.next_at <= @now and d.abandoned_at is null)
    or exists (select 1 from delivery d where d.endpoint_id = e.id and d.rank = 1 and d.next_at <= @now and d.abandoned_at is null)
    or exists (select 1 from delivery d where d.endpoint_id = e.id and d.rank = 2 and d.next_at <= @now and d.abandoned_at is null));

-- name: DueDeliveries :many
-- For each lane that asks: what is due, first tries before retries before
-- replays, without what it has in hand. Of an ordered endpoint, only the first
-- of each subject (a scalar subquery: it is one look into the index each time,
-- whatever the planner thinks of the table). A lane whose endpoint was changed
-- meanwhile, or is another process's by now, gets nothing.
with asked as (
    select unnest(@endpoints::bigint[]) as endpoint_id, unnest(@versions::integer[]) as version, unnest(@datapass::boolean[]) as datapass,
           unnest(@limits::integer[]) as n, unnest(@windows::integer[]) as look_at,
           unnest(@from_first::timestamptz[]) as from_first, unnest(@from_replay::timestamptz[]) as from_replay
), owed as materialized (
    select unnest(@owed_endpoints::bigint[]) as endpoint_id, unnest(@owed_events::uuid[]) as event_id
)
select c.endpoint_id, c.event_id, c.rank, c.attempts, c.next_at, c.subject, c.seq, c.created_at, c.first_try_at,
       v.type, v.request_id, v.habilitation_id, v.occurred_at, v.correlation,
       (case when a.datapass then v.datapass_sealed else convert_to(v.body::text, 'UTF8') end)::bytea as body
from asked a
join endpoint e on e.id = a.endpoint_id and e.version = a.version and e.enabled
join lane l on l.endpoint_id = a.endpoint_id and l.holder = @holder and l.until > clock_timestamp()
cross join lateral (
    select w.*
    from (
        (select d.* from delivery d
         where d.endpoint_id = a.endpoint_id and d.rank = 0 and d.next_at >= a.from_first and d.next_at <= @now and d.abandoned_at is null
           and (d.endpoint_id, d.event_id) not in (select o.endpoint_id, o.event_id from owed o)
         order by d.next_at, d.event_id limit a.look_at)
        union all
        (select d.* from delivery d
         where d.endpoint_id = a.endpoint_id and d.rank = 1 and d.next_at <= @now and d.abandoned_at is null
           and (d.endpoint_id, d.event_id) not in (select o.endpoint_id, o.event_id from owed o)
         order by d.next_at, d.event_id limit a.look_at)
        union all
        (select d.* from delivery d
         where d.endpoint_id = a.endpoint_id and d.rank = 2 and d.next_at >= a.from_replay and d.next_at <= @now and d.abandoned_at is null
           and (d.endpoint_id, d.event_id) not in (select o.endpoint_id, o.event_id from owed o)
         order by d.next_at, d.event_id limit a.look_at)
    ) w
    where not w.ordered or w.seq = (
        select b.seq from delivery b
        where b.endpoint_id = w.endpoint_id and b.ordered and b.subject = w.subject and (b.rank = 2) = (w.rank = 2) and b.abandoned_at is null
        order by b.seq limit 1)
    limit a.n
) c
join event v on v.id = c.event_id;

-- name: SettleDeliveries :exec
-- Records tries with what they make of their deliveries. What was settled
-- otherwise meanwhile (attempts tells) keeps its state, the try is written all
-- the same.
with tried as (
    select unnest(@endpoint_ids::bigint[]) as endpoint_id, unnest(@event_ids::uuid[]) as event_id, unnest(@types::text[]) as type,
           unnest(@request_ids::bigint[]) as request_id, unnest(@ns::integer[]) as n, unnest(@ats::timestamptz[]) as at,
           unnest(@outcomes::text[]) as outcome, unnest(@next_ats::timestamptz[]) as next_at, unnest(@reasons::text[]) as reason,
           unnest(@statuses::integer[]) as status, unnest(@error_classes::text[]) as error_class, unnest(@errors::text[]) as error,
           unnest(@durations::integer[]) as duration_ms, unnest(@answers::text[]) as answer, unnest(@remotes::text[]) as remote
), done as (
    delete from delivery d using tried t
    where t.outcome = 'delivered' and d.endpoint_id = t.endpoint_id and d.event_id = t.event_id
), kept as (
    update delivery d
    set attempts = t.n, rank = greatest(d.rank, 1), next_at = t.next_at, first_try_at = coalesce(d.first_try_at, t.at),
        last_status = nullif(t.status, 0), last_error = t.error,
        abandoned_at = case when t.outcome = 'abandoned' then t.at end, reason = t.reason
    from tried t
    where t.outcome <> 'delivered' and d.endpoint_id = t.endpoint_id and d.event_id = t.event_id
      and d.attempts = t.n - 1 and d.abandoned_at is null
    returning d.endpoint_id, d.subject, d.seq, d.rank, d.ordered, d.abandoned_at, d.next_at
), held as (
    -- What follows a failed one is not due before it: a lane does not look at it in vain.
    update delivery f
    set next_at = k.next_at
    from kept k
    where k.ordered and k.abandoned_at is null and f.ordered and f.endpoint_id = k.endpoint_id and f.subject = k.subject
      and (f.rank = 2) = (k.rank = 2) and f.seq > k.seq and f.next_at < k.next_at and f.abandoned_at is null
)
insert into attempt (endpoint_id, event_id, type, request_id, n, at, outcome, status, error_class, error, duration_ms, answer, remote)
select t.endpoint_id, t.event_id, t.type, nullif(t.request_id, 0), t.n, t.at, t.outcome, nullif(t.status, 0), t.error_class, t.error,
       t.duration_ms, t.answer, t.remote
from tried t;

-- name: SaveHealth :exec
insert into endpoint_health as h (endpoint_id, failures, failing_since, rest_until, rests, in_flight, slow, last_ok_at, last_failed_at, last_status, last_error)
select e.id, @failures, sqlc.narg('failing_since'), sqlc.narg('rest_until'), @rests, sqlc.narg('in_flight'), @slow,
       sqlc.narg('last_ok_at'), sqlc.narg('last_failed_at'), sqlc.narg('last_status'), @last_error
from endpoint e where e.id = @endpoint_id
on conflict (endpoint_id) do update
set failures = excluded.failures, failing_since = excluded.failing_since, rest_until = excluded.rest_until, rests = excluded.rests,
    in_flight = excluded.in_flight, slow = excluded.slow, last_ok_at = excluded.last_ok_at, last_failed_at = excluded.last_failed_at,
    last_status = excluded.last_status, last_error = excluded.last_error,
    warned_at = case when excluded.failing_since is null then null else h.warned_at end;

-- name: InsertEndpoint :one
insert into endpoint (id, definition, editor, url, description, events, format, secrets_sealed, headers_sealed, header_names, ordered, rate_limit,
                      max_in_flight, environment, contact, enabled, tested_url, created_by, created_at, updated_at)
values (@id, @definition, @editor, @url, @description, @events, @format, @secrets_sealed, @headers_sealed, @header_names, @ordered, sqlc.narg('rate_limit'),
        @max_in_flight, @environment, @contact, @enabled, @tested_url, @created_by, @now, @now)
returning id;

-- name: NextEndpointID :one
select nextval(pg_get_serial_sequence('endpoint', 'id'))::bigint;

-- name: Endpoints :many
select id, definition, editor, url, description, events, format, header_names, ordered, rate_limit, max_in_flight, environment, contact, enabled,
       tested_url, tested_at, test_passed, test_status, test_error_class, test_error, test_duration_ms, test_answer, previous_until,
       disabled_at, disabled_reason, disabled_by, created_by, version, created_at, updated_at
from endpoint order by id;

-- name: EndpointByID :one
select id, definition, editor, url, description, events, format, header_names, ordered, rate_limit, max_in_flight, environment, contact, enabled,
       tested_url, tested_at, test_passed, test_status, test_error_class, test_error, test_duration_ms, test_answer, previous_until,
       disabled_at, disabled_reason, disabled_by, created_by, version, created_at, updated_at
from endpoint where id = @id;

-- name: WaitingDeliveries :many
-- What was tried and failed, soonest first, a few of each endpoint.
select d.endpoint_id, d.event_id, d.attempts, d.next_at, d.last_status, d.last_error, e.definition, e.editor, v.type, v.request_id, v.occurred_at
from endpoint e
cross join lateral (
    select w.endpoint_id, w.event_id, w.attempts, w.next_at, w.last_status, w.last_error from delivery w
    where w.endpoint_id = e.id and w.rank = 1 and w.abandoned_at is null
    order by w.next_at
    limit 20
) d
join event v on v.id = d.event_id
order by d.next_at
limit @max_rows;

-- name: KeepAttempts :one
select keep_attempts(@today::date, @ahead::integer, @oldest::date)::integer;

-- name: PublishToEndpoint :exec
-- Stores an event for one endpoint alone, in the place of one that it misses.
with published as (
    insert into event (id, type, definition, editor, request_id, subject, seq, body, datapass_sealed, occurred_at, correlation)
    select @id, @type, @definition, @editor, sqlc.narg('request_id'), @subject,
           (select coalesce(max(v.seq), 0) + 1 from event v where v.subject = @subject),
           @body, @datapass_sealed, @occurred_at, @correlation
    returning id
)
insert into delivery (endpoint_id, event_id, next_at, subject, seq, ordered, created_at)
select @endpoint_id, p.id, @occurred_at, @place_subject, @place_seq, @ordered, @occurred_at from published p;

-- name: LockEndpoint :one
select id from endpoint where id = @id for update;

-- name: DisableEndpoint :exec
update endpoint set enabled = false, disabled_at = @now, disabled_reason = @reason, disabled_by = @disabled_by, version = version + 1, updated_at = @now
where id = @id;

-- name: KeepEndpointToken :exec
insert into endpoint_token as t (endpoint_id, habilitation_id, request_id, token_id, event_id, status, answered_at)
values (@endpoint_id, @habilitation_id, @request_id, @token_id, @event_id, @status, @answered_at)
on conflict (endpoint_id, habilitation_id) do update
set token_id = excluded.token_id, event_id = excluded.event_id, status = excluded.status, answered_at = excluded.answered_at
where t.answered_at <= excluded.answered_at;

-- name: MarkWarned :one
-- True once per failing time.
update endpoint_health set warned_at = @now
where endpoint_id = @endpoint_id and failing_since is not null and warned_at is null
returning endpoint_id;

-- name: AttemptsOf :many
-- One endpoint's tries, newest first.
select a.id, a.event_id, a.type, a.n, a.at, a.outcome, a.status, a.error_class, a.error, a.duration_ms, a.answer, a.remote,
       r.id as request_id, r.external_id
from attempt a
left join request r on r.id = a.request_id
where a.endpoint_id = @endpoint_id
  and (sqlc.narg('since')::timestamptz is null or a.at >= sqlc.narg('since')::timestamptz)
  and (sqlc.narg('until')::timestamptz is null or a.at <= sqlc.narg('until')::timestamptz)
order by a.at desc, a.id desc
limit @max_rows;

-- name: EndpointTarget :one
select id, definition, editor, url, format, environment, secrets_sealed, headers_sealed, version from endpoint where id = @id;

-- name: EventBodies :one
select id, type, body, datapass_sealed from event where id = @id;

-- name: PurgeEvents :execrows
-- Forgets the bodies of old events. What still waits for one is given up when its turn comes.
update event v set body = null, datapass_sealed = null
from (select o.id from event o where o.id < @before and o.body is not null order by o.id limit @max_rows for update skip locked) old
where v.id = old.id;

-- name: ForgetAbandoned :execrows
delete from delivery d using endpoint e where d.endpoint_id = e.id and d.abandoned_at < @before;

-- name: EndpointHealth :one
select failures, failing_since, rest_until, rests, in_flight, slow, last_ok_at, last_failed_at, last_status, last_error, warned_at
from endpoint_health where endpoint_id = @endpoint_id;

-- name: FindInbound :many
-- The rows already stored for these bodies of one source.
select id, source, body_sha256, token_id
from inbound_event
where source = @source and body_sha256 = any (@hashes::bytea[]);

-- name: ReserveTokens :exec
-- Reserves a token id for each (source, request, definition) that has none open.
insert into token_reservation (token_id, source, external_id, definition, fired_at)
select t.token_id, t.source, t.external_id, t.definition, t.fired_at
from (select unnest(@token_ids::uuid[]) as token_id,
             unnest(@sources::text[]) as source,
             unnest(@external_ids::bigint[]) as external_id,
             unnest(@definitions::text[]) as definition,
             unnest(@fired_ats::timestamptz[]) as fired_at) as t
order by t.source, t.external_id, t.definition
on conflict (source, external_id, definition) where closed_at is null do nothing;

-- name: CloseReservations :exec
-- A revoked request's reservation is over: what follows gets a new id.
update token_reservation r
set closed_at = now()
from (select unnest(@sources::text[]) as source,
             unnest(@external_ids::bigint[]) as external_id,
             unnest(@fired_ats::timestamptz[]) as fired_at) as t
where r.source = t.source and r.external_id = t.external_id and r.closed_at is null and r.fired_at <= t.fired_at;

-- name: CloseReservationsOfNew :exec
-- The same for events that are not stored yet: what was stored has closed its reservation already.
update token_reservation r
set closed_at = now()
from (select unnest(@sources::text[]) as source,
             unnest(@hashes::bytea[]) as body_sha256,
             unnest(@external_ids::bigint[]) as external_id,
             unnest(@fired_ats::timestamptz[]) as fired_at) as t
where r.source = t.source and r.external_id = t.external_id and r.closed_at is null and r.fired_at <= t.fired_at
  and not exists (select from inbound_event e where e.source = t.source and e.body_sha256 = t.body_sha256);

-- name: StoreInbound :many
-- In one round trip: what of these is stored already is given as it is, the rest is stored, each approve with the open
-- reservation of its request and definition, made now if there is none. What another transaction stores meanwhile is not given.
with given as (
    select unnest(@ids::uuid[]) as id,
           unnest(@sources::text[]) as source,
           unnest(@hashes::bytea[]) as body_sha256,
           unnest(@bodies::bytea[]) as body_sealed,
           unnest(@events::text[]) as event,
           unnest(@definitions::text[]) as definition,
           unnest(@external_ids::bigint[]) as external_id,
           unnest(@environments::text[]) as environment,
           unnest(@fired_ats::timestamptz[]) as fired_at,
           unnest(@token_ids::uuid[]) as token_id,        -- to reserve under, nil where nothing is
           unnest(@correlations::text[]) as correlation,
           unnest(@states::text[]) as state,
           unnest(@reasons::text[]) as reason
), known as materialized (
    select e.id, e.source, e.body_sha256, e.token_id
    from given g join inbound_event e on e.source = g.source and e.body_sha256 = g.body_sha256
), fresh as materialized (
    select g.* from given g where not exists (select from known k where k.source = g.source and k.body_sha256 = g.body_sha256)
), reserved as (
    insert into token_reservation as r (token_id, source, external_id, definition, fired_at)
    select w.token_id, w.source, w.external_id, w.definition, w.fired_at
    from (select distinct on (f.source, f.external_id, f.definition) f.* from fresh f
          where f.token_id <> '00000000-0000-0000-0000-000000000000'::uuid
          order by f.source, f.external_id, f.definition, f.fired_at, f.id) w
    -- Nothing changes: the row is only to be given back.
    on conflict (source, external_id, definition) where closed_at is null do update set fired_at = r.fired_at
    returning r.token_id, r.source, r.external_id, r.definition
), stored as (
    insert into inbound_event (id, source, body_sha256, body_sealed, event, definition, external_id, environment, fired_at,
                               token_id, correlation, state, reason)
    select f.id, f.source, f.body_sha256, f.body_sealed, f.event, f.definition, f.external_id, f.environment, f.fired_at,
           r.token_id, f.correlation, f.state, f.reason
    from fresh f
    left join reserved r on f.token_id <> '00000000-0000-0000-0000-000000000000'::uuid
         and r.source = f.source and r.external_id = f.external_id and r.definition = f.definition
    order by f.source, f.body_sha256
    on conflict (source, body_sha256) do nothing
    returning id, source, body_sha256, token_id
)
select id, source, body_sha256, token_id from known
union all
select id, source, body_sha256, token_id from stored;

-- name: WaitingInbound :many
-- What is to be applied to one request, in the order of the source.
select id, source, event, definition, external_id, environment, fired_at, token_id, correlation, body_sealed
from inbound_event
where source = @source and external_id = @external_id and state = 'received'
order by fired_at, id
for update;

-- name: SettleInbound :exec
update inbound_event
set state = @state, reason = @reason, request_id = @request_id, applied_at = @applied_at
where id = @id;

-- name: ParkedInbound :many
select id, source, event, definition, external_id, environment, fired_at, reason, received_at
from inbound_event
where state = 'parked'
order by received_at
limit @max_rows;

-- name: TakeUpInbound :one
update inbound_event
set state = 'received', reason = ''
where id = @id and state = 'parked'
returning source, external_id;

-- name: LatestApproveToken :one
-- The token id answered to the newest approve of a request for a definition; none once a credential has it.
select r.token_id from token_reservation r
where r.source = @source and r.external_id = @external_id and r.definition = @definition and r.closed_at is null
  and not exists (select from credential c where c.id = r.token_id);

-- name: CloseReservation :exec
-- Its credential is over: the next approve is answered with a new id.
update token_reservation set closed_at = now() where token_id = @token_id and closed_at is null;

-- name: PurgeInboundBodies :execrows
update inbound_event set body_sealed = null
where id in (
    select i.id from inbound_event i
    where i.received_at < @before and i.body_sealed is not null and i.state <> 'received' and i.state <> 'parked'
    limit @max_rows);

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

-- name: OpenReservations :many
select token_id, source, external_id, definition
from token_reservation
where closed_at is null
  and (source, external_id, definition) in (
    select t.source, t.external_id, t.definition
    from (select unnest(@sources::text[]) as source,
             unnest(@external_ids::bigint[]) as external_id,
             unnest(@definitions::text[]) as definition) as t);

-- name: CloseReservations :exec
-- A revoked request's reservation is over: what follows gets a new id.
update token_reservation r
set closed_at = now()
from (select unnest(@sources::text[]) as source,
             unnest(@external_ids::bigint[]) as external_id,
             unnest(@fired_ats::timestamptz[]) as fired_at) as t
where r.source = t.source and r.external_id = t.external_id and r.closed_at is null and r.fired_at <= t.fired_at;

-- name: InsertInbound :many
-- Gives the rows stored now: what another transaction stored first is not among them.
insert into inbound_event (id, source, body_sha256, body_sealed, event, definition, external_id, environment, fired_at,
                           token_id, correlation, state, reason)
select t.id, t.source, t.body_sha256, t.body_sealed, t.event, t.definition, t.external_id, t.environment, t.fired_at,
       nullif(t.token_id, '00000000-0000-0000-0000-000000000000'::uuid), t.correlation, t.state, t.reason
from (select unnest(@ids::uuid[]) as id,
             unnest(@sources::text[]) as source,
             unnest(@hashes::bytea[]) as body_sha256,
             unnest(@bodies::bytea[]) as body_sealed,
             unnest(@events::text[]) as event,
             unnest(@definitions::text[]) as definition,
             unnest(@external_ids::bigint[]) as external_id,
             unnest(@environments::text[]) as environment,
             unnest(@fired_ats::timestamptz[]) as fired_at,
             unnest(@token_ids::uuid[]) as token_id,
             unnest(@correlations::text[]) as correlation,
             unnest(@states::text[]) as state,
             unnest(@reasons::text[]) as reason) as t
order by t.source, t.body_sha256
on conflict (source, body_sha256) do nothing
returning id, source, body_sha256, token_id;

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

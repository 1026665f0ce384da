-- name: InsertEvent :exec
insert into event (id, type, definition, request_id, seq, body, occurred_at, correlation)
values (@id, @type, @definition, @request_id, @seq, @body, @occurred_at, @correlation);

-- name: NextEventSeq :one
select (coalesce(max(seq), 0) + 1)::bigint from event where request_id = @request_id;

-- name: FanOut :many
-- One delivery for every endpoint that asked for this event.
insert into delivery (endpoint_id, event_id, next_at)
select e.id, @event_id, @next_at
from endpoint e
where e.enabled and e.definition = @definition and (@type::text = any (e.events) or '*' = any (e.events))
returning id;

-- name: InsertEndpoint :exec
insert into endpoint (id, definition, url, description, secrets_sealed, events, enabled)
values (@id, @definition, @url, @description, @secrets_sealed, @events, @enabled);

-- name: Endpoints :many
select id, definition, url, description, events, enabled, created_at, updated_at from endpoint order by created_at;

-- name: DeliveryByID :one
select d.id, d.state, d.attempts, d.next_at, e.id as endpoint_id, e.url, e.secrets_sealed, e.enabled,
       v.id as event_id, v.type, v.request_id, v.seq, v.body, v.occurred_at, v.correlation
from delivery d
join endpoint e on e.id = d.endpoint_id
join event v on v.id = d.event_id
where d.id = @id;

-- name: ClaimDelivery :one
-- Takes a due delivery for a time: nobody else sends it meanwhile, and it is due again if its taker dies.
update delivery set next_at = @until
where id = @id and state = 'pending' and next_at <= @now
returning id;

-- name: SettleDelivery :exec
update delivery
set state = @state, attempts = attempts + 1, next_at = @next_at, last_status = @last_status, last_error = @last_error, delivered_at = @delivered_at
where id = @id and state = 'pending';

-- name: InsertAttempt :exec
insert into attempt (delivery_id, n, at, status, error_class, error, duration_ms, answer)
values (@delivery_id, @n, @at, @status, @error_class, @error, @duration_ms, @answer)
on conflict (delivery_id, n) do nothing;

-- name: DueDeliveries :many
select id from delivery where state = 'pending' and next_at < @before order by next_at limit @max_rows;

-- name: WaitingDeliveries :many
select d.id, d.attempts, d.next_at, d.last_status, d.last_error, e.definition, e.id as endpoint_id, v.type, v.request_id, v.occurred_at
from delivery d
join endpoint e on e.id = d.endpoint_id
join event v on v.id = d.event_id
where d.state = 'pending' and d.attempts > 0
order by d.next_at
limit @max_rows;

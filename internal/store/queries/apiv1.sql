-- name: EventsOfRequests :many
-- DataPass's events of some requests. One that was inferred gives way to the webhook that told of it later.
select h.id, h.request_id, h.event, h.at
from history h
where h.request_id = any (@request_ids::bigint[]) and h.event = any (@names::text[])
  and not (coalesce(h.detail ->> 'inferred', '') = 'true' and exists (
      select from history t
      where t.request_id = h.request_id and t.event = h.event and t.seq > h.seq and t.detail ->> 'outcome' in ('late', 'no_effect')))
order by h.request_id, h.seq;

-- name: TokenIDsOfRequests :many
-- The token id of each request: what a receiver answered last, else its oldest credential alive for its own definition.
select r.id, coalesce(
    (select t.token_id from endpoint_token t where t.request_id = r.id order by t.answered_at desc limit 1),
    (select c.id::text from credential c
     where c.request_id = r.id and c.definition = r.definition and c.state <> 'cancelled'
     order by (c.state in ('requested', 'prepared', 'issuing', 'active', 'expiring', 'rotating', 'suspended', 'failed')) desc, c.number
     limit 1), '')::text as token_id
from request r
where r.id = any (@request_ids::bigint[]);

-- name: RequestIDsShownAs :many
-- Which requests a number shown by API v1 names: a source's id, or ours.
select id from request
where definition = any (@definitions::text[]) and (external_id = @shown::bigint or id = @shown::bigint)
order by id;

-- name: HabilitationIDsShownAs :many
select id from habilitation
where definition = any (@definitions::text[]) and (external_id = @shown::bigint or id = @shown::bigint)
order by id;

-- name: HabilitationsWithRequest :many
select sqlc.embed(h), r.id as shown_id, r.external_id as shown_external_id
from habilitation h
join request r on r.id = h.request_id
where h.id = any (@ids::bigint[]);

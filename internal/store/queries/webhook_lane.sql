-- name: PublishEvents :many
-- PublishEvent for many at once. Those of one subject are numbered in the order
-- given; rows go in by subject, so that two batches wait for each other in one
-- direction only.
with told as materialized (
    select generate_subscripts(@ids::uuid[], 1) as n, unnest(@ids::uuid[]) as id, unnest(@types::text[]) as type,
           unnest(@definitions::text[]) as definition, unnest(@editors::text[]) as editor, unnest(@editor_sirets::text[]) as editor_siret, unnest(@request_ids::bigint[]) as request_id,
           unnest(@habilitation_ids::bigint[]) as habilitation_id, unnest(@subjects::text[]) as subject, unnest(@bodies::text[]) as body,
           unnest(@datapass_sealed::bytea[]) as datapass_sealed, unnest(@occurred_ats::timestamptz[]) as occurred_at,
           unnest(@correlations::text[]) as correlation
), numbered as materialized (
    select t.n, t.id, t.type, t.definition, t.editor, t.editor_siret, t.subject, t.occurred_at,
           (select coalesce(max(v.seq), 0) from event v where v.subject = t.subject) + row_number() over (partition by t.subject order by t.n) as seq
    from told t
), published as (
    insert into event (id, type, definition, editor, editor_siret, request_id, habilitation_id, subject, seq, body, datapass_sealed, occurred_at, correlation)
    select t.id, t.type, t.definition, t.editor, t.editor_siret, nullif(t.request_id, 0), nullif(t.habilitation_id, 0), t.subject, o.seq, t.body::json,
           t.datapass_sealed, t.occurred_at, t.correlation
    from told t join numbered o on o.n = t.n
    order by t.subject, t.n
), wanted as (
    -- An endpoint has a definition or an editor, never both: it comes once.
    select e.id as endpoint_id, e.ordered, e.events, t.n from numbered t join endpoint e on e.definition = t.definition and e.definition <> '' and e.enabled
    union all
    select e.id, e.ordered, e.events, t.n from numbered t join endpoint e on e.editor in (t.editor, t.editor_siret) and e.editor <> '' and e.enabled
)
insert into delivery (endpoint_id, event_id, next_at, subject, seq, ordered, created_at)
select w.endpoint_id, t.id,
       case when w.ordered then greatest(t.occurred_at, (
           select max(b.next_at) from delivery b
           where b.endpoint_id = w.endpoint_id and b.subject = t.subject and b.rank <> 2 and b.ordered and b.abandoned_at is null))
       else t.occurred_at end,
       t.subject, t.seq, w.ordered, t.occurred_at
from numbered t join wanted w on w.n = t.n
where t.type = any (w.events) or '*' = any (w.events)
returning endpoint_id, event_id;

-- name: HeadsOfSubjects :many
-- Of an ordered endpoint with more due than a lane looks at: the first message of
-- each subject, subject by subject from one on, @n at most (each is one look into
-- the index). No row when all that is due was looked at.
with recursive head as (
    select b.subject, b.event_id, b.next_at, 1 as place
    from (
        select d.subject, d.event_id, d.next_at
        from delivery d
        where d.endpoint_id = @endpoint_id and d.ordered and d.abandoned_at is null and (d.rank = 2) = false and d.subject > @after::text
          and (select count(*) from (
                   select 1 from delivery w
                   where w.endpoint_id = @endpoint_id and w.rank = 0 and w.next_at <= @now and w.abandoned_at is null
                   limit @look_at::integer) looked) = @look_at::integer
        order by d.subject, (d.rank = 2), d.seq limit 1) b
    union all
    select n.subject, n.event_id, n.next_at, h.place + 1
    from head h
    cross join lateral (
        select d.subject, d.event_id, d.next_at
        from delivery d
        where d.endpoint_id = @endpoint_id and d.ordered and d.abandoned_at is null and (d.rank = 2) = false and d.subject > h.subject
        order by d.subject, (d.rank = 2), d.seq limit 1) n
    where h.place < @n::integer
)
select f.subject, f.event_id, (f.next_at <= @now::timestamptz)::boolean as due from head f;

-- name: DeliveriesOf :many
-- These of an endpoint's, for the lane that holds it.
select d.endpoint_id, d.event_id, d.rank, d.attempts, d.next_at, d.subject, d.seq, d.created_at, d.first_try_at,
       v.type, v.request_id, v.habilitation_id, v.occurred_at, v.correlation,
       (case when @datapass::boolean then v.datapass_sealed else convert_to(v.body::text, 'UTF8') end)::bytea as body
from endpoint e
join lane l on l.endpoint_id = e.id and l.holder = @holder and l.until > clock_timestamp()
join delivery d on d.endpoint_id = e.id and d.event_id = any (@events::uuid[]) and d.abandoned_at is null
join event v on v.id = d.event_id
where e.id = @endpoint_id and e.version = @version and e.enabled;

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

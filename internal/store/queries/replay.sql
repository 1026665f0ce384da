-- name: InsertReplay :exec
insert into replay (id, endpoint_id, scope, event_id, since, cursor, last, past, created_by, created_at)
values (@id, @endpoint_id, @scope, sqlc.narg('event_id'), sqlc.narg('since'), @cursor, @last, @past, @created_by, @created_at);

-- name: OpenReplays :many
-- An endpoint's replays that are not over, oldest first, held by the caller.
select id, scope, event_id, since, state, cursor, last, created_at from replay
where endpoint_id = @endpoint_id and state in ('reading', 'sending') order by id for update;

-- name: LockReplay :one
select id, endpoint_id, state from replay where id = @id and endpoint_id = @endpoint_id for update;

-- name: EndpointsReplaying :many
-- Endpoints that a replay is not over at. One that is disabled waits.
select distinct r.endpoint_id from replay r join endpoint e on e.id = r.endpoint_id
where r.state in ('reading', 'sending') and e.enabled order by r.endpoint_id;

-- name: FirstKeptEvent :one
select id from event where body is not null order by id limit 1;

-- name: CountPast :one
-- Events that an endpoint's replay misses because their bodies are purged, up to max_rows.
select count(*) from (
    (select 1 from event v
     where @definition::text <> '' and v.definition = @definition and v.definition <> '' and v.id > @after and v.id < @before
       and ('*' = any (@events::text[]) or v.type = any (@events::text[]))
     limit @max_rows)
    union all
    (select 1 from event v
     where @editor::text <> '' and v.editor = @editor and v.editor <> '' and v.id > @after and v.id < @before
       and ('*' = any (@events::text[]) or v.type = any (@events::text[]))
     limit @max_rows)
    union all
    (select 1 from event v
     where @editor::text <> '' and v.editor_siret = @editor and v.editor_siret <> '' and v.editor <> @editor and v.id > @after and v.id < @before
       and ('*' = any (@events::text[]) or v.type = any (@events::text[]))
     limit @max_rows)
) past;

-- name: ReplayPace :one
-- When the last replayed message of an endpoint is due, and how many of those
-- queued were not tried yet, up to max_rows.
with untried as (
    select 1 from delivery d where d.endpoint_id = @endpoint_id and d.rank = 2 and d.abandoned_at is null and d.attempts = 0 limit @max_rows
)
select greatest(max(r.paced_until), 'epoch'::timestamptz)::timestamptz as paced_until, (select count(*) from untried) as untried
from replay r where r.endpoint_id = @endpoint_id;

-- name: QueueReplay :one
-- One step of a replay: reads the next events of its scope, and puts a delivery
-- behind what is owed for each that has a body and does not wait already. One
-- that was given up is taken up again; its reason stays until it is tried, so
-- that a cancelling can tell it from one that was delivered.
with found as (
    (select v.id from event v
     where @scope::text = 'all' and @definition::text <> '' and v.definition = @definition and v.definition <> ''
       and v.id > @after and v.id <= @last and ('*' = any (@events::text[]) or v.type = any (@events::text[]))
     order by v.id limit @n)
    union all
    (select v.id from event v
     where @scope::text = 'all' and @editor::text <> '' and v.editor = @editor and v.editor <> ''
       and v.id > @after and v.id <= @last and ('*' = any (@events::text[]) or v.type = any (@events::text[]))
     order by v.id limit @n)
    union all
    (select v.id from event v
     where @scope::text = 'all' and @editor::text <> '' and v.editor_siret = @editor and v.editor_siret <> '' and v.editor <> @editor
       and v.id > @after and v.id <= @last and ('*' = any (@events::text[]) or v.type = any (@events::text[]))
     order by v.id limit @n)
    union all
    (select d.event_id from delivery d
     where @scope::text = 'failed' and d.endpoint_id = @endpoint_id and d.event_id > @after and d.event_id <= @last
       and d.abandoned_at <= @given_up_by::timestamptz
     order by d.event_id limit @n)
    union all
    (select v.id from event v where @scope::text = 'message' and v.id = @event_id)
), read as (
    select v.id, v.subject, v.seq, v.body is null as purged, row_number() over (order by v.id) as place
    from (select f.id from found f order by f.id limit @n) f join event v on v.id = f.id
), taken as (
    update replay r set lost = r.lost + t.n
    from (
        select d.replay_id, count(*) as n from delivery d join read on read.id = d.event_id
        where d.endpoint_id = @endpoint_id and d.abandoned_at is not null and d.replay_id is not null and not read.purged
        group by d.replay_id
    ) t
    where r.id = t.replay_id and r.id <> @replay_id and r.state in ('reading', 'sending')
), queued as (
    insert into delivery (endpoint_id, event_id, rank, next_at, subject, seq, ordered, created_at, replay_id)
    select @endpoint_id, read.id, 2,
           sqlc.arg('base')::timestamptz + interval '1 second' * ((read.place - 1) / sqlc.arg('rate')::float8),
           read.subject, read.seq, @ordered, @now, @replay_id
    from read where not read.purged
    on conflict (endpoint_id, event_id) do update
    set rank = 2, attempts = 0, next_at = excluded.next_at, subject = excluded.subject, seq = excluded.seq, ordered = excluded.ordered,
        created_at = excluded.created_at, first_try_at = null, abandoned_at = null, replay_id = excluded.replay_id
    where delivery.abandoned_at is not null
    returning next_at
)
select (select count(*) from read) as read, (select count(*) from read where purged) as past, (select count(*) from queued) as queued,
       (select greatest(max(q.next_at) + interval '1 second' / sqlc.arg('rate')::float8, @base::timestamptz) from queued q)::timestamptz as paced_until,
       (select x.id from (select read.id from read union all select @after::uuid) x order by x.id desc limit 1)::uuid as cursor;

-- name: MoveReplay :exec
update replay
set state = @state, cursor = @cursor, paced_until = coalesce(sqlc.narg('paced_until'), paced_until), queued = queued + @queued,
    owed = owed + @owed, past = past + @past
where id = @id;

-- name: FinishReplay :exec
-- Ends a replay: what it counted as given up is final.
update replay r
set state = @state, finished_at = @now, withdrawn = r.withdrawn + @withdrawn,
    failed = r.lost + (select count(*) from delivery d where d.replay_id = r.id and d.abandoned_at is not null)
where r.id = @id;

-- name: ReplayWaits :one
select exists (select 1 from delivery d where d.replay_id = @id::uuid and d.abandoned_at is null);

-- name: WithdrawReplay :one
-- Takes back what a replay queued and what is not being settled right now. What
-- was tried in vain, or given up before, is given up; the rest was no debt.
with mine as (
    select d.endpoint_id, d.event_id, d.attempts, d.reason from delivery d
    where d.replay_id = @id::uuid and d.abandoned_at is null
    for update skip locked
), back as (
    update delivery d
    set abandoned_at = @now, reason = case when m.attempts > 0 then @why else m.reason end,
        replay_id = case when m.attempts > 0 then d.replay_id end
    from mine m
    where d.endpoint_id = m.endpoint_id and d.event_id = m.event_id and (m.attempts > 0 or m.reason <> '')
), gone as (
    delete from delivery d using mine m
    where d.endpoint_id = m.endpoint_id and d.event_id = m.event_id and m.attempts = 0 and m.reason = ''
)
select count(*) from mine where attempts = 0;

-- name: HastenDelivery :execrows
-- Makes a message that waits for its next try due now, with those of its subject
-- that it holds back.
update delivery d set next_at = @now
from delivery m
where m.endpoint_id = @endpoint_id and m.event_id = @event_id and m.abandoned_at is null
  and d.endpoint_id = m.endpoint_id and d.abandoned_at is null and d.next_at > @now
  and (d.event_id = m.event_id or m.ordered and d.ordered and d.subject = m.subject and (d.rank = 2) = (m.rank = 2));

-- name: ToldTo :one
-- Whether an event is one that an endpoint is told of, or was told of.
select exists (
    select 1 from event v join endpoint e on e.id = @endpoint_id
    where v.id = @event_id
      and ((v.definition = e.definition and e.definition <> '' or e.editor in (v.editor, v.editor_siret) and e.editor <> '')
           and (v.type = any (e.events) or '*' = any (e.events))
        or exists (select 1 from delivery d where d.endpoint_id = e.id and d.event_id = v.id)
        or exists (select 1 from attempt a where a.endpoint_id = e.id and a.event_id = v.id)));

-- name: Replays :many
select r.id, r.endpoint_id, r.scope, r.event_id, r.since, r.state, r.cursor, r.queued, r.owed, r.past, r.lost, r.failed, r.withdrawn, r.created_by,
       r.created_at, r.finished_at,
       (select count(*) from delivery d where d.replay_id = r.id and d.abandoned_at is null) as waiting,
       (select count(*) from delivery d where d.replay_id = r.id and d.abandoned_at is not null) as given_up
from replay r
where r.endpoint_id = @endpoint_id and (sqlc.narg('id')::uuid is null or r.id = sqlc.narg('id')::uuid) and r.id < @before
order by r.id desc limit @max_rows;

-- name: ForgetReplays :execrows
delete from replay where state in ('done', 'cancelled') and finished_at < @before;

-- name: MessagesOf :many
-- Messages of an endpoint, newest first, read from where they are fewest.
with found as (
    (select v.id from event v
     where @way::text = 'all' and @definition::text <> '' and v.definition = @definition and v.definition <> ''
       and v.id < @before and v.id > @after and (@type::text = '' or v.type = @type)
     order by v.id desc limit @look_at)
    union all
    (select v.id from event v
     where @way::text = 'all' and @editor::text <> '' and v.editor = @editor and v.editor <> ''
       and v.id < @before and v.id > @after and (@type::text = '' or v.type = @type)
     order by v.id desc limit @look_at)
    union all
    (select v.id from event v
     where @way::text = 'all' and @editor::text <> '' and v.editor_siret = @editor and v.editor_siret <> '' and v.editor <> @editor
       and v.id < @before and v.id > @after and (@type::text = '' or v.type = @type)
     order by v.id desc limit @look_at)
    union all
    (select v.id from event v
     where @way::text = 'all' and v.subject = @own_subject::text and v.id < @before and v.id > @after and (@type::text = '' or v.type = @type)
     order by v.id desc limit @look_at)
    union all
    (select v.id from event v
     where @way::text = 'request' and v.request_id = @request_id::bigint and v.id < @before and v.id > @after
       and (v.definition = @definition and @definition <> '' or @editor in (v.editor, v.editor_siret) and @editor <> '' or v.subject = @own_subject)
     order by v.id desc limit @look_at)
    union all
    (select d.event_id from delivery d
     where @way::text = 'waiting' and d.endpoint_id = @endpoint_id and d.abandoned_at is null and d.event_id < @before and d.event_id > @after
     order by d.event_id desc limit @look_at)
    union all
    (select d.event_id from delivery d
     where @way::text = 'failed' and d.endpoint_id = @endpoint_id and d.abandoned_at is not null and d.event_id < @before and d.event_id > @after
     order by d.event_id desc limit @look_at)
    union all
    (select v.id from event v where @way::text = 'one' and v.id = @one)
), looked as (
    select f.id from found f order by f.id desc limit @look_at
)
select v.id, v.type, v.request_id, v.habilitation_id, v.subject, v.seq, v.occurred_at, (v.body is null)::boolean as purged,
       (d.event_id is not null)::boolean as owed, d.abandoned_at, d.reason, d.next_at, d.attempts as tries, d.last_status, d.last_error, d.replay_id,
       coalesce(a.at, '0001-01-01 00:00:00+00')::timestamptz as tried_at, coalesce(a.outcome, '')::text as outcome, a.status,
       coalesce(a.error_class, '')::text as error_class
from looked l
join event v on v.id = l.id
left join delivery d on d.endpoint_id = @endpoint_id and d.event_id = v.id
left join lateral (
    select t.at, t.outcome, t.status, t.error_class from attempt t
    where t.event_id = v.id and t.endpoint_id = @endpoint_id and t.at > v.occurred_at - interval '1 hour'
    order by t.at desc, t.id desc limit 1
) a on true
order by v.id desc;

-- name: AttemptsPlace :one
-- Where a search of tries stops looking for this page.
select a.at, a.id from attempt a
where a.endpoint_id = @endpoint_id and a.at >= @since and a.at <= @until and (a.at, a.id) < (@before_at::timestamptz, @before_id::bigint)
order by a.at desc, a.id desc offset @skip limit 1;

-- name: SearchAttempts :many
select a.id, a.event_id, a.type, a.request_id, a.n, a.at, a.outcome, a.status, a.error_class, a.error, a.duration_ms, a.answer, a.remote
from attempt a
where a.endpoint_id = @endpoint_id and a.at >= @since and a.at <= @until and (a.at, a.id) < (@before_at::timestamptz, @before_id::bigint)
  and (a.at, a.id) >= (@down_to_at::timestamptz, @down_to_id::bigint)
  and (@type::text = '' or a.type = @type) and (@request_id::bigint = 0 or a.request_id = @request_id)
  and (@outcome::text = '' or a.outcome = @outcome) and (@status::integer = 0 or a.status = @status)
  and (@error_class::text = '' or a.error_class = @error_class)
order by a.at desc, a.id desc limit @max_rows;

-- name: AttemptsOfMessage :many
select a.id, a.event_id, a.type, a.request_id, a.n, a.at, a.outcome, a.status, a.error_class, a.error, a.duration_ms, a.answer, a.remote
from attempt a
where a.endpoint_id = @endpoint_id and a.event_id = @event_id
order by a.at desc, a.id desc limit @max_rows;

-- name: EndpointTokens :many
-- What an endpoint's receiver answered to approvals, newest first.
select t.habilitation_id, t.request_id, t.token_id, t.event_id, t.status, t.answered_at from endpoint_token t
where t.endpoint_id = @endpoint_id and (@request_id::bigint = 0 or t.request_id = @request_id)
  and (t.answered_at, t.habilitation_id) < (@before_at::timestamptz, @before_id::bigint)
order by t.answered_at desc, t.habilitation_id desc limit @max_rows;

-- name: BodyKept :one
select (body is not null)::boolean from event where id = @id;

-- name: UpsertReceiver :one
-- A receiver that comes back keeps what it had; suspended ones start again as approved.
insert into receiver (process, siret, cog, name, postal_code, state, state_since, approved_at, updated_at)
values (@process, @siret, @cog, @name, @postal_code, 'approved', @now, @now, @now)
on conflict (process, siret, cog) do update
set name = excluded.name, postal_code = excluded.postal_code, updated_at = excluded.updated_at,
    state = case when receiver.state = 'suspended' then 'approved' else receiver.state end,
    state_since = case when receiver.state = 'suspended' then excluded.state_since else receiver.state_since end,
    suspended_reason = ''
returning *;

-- name: ReceiverByID :one
select * from receiver where id = @id;

-- name: LockReceiver :one
select * from receiver where id = @id for update;

-- name: ReceiverByKey :one
select * from receiver where process = @process and siret = @siret and cog = @cog;

-- name: Receivers :many
select * from receiver where process = @process order by id;

-- name: SaveReceiverState :exec
update receiver
set state = @state, state_since = case when state = @state then state_since else @now end, suspended_reason = @suspended_reason,
    subscription_id = @subscription_id, delegate = @delegate,
    subscribed_at = coalesce(subscribed_at, sqlc.narg(subscribed_at)), activated_at = coalesce(activated_at, sqlc.narg(activated_at)),
    delegated_at = coalesce(delegated_at, sqlc.narg(delegated_at)), updated_at = @now
where id = @id;

-- name: SaveReceiverWishes :exec
update receiver set wants_signature = @wants_signature, identity_alone = @identity_alone, updated_at = @now where id = @id;

-- name: PutReceiverRight :exec
insert into receiver_right (request_id, process, habilitation_id, definition, scopes, editor_id, editor_siret, granted_at)
values (@request_id, @process, @habilitation_id, @definition, @scopes, @editor_id, @editor_siret, @granted_at)
on conflict (request_id) do update
set habilitation_id = excluded.habilitation_id, definition = excluded.definition, scopes = excluded.scopes, editor_id = excluded.editor_id, editor_siret = excluded.editor_siret,
    granted_at = case when receiver_right.ended_at is null then receiver_right.granted_at else excluded.granted_at end,
    done_at = case when receiver_right.ended_at is null then receiver_right.done_at end,
    receiver_id = case when receiver_right.ended_at is null then receiver_right.receiver_id end,
    ended_at = null, end_reason = '';

-- name: ReceiverRight :one
select * from receiver_right where request_id = @request_id;

-- name: LockReceiverRight :one
select * from receiver_right where request_id = @request_id for update;

-- name: RightsOfReceiver :many
-- The newest right first: it says what is asked of a family, and whose software reads it.
select * from receiver_right where receiver_id = @receiver_id and ended_at is null order by granted_at desc, request_id desc;

-- name: SetRightReceiver :exec
update receiver_right set receiver_id = @receiver_id where request_id = @request_id;

-- name: SaveRightProblem :exec
update receiver_right
set problem = @problem, problem_since = case when @problem::text = '' then null else coalesce(problem_since, @now) end
where request_id = @request_id;

-- name: RightDone :exec
update receiver_right set done_at = coalesce(done_at, @now), problem = '', problem_since = null where request_id = @request_id;

-- name: EndRight :execrows
update receiver_right set ended_at = @now, end_reason = @reason where request_id = @request_id and ended_at is null;

-- name: WaitingRights :many
select * from receiver_right where ended_at is null and done_at is null order by granted_at limit @max_rows;

-- name: InsertFolder :execrows
insert into folder (id, receiver_id, reference, external_id, state, accepted_at, updated_at, correlation)
values (@id, @receiver_id, @reference, @external_id, 'accepted', @now, @now, @correlation)
on conflict (id) do nothing;

-- name: InsertFolderContent :exec
insert into folder_content (folder_id, key_sealed, body) values (@folder_id, @key_sealed, @body);

-- name: FolderByID :one
select * from folder where id = @id;

-- name: LockFolder :one
select * from folder where id = @id for update;

-- name: FolderByReference :one
select * from folder where reference = @reference;

-- name: FolderByCase :one
select * from folder where case_id = @case_id;

-- name: FolderContent :one
select * from folder_content where folder_id = @folder_id;

-- name: SaveFolder :exec
update folder
set state = @state, external_id = @external_id, hubee_id = @hubee_id, case_id = @case_id, made = @made, case_status = @case_status,
    problem = @problem, problem_since = sqlc.narg(problem_since), sent_at = sqlc.narg(sent_at), settled_at = sqlc.narg(settled_at),
    answered_at = sqlc.narg(answered_at), closed_at = sqlc.narg(closed_at), updated_at = @updated_at
where id = @id;

-- name: DestroyFolderContent :execrows
delete from folder_content where folder_id = @folder_id;

-- name: InsertFolderEvent :execrows
insert into folder_event (folder_id, event_id, status, occurred_at, recorded_at)
values (@folder_id, @event_id, @status, sqlc.narg(occurred_at), @recorded_at)
on conflict do nothing;

-- name: CountFolderEvents :one
select count(*) from folder_event where folder_id = @folder_id;

-- name: PutFolderDeadLetter :exec
insert into folder_dead_letter (notice_id, case_id, event_id, reason, first_seen, last_seen)
values (@notice_id, @case_id, @event_id, @reason, @now, @now)
on conflict (notice_id) do update set reason = excluded.reason, last_seen = excluded.last_seen, tries = folder_dead_letter.tries + 1;

-- name: DeleteFolderDeadLetter :exec
delete from folder_dead_letter where notice_id = @notice_id;

-- name: FolderDeadLetters :many
select * from folder_dead_letter order by first_seen limit @max_rows;

-- name: WaitingFolders :many
-- What is not settled, oldest first, with where it goes.
select f.id, f.reference, f.state, f.problem, f.problem_since, f.accepted_at, f.sent_at, r.name, r.siret, r.cog, r.state as receiver_state
from folder f join receiver r on r.id = f.receiver_id
where f.state in ('accepted', 'created', 'completed')
order by f.accepted_at limit @max_rows;

-- name: ExpiredFolders :many
select id from folder where state in ('accepted', 'created', 'completed') and accepted_at < @before order by accepted_at limit @max_rows;

-- name: PurgeFolders :execrows
-- The reference and the state stay their time; what was never settled stays.
delete from folder where id in (
    select f.id from folder f
    where f.accepted_at < @before and f.state in ('settled', 'closed', 'lost')
      and not exists (select from folder_content c where c.folder_id = f.id)
    order by f.accepted_at limit @max_rows);

-- name: FolderCounts :many
select state, count(*)::bigint as n, min(accepted_at)::timestamptz as oldest from folder where state in ('accepted', 'created', 'completed') group by state;

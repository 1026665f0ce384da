-- name: InsertJourney :exec
insert into journey (id, receiver_id, state, key_hash, body, created_at, expires_at)
values (@id, @receiver_id, 'entered', @key_hash, @body, @now, @expires_at);

-- name: JourneyByID :one
select * from journey where id = @id;

-- name: LockJourney :one
select * from journey where id = @id for update;

-- name: JourneyIDByState :one
select id from journey where state_hash = @state_hash;

-- name: SaveJourney :exec
update journey
set state = @state, failure = @failure, key_hash = @key_hash, state_hash = sqlc.narg(state_hash), left_at = sqlc.narg(left_at), fetch_by = sqlc.narg(fetch_by),
    reference = sqlc.narg(reference), body = sqlc.narg(body), expires_at = @expires_at,
    line = sqlc.narg(line), queued_at = sqlc.narg(queued_at), seen_at = sqlc.narg(seen_at)
where id = @id;

-- name: ShowFetch :exec
-- Whoever fetches lives: nobody waits for it in vain before fetch_by.
update journey set fetch_by = @fetch_by where id = @id and state = 'fetching';

-- name: TouchJourney :exec
update journey set expires_at = @expires_at where id = @id and expires_at < @stale;

-- name: DeleteJourney :exec
delete from journey where id = @id;

-- name: PurgeJourneys :execrows
delete from journey where id in (select j.id from journey j where j.expires_at < @before order by j.expires_at limit @max_rows);

-- name: JourneysAhead :one
-- How many who are still there are before her. Communes take turns: the first of each, then the second of each.
select count(*) from (
    select l.id, l.queued_at, row_number() over (partition by l.receiver_id order by l.queued_at, l.id) as turn
    from journey l where l.line = @line and (l.seen_at > @alive_since or l.id = @id)
) w, (
    select m.id, m.queued_at, (
        select count(*) from journey o where o.line = @line and o.receiver_id = m.receiver_id and o.seen_at > @alive_since and (o.queued_at, o.id) < (m.queued_at, m.id)
    ) + 1 as turn
    from journey m where m.id = @id
) me
where (w.turn, w.queued_at, w.id) < (me.turn, me.queued_at, me.id);

-- name: JourneyCounts :many
select state, count(*)::bigint as n from journey group by state;

-- name: InsertEditorLinkKey :exec
insert into editor_link_key (id, editor_id, key_sealed, created_at, expires_at) values (@id, @editor_id, @key_sealed, @created_at, @expires_at);

-- name: EditorLinkKey :one
select * from editor_link_key where id = @id;

-- name: EditorLinkKeys :many
select * from editor_link_key order by editor_id, created_at;

-- name: EndEditorLinkKey :execrows
update editor_link_key set ended_at = @now where id = @id and ended_at is null;

-- name: PutEditorReturnAddress :exec
insert into editor_return_address (editor_id, address, created_at) values (@editor_id, @address, @now) on conflict do nothing;

-- name: DeleteEditorReturnAddress :execrows
delete from editor_return_address where editor_id = @editor_id and address = @address;

-- name: EditorReturnAddresses :many
select * from editor_return_address where (@editor_id::text = '' or editor_id = @editor_id) order by editor_id, address;

-- name: JourneysWaiting :one
-- How many who are still there wait in a line.
select count(*) from journey where line = @line and seen_at > @alive_since;

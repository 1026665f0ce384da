-- name: ArchiveNoticeEnds :one
-- When the last notice given to a credential of an archived request is over; the epoch: none was given.
select coalesce(max((detail ->> 'at')::timestamptz), 'epoch')::timestamptz as ends from history
where request_id = @request_id and event = 'token.archive_notice' and entity_id = @credential_id::text;

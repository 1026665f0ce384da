-- name: InsertMails :many
-- Gives those that were not queued before.
insert into mail (id, template, request_id, recipient_sealed, recipient_hash, params_sealed, dedup, created_at)
select t.id, t.template, nullif(t.request_id, 0), t.recipient_sealed, t.recipient_hash, t.params_sealed, t.dedup, t.created_at
from (select unnest(@ids::uuid[]) as id,
             unnest(@templates::text[]) as template,
             unnest(@request_ids::bigint[]) as request_id,
             unnest(@recipients::bytea[]) as recipient_sealed,
             unnest(@recipient_hashes::bytea[]) as recipient_hash,
             unnest(@params::bytea[]) as params_sealed,
             unnest(@dedups::text[]) as dedup,
             unnest(@created_ats::timestamptz[]) as created_at) as t
on conflict (dedup) do nothing
returning id;

-- name: MailByID :one
select * from mail where id = @id;

-- name: SettleMail :exec
update mail
set state = @state, attempts = attempts + 1, status = @status, detail = @detail, sent_at = @sent_at,
    params_sealed = case when @state::text = 'queued' then params_sealed else null end
where id = @id and state = 'queued';

-- name: BounceMail :execrows
update mail set state = 'bounced', detail = @detail, params_sealed = null where id = @id and state in ('sent', 'queued');

-- name: WaitingMails :many
select id, template, request_id, state, attempts, status, detail, created_at from mail
where state in ('queued', 'refused', 'bounced')
order by created_at
limit @max_rows;

-- name: InsertLink :exec
insert into handover_link (id, credential_id, token_hash, recipient_sealed, recipient_hash, role, mail_id, created_at, expires_at)
values (@id, @credential_id, @token_hash, @recipient_sealed, @recipient_hash, @role, @mail_id, @created_at, @expires_at);

-- name: LinkByHash :one
select * from handover_link where token_hash = @token_hash;

-- name: UseLink :one
update handover_link set used_at = @used_at
where id = @id and used_at is null and cancelled_at is null and expires_at > @used_at
returning credential_id;

-- name: RenewLink :execrows
-- An expired link gives one new one.
update handover_link set renewed_at = @renewed_at
where id = @id and used_at is null and cancelled_at is null and renewed_at is null and expires_at <= @renewed_at;

-- name: CancelLinks :exec
update handover_link set cancelled_at = @cancelled_at
where credential_id = @credential_id and used_at is null and cancelled_at is null;

-- name: LinksOfCredential :many
select l.id, l.role, l.created_at, l.expires_at, l.used_at, l.cancelled_at, m.state as mail_state, m.detail as mail_detail
from handover_link l join mail m on m.id = l.mail_id
where l.credential_id = @credential_id
order by l.created_at;

-- name: Gauges :one
-- How much of each kind waits, and for how long the oldest has.
select
    (select count(*) from credential where state in ('requested', 'prepared', 'issuing', 'revoking', 'revoked_at_hub', 'failed') or grants_pending)::bigint as credentials,
    (select coalesce(extract(epoch from now() - min(updated_at)), 0) from credential where state in ('requested', 'prepared', 'issuing', 'revoking', 'revoked_at_hub', 'failed'))::float8 as oldest_credential,
    (select count(*) from inbound_event where state = 'received')::bigint as received,
    (select count(*) from inbound_event where state = 'parked')::bigint as parked,
    (select count(*) from partner where paused_until is not null)::bigint as paused_partners,
    (select count(*) from mail where state = 'queued')::bigint as mails_queued,
    (select count(*) from mail where state in ('refused', 'bounced'))::bigint as mails_failed,
    (select count(*) from folder where state in ('accepted', 'created'))::bigint as folders_to_send,
    (select count(*) from folder where state = 'completed')::bigint as folders_to_check,
    (select coalesce(extract(epoch from now() - min(accepted_at)), 0) from folder where state in ('accepted', 'created'))::float8 as oldest_folder,
    (select count(*) from folder_dead_letter)::bigint as folder_notices_kept,
    (select count(*) from receiver_right where ended_at is null and done_at is null)::bigint as receivers_to_register;

-- +goose Up

-- The service provider of the catalogue that a machine acts for; '' for every other machine (editors.md, 6).
alter table api_client add column editor text not null default '';
create index api_client_editor on api_client (editor) where editor <> '';

-- Which editor a request is bound to, since when and by what: named by the form ('declared'), by an act of the commune
-- ('consented'), by the people who run the hub ('imported'). A row is ended, never deleted.
create table editor_link (
    id         bigint generated always as identity primary key,
    request_id bigint not null references request,
    editor     text not null,
    origin     text not null check (origin in ('declared', 'consented', 'imported')),
    since      timestamptz not null,
    until      timestamptz
);
create unique index editor_link_live on editor_link (request_id, editor, origin) where until is null;
create index editor_link_editor on editor_link (editor, request_id) where until is null;
insert into editor_link (request_id, editor, origin, since)
select id, service_provider_id, 'declared', last_validated_at from request
where service_provider_id <> '' and last_validated_at is not null;

-- The copy of a key that waits to be handed over: until when, how it ended. The copy itself is credential.secret_sealed,
-- or the rows of key_envelope.
create table key_copy (
    credential_id uuid primary key references credential,
    until         timestamptz not null,      -- then it is destroyed: only a rotation gives another key
    ended_at      timestamptz,
    ended_how     text not null default '' check (ended_how in ('', 'shown', 'acknowledged', 'deadline', 'over')),
    ended_by      text not null default ''   -- the editor that acknowledged
);
create index key_copy_due on key_copy (until) where ended_at is null;
insert into key_copy (credential_id, until)
select id, coalesce(issued_at, created_at) + interval '30 days' from credential
where secret_sealed is not null and state in ('active', 'expiring', 'rotating', 'suspended');

-- Public keys that recipients gave: 'editor/<id>', or 'request/<id>' for its holder. What is handed over to them is
-- encrypted for this key, and the hub keeps nothing that it could open.
create table recipient_key (
    recipient text primary key,
    kid       text not null,
    jwk       json not null,
    set_at    timestamptz not null,
    set_by    text not null
);

-- A key, encrypted for one recipient (compact JWE). check_sum: the first 8 bytes of SHA-256 of the key, to recognise an
-- acknowledgement.
create table key_envelope (
    credential_id uuid not null references credential,
    recipient     text not null,
    kid           text not null,
    jwe           text not null,
    check_sum     bytea not null,
    created_at    timestamptz not null,
    primary key (credential_id, recipient)
);

-- Every fetch of a key by an editor.
create table key_fetch (
    id              uuid primary key,
    credential_id   uuid not null references credential,
    editor          text not null,
    client_id       uuid not null references api_client,
    at              timestamptz not null,
    acknowledged_at timestamptz
);
create index key_fetch_credential on key_fetch (credential_id, editor);

-- What editors follow. Rows are written in the transaction of the change, without a number; whoever reads the feed
-- numbers what is committed, under the lock of the editor's row in editor_feed. So a change that is committed late gets
-- a late number, and a reader who went past it still meets it.
create table editor_change (
    id          bigint generated always as identity primary key,
    editor      text not null,
    seq         bigint,
    type        text not null,
    object_type text not null,
    object_id   text not null,
    request_id  bigint not null,
    version     bigint not null,
    occurred_at timestamptz not null
);
create unique index editor_change_seq on editor_change (editor, seq) where seq is not null;
create index editor_change_unnumbered on editor_change (editor, id) where seq is null;
create index editor_change_occurred on editor_change (occurred_at);
create table editor_feed (
    editor    text primary key,
    last      bigint not null default 0, -- the newest number given
    forgotten bigint not null default 0  -- the newest number whose row was purged
);

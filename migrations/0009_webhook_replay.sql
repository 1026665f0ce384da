-- +goose Up

-- Sending again what an endpoint was, or would have been, told. A replay is read
-- in steps: each puts a few seconds' worth of deliveries, of rank 2, behind what
-- is owed to the endpoint, and moves cursor. A step is one transaction, so that
-- a replay goes on after a crash from where it was.
create table replay (
    id          uuid primary key,               -- v7: in the order of their making
    endpoint_id bigint not null references endpoint on delete cascade,
    scope       text not null check (scope in ('message', 'failed', 'all')),
    event_id    uuid,                           -- of scope message
    since       timestamptz,                    -- of the others: events from then on, up to created_at
    state       text not null default 'reading' check (state in ('reading', 'sending', 'done', 'cancelled')),
    cursor      uuid not null,                  -- events up to this one were read
    last        uuid not null,                  -- nothing after it is read
    paced_until timestamptz,                    -- when the last one queued is due
    queued      bigint not null default 0,      -- messages
    owed        bigint not null default 0,      -- left out: they waited already
    past        bigint not null default 0,      -- left out: their bodies are purged
    lost        bigint not null default 0,      -- given up again, and taken up by another replay since
    failed      bigint not null default 0,      -- given up again; final once done or cancelled
    withdrawn   bigint not null default 0,      -- queued, and taken back by the cancelling
    created_by  text not null default '',
    created_at  timestamptz not null,
    finished_at timestamptz
);
create index replay_endpoint on replay (endpoint_id, id);
create index replay_open on replay (endpoint_id, id) where state in ('reading', 'sending');

alter table delivery add column replay_id uuid; -- that put it here; null for what is owed anyway
create index delivery_replay on delivery (replay_id) where replay_id is not null;
-- What was given up, in the order of the events.
create index delivery_given_up on delivery (endpoint_id, event_id) where abandoned_at is not null;

-- What an endpoint is told of, by time: what replays and searches read.
create index event_definition on event (definition, id) include (type) where definition <> '';
create index event_editor on event (editor, id) include (type) where editor <> '';
create index event_editor_siret on event (editor_siret, id) include (type) where editor_siret <> '';

-- +goose Up

-- A citizen's transaction: from her commune's page to her folder. Its id is in addresses and says nothing.
-- What is personal is in body, sealed with a key that only her browser's cookie holds: not readable by the hub.
create table journey (
    id            uuid primary key,
    receiver_id   bigint not null references receiver, -- fixed at its start
    -- entered: to be admitted; away: at FranceConnect; fetching: back, her quotient is being asked;
    -- review: she sees what would be sent; sent: a folder with the same id exists; failed: she may start again.
    state         text not null check (state in ('entered', 'away', 'fetching', 'review', 'sent', 'failed')),
    failure       text not null default '',       -- why it failed, a word for the page
    key_hash      bytea not null,                 -- SHA-256 of the key in her cookie
    state_hash    bytea unique,                   -- SHA-256 of the state at FranceConnect; null once used
    left_at       timestamptz,                    -- to FranceConnect
    fetch_by      timestamptz,                    -- whoever fetches is done by then, or dead
    reference     text unique check (length(reference) = 13),
    body          bytea,
    created_at    timestamptz not null,
    expires_at    timestamptz not null,           -- idle for too long: the row is deleted
    -- Her place in a line before FranceConnect; null when she waits in none.
    line          text,
    queued_at     timestamptz,
    seen_at       timestamptz                     -- who does not come back loses her place
);
create index journey_expires on journey (expires_at);
create index journey_line on journey (line, queued_at) where line is not null;
create index journey_receiver on journey (receiver_id);

-- Keys with which a software editor signs links to its communes' pages.
create table editor_link_key (
    id         text primary key,
    editor_id  text not null,
    key_sealed bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at   timestamptz
);
create index editor_link_key_of on editor_link_key (editor_id);

-- Addresses to which an editor may have citizens sent back without signing.
create table editor_return_address (
    editor_id  text not null,
    address    text not null,
    created_at timestamptz not null,
    primary key (editor_id, address)
);

-- +goose Up

-- Who may receive quotients familiaux: one row for an organization at HubEE, by (process, SIRET, COG).
create table receiver (
    id               bigint generated always as identity primary key,
    process          text not null,
    siret            text not null check (siret ~ '^[0-9]{14}$'),
    cog              text not null check (length(cog) = 5),
    name             text not null,
    postal_code      text not null default '',
    -- approved, subscription inactive, active, delegated (hubee.md, 11); suspended: nothing is sent.
    state            text not null check (state in ('approved', 'inactive', 'active', 'delegated', 'suspended')),
    state_since      timestamptz not null,
    suspended_reason text not null default '',
    approved_at      timestamptz not null,
    subscribed_at    timestamptz,
    activated_at     timestamptz,
    delegated_at     timestamptz,
    subscription_id  text not null default '',
    delegate         text not null default '',
    wants_signature  boolean not null default false, -- a detached signature of the JSON goes with it
    identity_alone   boolean not null default false, -- takes an identity without a quotient
    updated_at       timestamptz not null,
    unique (process, siret, cog)
);

-- What gives a receiver its right: a request's habilitation. A receiver without any is suspended.
create table receiver_right (
    request_id      bigint primary key references request,
    receiver_id     bigint references receiver, -- null while the organization's commune is not known
    process         text not null,
    habilitation_id bigint not null,
    definition      text not null,
    scopes          text[] not null,
    editor_id       text not null default '',
    editor_siret    text not null default '',
    granted_at      timestamptz not null,
    ended_at        timestamptz,
    end_reason      text not null default '',
    problem         text not null default '', -- why the set-up waits, in words for its people
    problem_since   timestamptz,
    done_at         timestamptz -- HubEE holds organization and subscription
);
create index receiver_right_of on receiver_right (receiver_id) where ended_at is null;
create index receiver_right_waits on receiver_right (granted_at) where ended_at is null and done_at is null;

-- A family's folder on its way to a receiver. No personal data: that is in folder_content.
create table folder (
    id           uuid primary key,
    receiver_id  bigint not null references receiver,
    reference    text not null unique check (length(reference) = 13),
    external_id  text not null unique check (length(external_id) <= 27), -- at HubEE; another one when the folder was made anew
    state        text not null check (state in ('accepted', 'created', 'completed', 'settled', 'closed', 'lost')),
    hubee_id     text not null default '',
    case_id      text not null default '',
    made         integer not null default 0, -- folders made for it at HubEE
    case_status  text not null default '',   -- HubEE's last word
    problem      text not null default '',
    problem_since timestamptz,
    accepted_at  timestamptz not null,
    sent_at      timestamptz, -- HubEE has all of it
    settled_at   timestamptz, -- every file was seen received; what is personal is destroyed
    answered_at  timestamptz, -- DONE or REFUSED
    closed_at    timestamptz,
    updated_at   timestamptz not null,
    correlation  text not null default ''
);
create index folder_of_receiver on folder (receiver_id, accepted_at);
create index folder_case on folder (case_id) where case_id <> '';
create index folder_waits on folder (accepted_at) where state in ('accepted', 'created', 'completed');
create index folder_age on folder (accepted_at);

-- The files, sealed under a key of their own, which is sealed by the hub's: deleting the row destroys both.
create table folder_content (
    folder_id  uuid primary key references folder on delete cascade,
    key_sealed bytea not null,
    body       bytea not null
);

-- Events of cases, each recorded once; what HubEE sends of folders that we do not know stays with HubEE.
create table folder_event (
    folder_id   uuid not null references folder on delete cascade,
    event_id    text not null,
    status      text not null,
    occurred_at timestamptz,
    recorded_at timestamptz not null,
    primary key (folder_id, event_id)
);

-- Notices of our process that could not be processed: a person looks.
create table folder_dead_letter (
    notice_id  text primary key,
    case_id    text not null,
    event_id   text not null,
    reason     text not null,
    first_seen timestamptz not null,
    last_seen  timestamptz not null,
    tries      integer not null default 1
);

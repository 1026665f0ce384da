-- +goose Up

-- An order to the people who hold the keys of a manager by hand (connectors.Tasks).
create table hand_task (
    id            uuid primary key,
    manager       text not null,
    key           text not null,          -- the connector's id of it: "dp-1234-c1/open"
    kind          text not null check (kind in ('open', 'replace', 'rights', 'close')),
    credential_id uuid not null references credential,
    request_id    bigint not null references request,
    definition    text not null,
    rights        text[] not null default '{}', -- in the provider's words
    instructions  text not null default '',
    wants_key     boolean not null,
    replaces      text not null default '', -- our reference of the old credential
    grace_ms      bigint not null default 0,
    ends_at       timestamptz,
    state         text not null default 'waiting' check (state in ('waiting', 'done', 'refused', 'withdrawn')),
    secret_sealed bytea,                  -- the key that was given, until it is the credential's
    reason        text not null default '', -- of a refusal, the team's words
    asked_at      timestamptz not null,
    answered_at   timestamptz,
    mails         integer not null default 0, -- rounds of mails sent for it
    mailed_at     timestamptz not null,       -- the last of them
    remind_at     timestamptz,            -- null: no reminder follows
    unique (manager, key)
);
create index hand_task_waiting on hand_task (asked_at) where state = 'waiting';
create index hand_task_remind on hand_task (remind_at) where state = 'waiting' and remind_at is not null;
create index hand_task_credential on hand_task (credential_id);

-- +goose Up

-- The rights of a native person, with DataPass's strings ("dinum:api_entreprise:instructor", "admin").
alter table person add column roles text[] not null default '{}';
create index person_roles on person using gin (roles) where source = '';

-- Who works where. Unverified: said by an application, or by the person himself.
create table membership (
    person_id       bigint not null references person,
    organization_id bigint not null references organization,
    verified        boolean not null default false,
    created_at      timestamptz not null default now(),
    primary key (person_id, organization_id)
);
create index membership_organization on membership (organization_id);

-- Mails that a person does not want. None: all are on.
create table mail_setting (
    person_id  bigint not null references person,
    definition text not null,
    kind       text not null,            -- 'submit' or 'messages'
    enabled    boolean not null,
    updated_at timestamptz not null default now(),
    primary key (person_id, definition, kind)
);

-- The set of definitions that the request was last changed under; '' for what a source drives.
alter table request add column definition_set text not null default '';

-- Search by text: the words of a request's title, organisation and applicant, folded (store/words.go), one row a word. A
-- btree of postings gives the newest requests of a word at once, however many there are, which GIN cannot.
alter table request add column title text not null generated always as (coalesce(data ->> 'intitule', '')) stored;
alter table request add column words text[] not null default '{}';
create table request_word (
    word       text collate "C" not null,
    request_id bigint not null,          -- no foreign key: requests are never deleted, and the check would double the cost
    definition text collate "C" not null,
    primary key (word, request_id) include (definition)
);

-- Lists, newest first. That of definition and state comes with API v1.
create index request_created on request (created_at desc, id desc);
create index request_state on request (state, created_at desc, id desc);
create index request_form_state on request (form, state, created_at desc, id desc);

-- Organisations by name; the lists repeat the expression to the letter (store/list.go).
create index organization_words on organization
    using gin (to_tsvector('simple', translate(lower(name), 'àâäáãçéèêëíìîïñóòôöõúùûüýÿ''’-', 'aaaaaceeeeiiiinooooouuuuyy   ')));
create index person_email on person (email);

-- Answers to POSTs that carried an Idempotency-Key, kept for a day.
create table idempotent_answer (
    caller     text not null,
    key        text not null,
    hash       bytea not null,           -- of method, path and body
    status     integer not null,
    header     jsonb not null,
    body       bytea not null,
    created_at timestamptz not null,
    primary key (caller, key)
);
create index idempotent_answer_created on idempotent_answer (created_at);

-- The transaction that wrote a line: what is below the oldest running one is complete, and can be sealed.
alter table history add column xact bigint not null default (pg_current_xact_id()::text::bigint);
create index history_xact on history using brin (xact) with (autosummarize = on);

-- The global chain: each seal covers the newest line of every request that was written to since the one before, and the
-- seal before itself. mac is keyed: who can write to the database alone cannot make one. Append-only, like history.
create table audit_seal (
    n         bigint primary key,
    at        timestamptz not null,
    upto      bigint not null,           -- lines of transactions below are covered
    lines     bigint not null,
    heads     bigint not null,
    root      bytea not null,            -- over audit_head of the same n
    prev_hash bytea not null,
    hash      bytea not null,
    mac       bytea not null
);
create table audit_head (
    n          bigint not null references audit_seal,
    request_id bigint not null,
    seq        integer not null,
    hash       bytea not null,
    primary key (n, request_id)
);
create index audit_head_request on audit_head (request_id, seq);

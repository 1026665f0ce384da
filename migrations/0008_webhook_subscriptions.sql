-- +goose Up

-- What the owner of an endpoint chooses besides, and what its last test gave.
alter table endpoint
    add column environment        text not null default '' check (environment in ('', 'production', 'staging', 'sandbox')), -- X-App-Environment; '': the hub's
    add column contact            text not null default '',      -- address told of failures, beside the developers
    add column header_names       text[] not null default '{}',  -- of headers_sealed: names may be shown, values not
    add column previous_until     timestamptz,                   -- a rotation: the secret before signs too until then
    add column test_started_at    timestamptz,
    add column tested_at          timestamptz,
    add column test_passed        boolean not null default false,
    add column test_status        integer,
    add column test_error_class   text not null default '',
    add column test_error         text not null default '',
    add column test_duration_ms   integer not null default 0,
    add column test_answer        text not null default '',      -- its first characters
    add column disabled_by        text not null default '';      -- an actor; 'hub' when it was not a person
create index endpoint_previous on endpoint (previous_until) where previous_until is not null;

-- An editor may be bound by its SIRET, whatever ids its forms name it by.
alter table event add column editor_siret text not null default '';

-- Who did what to which endpoint, and when: append-only, it outlives the endpoint.
create table endpoint_change (
    id          bigint generated always as identity primary key,
    endpoint_id bigint not null,
    at          timestamptz not null,
    actor       text not null,          -- "person:12", "client:<uid>", "operator:<name>", "hub"
    event       text not null,          -- created changed tested enabled disabled secret_rotated rotation_ended deleted
    detail      jsonb not null default '{}',
    correlation text not null default ''
);
create index endpoint_change_endpoint on endpoint_change (endpoint_id, id);

-- A deleted endpoint whose deliveries are still to be removed, a batch at a time.
create table endpoint_removed (
    endpoint_id bigint primary key,
    at          timestamptz not null
);

-- The answer to a creation holds a secret: it is kept sealed.
alter table idempotent_answer add column sealed boolean not null default false;

-- +goose Up

-- An application belongs to a person, whose developer roles are its rights (datapass.md, 3.1). One without an owner is an
-- operator's own machine, such as a gateway that introspects; its definitions are listed in its row.
alter table api_client add column owner_id bigint references person;
create index api_client_owner on api_client (owner_id) where owner_id is not null;

-- Access tokens of applications, as SHA-256. Expired ones stay a while, so that a client is told so.
create table access_token (
    sha256     bytea primary key,
    client_id  uuid not null references api_client on delete cascade,
    scopes     text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz
);
create index access_token_expires on access_token (expires_at);
create index access_token_client on access_token (client_id);

-- Who a person is at an OpenID Connect issuer: at most one subject of each, so that a reused address is noticed.
create table person_identity (
    issuer     text not null,
    subject    text not null,
    person_id  bigint not null references person,
    created_at timestamptz not null default now(),
    primary key (issuer, subject)
);
create unique index person_identity_person on person_identity (person_id, issuer);

-- Who gave or took which role, and when: append-only.
create table role_change (
    id        bigint generated always as identity primary key,
    person_id bigint not null references person,
    at        timestamptz not null,
    actor     text not null,
    granted   text[] not null default '{}',
    revoked   text[] not null default '{}'
);
create index role_change_person on role_change (person_id, id);

-- Our own ids start beyond those of any source, so that a number shown by the API names one thing: a lower one is a source's.
alter table request alter column id restart with 1000000000;
alter table habilitation alter column id restart with 1000000000;
alter table organization alter column id restart with 1000000000;
alter table person alter column id restart with 1000000000;

-- What API v1 lists and filters.
create index organization_siret on organization (siret);
create index request_definition_state on request (definition, state, created_at desc, id desc);
create index request_source_id on request (external_id) where external_id is not null;
alter table habilitation add column updated_at timestamptz not null default now();
create index habilitation_updated on habilitation (updated_at, id);
create index habilitation_source_id on habilitation (external_id) where external_id is not null;
create index habilitation_siret on habilitation ((organization ->> 'SIRET'), created_at desc, id desc);

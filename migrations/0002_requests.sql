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

-- +goose Up

-- A later end that was asked for; the manager that enforces ends must take it first.
alter table credential add column prolong_until timestamptz;
-- Addresses and networks from which a gateway should take the key; none: any.
alter table credential add column allowed_ips text[] not null default '{}';
-- A key is found by its value at each introspection that does not know it yet.
create index credential_fingerprint on credential (fingerprint) where fingerprint is not null;
create index credential_issued on credential (definition, issued_at) where state in ('active', 'expiring');

-- What introspection says of a credential changed. Replicas read it several times a second and forget what they keep of it.
-- A row is kept some minutes; whoever did not look for as long forgets everything.
--
-- Numbers of a sequence become visible out of order: a reader that remembers the last one would miss the others. The
-- transaction's id does not lie: all below the oldest running one is settled, and a reader goes on from there.
create table credential_change (
    xid           xid8 not null default pg_current_xact_id(),
    credential_id uuid not null,
    at            timestamptz not null default clock_timestamp()
);
create index credential_change_xid on credential_change (xid);
create index credential_change_at on credential_change (at);
alter table credential_change set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- +goose StatementBegin
create function tell_credential_change() returns trigger language plpgsql as $$
begin
    insert into credential_change (credential_id) values (new.id);
    return null;
end
$$;
-- +goose StatementEnd
create trigger credential_changed after update on credential for each row
    when (old.state is distinct from new.state or old.scopes is distinct from new.scopes or old.expires_at is distinct from new.expires_at
          or old.old_until is distinct from new.old_until or old.allowed_ips is distinct from new.allowed_ips
          or old.issued_at is distinct from new.issued_at or old.fingerprint is distinct from new.fingerprint)
    execute function tell_credential_change();

-- The holder's SIRET is part of the answer.
-- +goose StatementBegin
create function tell_holder_change() returns trigger language plpgsql as $$
begin
    insert into credential_change (credential_id) select id from credential where request_id = new.id;
    return null;
end
$$;
-- +goose StatementEnd
create trigger request_holder_changed after update on request for each row
    when (old.organization_id is distinct from new.organization_id)
    execute function tell_holder_change();
-- +goose StatementBegin
create function tell_siret_change() returns trigger language plpgsql as $$
begin
    insert into credential_change (credential_id)
    select c.id from credential c join request r on r.id = c.request_id where r.organization_id = new.id;
    return null;
end
$$;
-- +goose StatementEnd
create trigger organization_siret_changed after update on organization for each row
    when (old.siret is distinct from new.siret)
    execute function tell_siret_change();

-- Which sealing keys each process holds, and with which it seals: an old key may go when none seals with it any more.
create table sealing_process (
    id      uuid primary key,
    name    text not null,     -- host and process number, for people
    active  text not null,
    keys    text[] not null,
    seen_at timestamptz not null
);

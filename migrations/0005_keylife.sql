-- +goose Up

-- A rotation: the credential that is made, the one that it replaces, and what the manager said of the overlap.
create table rotation (
    credential_id uuid primary key references credential, -- the new one
    old_id        uuid not null references credential,
    grace_ms      bigint not null,
    reason        text not null default '',
    asked_at      timestamptz not null,
    asked_by      text not null,
    overlap       text not null default '' check (overlap in ('', 'overlap', 'fixed', 'cutover')), -- '' until the manager answered
    rotated_at    timestamptz
);
create index rotation_old on rotation (old_id);

-- A notice of a coming end. It is written with its mails, in one transaction: each is sent once.
create table expiry_notice (
    credential_id uuid not null references credential,
    days          integer not null,
    expires_at    timestamptz not null, -- a prolonged credential has its notices again
    sent_at       timestamptz not null,
    primary key (credential_id, days, expires_at)
);

-- Credentials whose end comes near, and the old ones of rotations.
create index credential_end on credential (expires_at) where state in ('active', 'expiring', 'suspended', 'rotating', 'expired');
create index credential_replaces on credential (replaces) where replaces is not null;

-- name: Partners :many
select * from partner order by name;

-- name: PartnerByName :one
select * from partner where name = @name;

-- name: PausePartner :exec
insert into partner (name, paused_until, paused_by, class, reason, failures, since)
values (@name, @paused_until, @paused_by, @class, @reason, 1, now())
on conflict (name) do update
set paused_until = excluded.paused_until, paused_by = excluded.paused_by, class = excluded.class, reason = excluded.reason,
    since = coalesce(partner.since, now());

-- name: PartnerFailed :one
-- One more failure in a row.
insert into partner (name, class, reason, failures, since)
values (@name, @class, @reason, 1, now())
on conflict (name) do update
set class = excluded.class, reason = excluded.reason, failures = partner.failures + 1, since = coalesce(partner.since, now())
returning failures;

-- name: PartnerOK :execrows
-- The partner answered: nothing is written when nothing was wrong.
update partner set paused_until = null, paused_by = '', class = '', reason = '', failures = 0, since = null, last_ok_at = now()
where name = @name and (failures > 0 or paused_until is not null);

-- name: PartnersToProbe :many
select * from partner where paused_until is not null and paused_until <= now() and paused_by = 'hub';

-- name: DefinitionSetInForce :one
select s.hash, s.bundle, f.since from definition_set_in_force f join definition_set s on s.hash = f.hash;

-- name: InsertDefinitionSet :exec
insert into definition_set (hash, bundle) values (@hash, @bundle) on conflict (hash) do nothing;

-- name: PutDefinitionSetInForce :exec
insert into definition_set_in_force (singleton, hash) values (true, @hash)
on conflict (singleton) do update set hash = excluded.hash, since = now()
where definition_set_in_force.hash <> excluded.hash;

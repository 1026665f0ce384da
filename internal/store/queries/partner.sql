-- name: Partners :many
select * from partner order by name;

-- name: PartnerByName :one
select * from partner where name = @name;

-- name: PausePartner :execrows
-- What an operator paused stays hers: the hub neither shortens nor takes over her pause.
insert into partner (name, paused_until, paused_by, class, reason, failures, since)
values (@name, @paused_until, @paused_by, @class, @reason, 0, now())
on conflict (name) do update
set paused_until = excluded.paused_until, paused_by = excluded.paused_by, class = excluded.class, reason = excluded.reason,
    since = coalesce(partner.since, now())
where excluded.paused_by <> 'hub' or partner.paused_until is null or partner.paused_by = 'hub';

-- name: PartnerFailed :one
-- One more failure in a row. Calls that were under way when the partner was paused say nothing new: many at once
-- would make it rest for the longest time.
insert into partner (name, class, reason, failures, since)
values (@name, @class, @reason, 1, now())
on conflict (name) do update
set class = excluded.class, reason = excluded.reason, failures = partner.failures + case when partner.paused_until > now() then 0 else 1 end, since = coalesce(partner.since, now())
returning failures;

-- name: PartnerOK :one
-- The partner answered: no row when nothing was wrong, or when an operator paused it. Tells whether it was paused.
update partner p
set paused_until = null, paused_by = '', class = '', reason = '', failures = 0, since = null, last_ok_at = now()
from (select b.name, b.paused_until from partner b
      where b.name = @name and (b.failures > 0 or b.paused_until is not null) and b.paused_by in ('', 'hub') for update) as was
where p.name = was.name
returning (was.paused_until is not null)::boolean as was_paused;

-- name: ResumePartner :exec
-- An operator says so.
update partner set paused_until = null, paused_by = '', class = '', reason = '', failures = 0, since = null
where name = @name;

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

-- name: DefinitionSetHashInForce :one
select hash, since from definition_set_in_force;

-- name: DefinitionSetKnown :one
select exists (select from definition_set where hash = @hash)::boolean;

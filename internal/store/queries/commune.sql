-- name: SetReceiverPlace :exec
-- What is empty is not known: what was stays.
update receiver
set place = coalesce(nullif(@place::text, ''), place), legal_category = coalesce(nullif(@legal_category::text, ''), legal_category), updated_at = @now
where id = @id and (@place::text not in ('', place) or @legal_category::text not in ('', legal_category));

-- name: ReceiversOfSiret :many
select * from receiver where process = @process and siret = @siret order by cog;

-- name: ReceiversOfCog :many
-- The commune itself first: its CCAS and its caisse des écoles have the same code.
select * from receiver
where process = @process and cog = @cog and state in ('active', 'delegated')
order by kind <> 'commune', siret;

-- name: ReceivingNow :many
select name, siret, cog from receiver
where process = @process and state in ('active', 'delegated')
order by departement, sort_name, id;

-- name: ReceiverCounts :many
select state, count(*)::bigint as n from receiver where process = @process group by state;

-- name: ReceiversInState :many
-- Who has been longest in it first.
select * from receiver where process = @process and state = @state order by state_since, id limit @max_rows;

-- name: ReceiverWhy :many
-- Why those receivers wait: the words of their rights that have not ended.
select receiver_id::bigint as receiver_id, request_id, problem from receiver_right
where receiver_id = any(@receivers::bigint[]) and ended_at is null order by granted_at desc, request_id desc;


-- name: UnlocatedRight :one
-- The newest right of an organization whose commune is not known.
select rr.request_id, rr.definition from receiver_right rr
join request r on r.id = rr.request_id
join organization o on o.id = r.organization_id
where rr.process = @process and o.siret = @siret::text and rr.ended_at is null and rr.receiver_id is null
order by rr.granted_at desc, rr.request_id desc limit 1;

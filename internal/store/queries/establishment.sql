-- name: OrganizationsDue :many
-- Native organizations that INSEE is to be asked of, those that wait longest first.
select id, siret::text as siret from organization
where source = '' and siret is not null and insee_due_at <= @at
order by insee_due_at, id
limit @most;

-- name: SaveEstablishment :execrows
update organization set insee_payload = @payload, name = coalesce(nullif(@name::text, ''), name), insee_due_at = @due_at,
    insee_problem = '', updated_at = @at
where id = @id and source = '';

-- name: SaveEstablishmentProblem :execrows
update organization set insee_problem = @problem, insee_due_at = @due_at where id = @id and source = '';

-- name: EstablishmentProblem :one
select insee_problem from organization where id = @id and source = '';

-- name: RightsWaitingForINSEE :many
-- Requests whose right to receive folders waits for where their organization is.
select q.request_id from receiver_right q
join request r on r.id = q.request_id
where r.organization_id = @organization_id and q.ended_at is null and q.receiver_id is null
order by q.request_id;

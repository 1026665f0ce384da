-- name: DeclaredEditors :many
select editor from editor_link where request_id = @request_id and origin = 'declared' and until is null;

-- name: EndDeclared :many
-- Ends the declared links of a request to other editors than this one.
update editor_link set until = @at
where request_id = @request_id and origin = 'declared' and until is null and editor <> @editor
returning editor;

-- name: MakeDeclared :execrows
insert into editor_link (request_id, editor, origin, since) values (@request_id, @editor, 'declared', @at)
on conflict (request_id, editor, origin) where until is null do nothing;

-- name: EditorsOfRequest :many
select distinct editor from editor_link where request_id = @request_id and until is null order by editor;

-- name: LinkOrigins :many
-- By what a request is bound to an editor now.
select origin from editor_link where request_id = @request_id and editor = @editor and until is null order by origin;

-- name: InsertEditorChanges :exec
-- One row for each editor that the request is bound to.
insert into editor_change (editor, type, object_type, object_id, request_id, version, occurred_at)
select distinct l.editor, @type::text, @object_type::text, @object_id::text, l.request_id, @version::bigint, @occurred_at::timestamptz
from editor_link l
where l.request_id = @request_id and l.until is null;

-- name: InsertEditorChange :exec
insert into editor_change (editor, type, object_type, object_id, request_id, version, occurred_at)
values (@editor, @type, @object_type, @object_id, @request_id, @version, @occurred_at);

-- name: EnsureEditorFeed :exec
insert into editor_feed (editor) values (@editor) on conflict do nothing;

-- name: LockEditorFeed :one
select * from editor_feed where editor = @editor for update;

-- name: EditorFeed :one
select * from editor_feed where editor = @editor;

-- name: UnnumberedChanges :many
select id from editor_change where editor = @editor and seq is null order by id limit @max_rows;

-- name: NumberChanges :exec
update editor_change set seq = n.seq
from (select unnest(@ids::bigint[]) as id, unnest(@seqs::bigint[]) as seq) n
where editor_change.id = n.id;

-- name: SetEditorFeedLast :exec
update editor_feed set last = @last where editor = @editor;

-- name: EditorChanges :many
select * from editor_change where editor = @editor and seq > @after::bigint order by seq limit @max_rows;

-- name: FeedsToForget :many
-- Editors with changes older than a time, numbered or not.
select distinct editor from editor_change where occurred_at < @before;

-- name: ForgetChanges :one
-- Deletes the oldest numbered changes, in the order of their numbers, and says how far that went.
with old as (
    delete from editor_change e
    where e.editor = @editor and e.seq is not null and e.seq in (
        select c.seq from editor_change c
        where c.editor = @editor and c.seq is not null and c.occurred_at < @before
          and c.seq < coalesce((select min(k.seq) from editor_change k where k.editor = @editor and k.seq is not null and k.occurred_at >= @before), 9223372036854775807)
        order by c.seq limit @max_rows)
    returning e.seq
)
select coalesce(max(old.seq), 0)::bigint from old;

-- name: SetEditorFeedForgotten :exec
update editor_feed set forgotten = @forgotten where editor = @editor and forgotten < @forgotten;

-- name: InsertKeyCopy :exec
insert into key_copy (credential_id, until) values (@credential_id, @until) on conflict do nothing;

-- name: KeyCopy :one
select * from key_copy where credential_id = @credential_id;

-- name: EndKeyCopy :execrows
update key_copy set ended_at = @ended_at, ended_how = @ended_how, ended_by = @ended_by where credential_id = @credential_id and ended_at is null;

-- name: DueCopies :many
-- Copies past their deadline, and those left by keys that are over.
select k.credential_id from key_copy k
join credential c on c.id = k.credential_id
where k.ended_at is null and (k.until <= @now or c.state not in ('active', 'expiring', 'rotating', 'suspended'))
order by k.until limit @max_rows;

-- name: PutRecipientKey :exec
insert into recipient_key (recipient, kid, jwk, set_at, set_by) values (@recipient, @kid, @jwk, @set_at, @set_by)
on conflict (recipient) do update set kid = excluded.kid, jwk = excluded.jwk, set_at = excluded.set_at, set_by = excluded.set_by;

-- name: DeleteRecipientKey :execrows
delete from recipient_key where recipient = @recipient;

-- name: RecipientKey :one
select * from recipient_key where recipient = @recipient;

-- name: InsertEnvelope :exec
insert into key_envelope (credential_id, recipient, kid, jwe, check_sum, created_at)
values (@credential_id, @recipient, @kid, @jwe, @check_sum, @created_at);

-- name: Envelope :one
select * from key_envelope where credential_id = @credential_id and recipient = @recipient;

-- name: EnvelopesOf :many
select recipient, kid from key_envelope where credential_id = @credential_id order by recipient;

-- name: DeleteEnvelopes :execrows
delete from key_envelope where credential_id = @credential_id;

-- name: DefinitionsToEnclose :many
-- Definitions with a sealed copy whose request has a recipient with a key of its own.
select distinct c.definition from credential c
join key_copy k on k.credential_id = c.id and k.ended_at is null
where c.secret_sealed is not null and c.state in ('active', 'expiring', 'rotating', 'suspended')
  and exists (
      select 1 from recipient_key r
      where r.recipient = 'request/' || c.request_id
         or r.recipient in (select 'editor/' || l.editor from editor_link l where l.request_id = c.request_id and l.until is null));

-- name: CopiesToEnclose :many
-- Sealed copies whose holder gave a key, or whose editor did and may fetch: by a link of any origin for the definitions
-- of any_link, by consent for those of by_consent.
select c.id from credential c
join key_copy k on k.credential_id = c.id and k.ended_at is null
where c.secret_sealed is not null and c.state in ('active', 'expiring', 'rotating', 'suspended')
  and (exists (select 1 from recipient_key r where r.recipient = 'request/' || c.request_id)
    or exists (
      select 1 from editor_link l join recipient_key r on r.recipient = 'editor/' || l.editor
      where l.request_id = c.request_id and l.until is null
        and (c.definition = any (@any_link::text[]) or (c.definition = any (@by_consent::text[]) and l.origin = 'consented'))))
order by k.until limit @max_rows;

-- name: InsertFetch :exec
insert into key_fetch (id, credential_id, editor, client_id, at) values (@id, @credential_id, @editor, @client_id, @at);

-- name: CountFetches :one
select count(*) from key_fetch where credential_id = @credential_id and editor = @editor;

-- name: Fetch :one
select * from key_fetch where id = @id and credential_id = @credential_id and editor = @editor;

-- name: AcknowledgeFetch :exec
update key_fetch set acknowledged_at = @at where id = @id and acknowledged_at is null;

-- name: FetchesOf :many
select f.id, f.editor, f.client_id, f.at, f.acknowledged_at from key_fetch f where f.credential_id = @credential_id order by f.at, f.id;

-- name: LockEditorClients :exec
-- Machines of one editor are made one at a time.
select pg_advisory_xact_lock(hashtextextended('editor_clients/' || @editor::text, 0));

-- name: CountEditorClients :one
select count(*) from api_client where editor = @editor and disabled_at is null;

-- name: EditorClients :many
-- The organisations of the requests that an editor is bound to, by SIRET.
select o.siret::text as siret, min(o.name)::text as name, count(*)::bigint as requests, max(r.updated_at)::timestamptz as updated_at,
       array_agg(distinct r.definition order by r.definition)::text[] as definitions
from request r
join organization o on o.id = r.organization_id
where r.id in (select l.request_id from editor_link l where l.editor = @editor and l.until is null)
  and o.siret is not null and o.siret > @after
  and (@siret::text = '' or o.siret = @siret) and (@definition::text = '' or r.definition = @definition)
group by o.siret
order by o.siret limit @max_rows;

-- name: EditorHabilitations :many
-- The habilitations of the requests that an editor is bound to, oldest first.
select h.id, h.external_id, h.definition, h.form, h.state, h.created_at, h.updated_at, r.id as request_id, r.external_id as request_external_id,
       r.public_id, r.origin, r.state as request_state, r.title, r.version, o.siret, o.name,
       array(select distinct l.origin from editor_link l where l.request_id = r.id and l.editor = @editor and l.until is null order by 1)::text[] as origins
from habilitation h
join request r on r.id = h.request_id
join organization o on o.id = r.organization_id
where r.id in (select l.request_id from editor_link l where l.editor = @editor and l.until is null)
  and h.id > @after::bigint
  and (@id::bigint = 0 or h.id = @id)
  and (@siret::text = '' or o.siret = @siret) and (@definition::text = '' or h.definition = @definition)
  and (@state::text = '' or h.state = @state)
  and (h.updated_at >= @updated_since::timestamptz or r.updated_at >= @updated_since)
order by h.id limit @max_rows;

-- name: EditorKeys :many
-- The keys of the requests that an editor is bound to, in the order of their ids, with where their hand-over stands.
select k.* from (
    select c.id, c.request_id, c.habilitation_id, c.definition, c.manager, c.state, c.scopes, c.hint, c.replaces, c.expires_at, c.issued_at,
           c.old_until, c.created_at, c.updated_at, r.external_id as request_external_id, r.form, r.title, o.siret, o.name,
           p.until as available_until, p.ended_at, p.ended_how,
           coalesce(e.kid, '')::text as kid,
           (select x.old_until from credential x where x.id = c.replaces) as old_valid_until,
           (case
               when c.state in ('requested', 'prepared', 'issuing', 'failed') then 'pending'
               when c.state not in ('active', 'expiring', 'rotating') or (c.expires_at is not null and c.expires_at <= @now)
                 or (c.state = 'rotating' and c.old_until is not null and c.old_until <= @now) then 'over'
               when p.ended_how in ('shown', 'acknowledged') then 'delivered'
               when p.ended_how = 'provider' then 'provider'
               when p.credential_id is null or p.ended_at is not null or p.until <= @now then 'destroyed'
               when not (c.definition = any (@any_link::text[])
                 or (c.definition = any (@by_consent::text[]) and exists (
                     select 1 from editor_link l where l.request_id = r.id and l.editor = @editor and l.until is null and l.origin = 'consented'))) then 'not_allowed'
               when c.secret_sealed is not null or e.kid is not null then 'ready'
               else 'holder_only'
           end)::text as hand_over
    from credential c
    join request r on r.id = c.request_id
    join organization o on o.id = r.organization_id
    left join key_copy p on p.credential_id = c.id
    left join key_envelope e on e.credential_id = c.id and e.recipient = 'editor/' || @editor::text
    where r.id in (select l.request_id from editor_link l where l.editor = @editor and l.until is null)
      and c.state <> 'cancelled' and c.id > @after::uuid
      and (@id::uuid = '00000000-0000-0000-0000-000000000000' or c.id = @id)
      and (@siret::text = '' or o.siret = @siret) and (@definition::text = '' or c.definition = @definition)
) k
where (@hand_over::text = '' or k.hand_over = @hand_over)
order by k.id limit @max_rows;

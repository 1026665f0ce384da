package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// RetryQueueNow makes the jobs of a River queue that wait for their next try
// due now: their partner answers again. Those that failed tries times or more
// keep their own waits: what fails while its partner answers is not hurried
// through its last tries.
func RetryQueueNow(ctx context.Context, tx pgx.Tx, queue string, tries int) error {
	_, err := tx.Exec(ctx, `update river_job set scheduled_at = now() where queue = $1 and state = 'retryable' and attempt < $2`, queue, tries)
	return err
}

// StaleInbound gives the requests whose events wait since before a time
// although no job is about to apply them: their wake-up was lost, or their job
// was given up. Requests whose job waits or retries are left to it, so that a
// long queue is not made longer.
func (s *Store) StaleInbound(ctx context.Context, before time.Time, limit int) ([]InboundKey, error) {
	rows, err := s.pool.Query(ctx, `
		select i.source, i.external_id
		from (select distinct source, external_id from inbound_event where state = 'received' and received_at < $1) i
		where not exists (
			select from river_job j
			where j.kind = 'apply_inbound' and j.state in ('available', 'pending', 'retryable', 'running', 'scheduled')
			  and j.args @> jsonb_build_object('source', i.source, 'external_id', i.external_id))
		limit $2`, before, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[InboundKey])
}

// AbandonedCredential is one whose work no job is about to do.
type AbandonedCredential struct {
	ID       uuid.UUID
	Manager  string
	Revoking bool
	Ending   bool // it ended by itself
}

// AbandonedCredentials gives the credentials that nobody touched since before
// and that have work to do, no final refusal and no job: it was given up after
// its last try, or deleted.
func (s *Store) AbandonedCredentials(ctx context.Context, before time.Time, limit int) ([]AbandonedCredential, error) {
	rows, err := s.pool.Query(ctx, `
		select c.id, c.manager, c.state in ('revoking', 'revoked_at_hub'), c.state in ('expired', 'rotating') and not c.grants_pending
		from credential c
		where (c.state in ('requested', 'prepared', 'issuing', 'revoking', 'revoked_at_hub')
		       or c.state = 'expired' and c.verified_at is null or c.state = 'rotating' and c.old_until < $1
		       or (c.grants_pending or c.prolong_until is not null) and c.state in ('active', 'expiring', 'rotating'))
		  and c.manager <> '' and c.updated_at < $1
		  and not exists (select from provisioning_step p where p.credential_id = c.id and p.state = 'failed')
		  and not exists (
			select from river_job j
			where j.kind in ('provision_credential', 'revoke_credential', 'end_credential') and j.state in ('available', 'pending', 'retryable', 'running', 'scheduled')
			  and j.args @> jsonb_build_object('credential_id', c.id))
		order by c.updated_at
		limit $2`, before, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[AbandonedCredential])
}

// AbandonedMails gives the mails queued before a time that no job is about to send.
func (s *Store) AbandonedMails(ctx context.Context, before time.Time, limit int) ([]uuid.UUID, error) {
	rows, err := s.pool.Query(ctx, `
		select m.id from mail m
		where m.state = 'queued' and m.created_at < $1
		  and not exists (
			select from river_job j
			where j.kind = 'send_mail' and j.state in ('available', 'pending', 'retryable', 'running', 'scheduled')
			  and j.args @> jsonb_build_object('mail_id', m.id))
		order by m.created_at
		limit $2`, before, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// jobAlive is true of a job that will run again.
const jobAlive = `j.state in ('available', 'pending', 'retryable', 'running', 'scheduled')`

// AbandonedFolders gives the folders that nobody touched since before and that
// have a way to go, but no job: it was given up after its last try, or deleted.
func (s *Store) AbandonedFolders(ctx context.Context, before time.Time, limit int) ([]uuid.UUID, error) {
	rows, err := s.pool.Query(ctx, `
		select f.id from folder f join receiver r on r.id = f.receiver_id
		where f.state in ('accepted', 'created', 'completed') and f.updated_at < $1 and (r.state in ('active', 'delegated') or f.state <> 'accepted')
		  and not exists (select from river_job j where j.kind = 'send_folder' and `+jobAlive+` and j.args @> jsonb_build_object('folder_id', f.id))
		order by f.accepted_at limit $2`, before, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// AbandonedRights gives the requests whose receiver is not set up yet although
// no job is about to do it.
func (s *Store) AbandonedRights(ctx context.Context, before time.Time, limit int) ([]int64, error) {
	rows, err := s.pool.Query(ctx, `
		select r.request_id from receiver_right r
		where r.ended_at is null and r.done_at is null and r.granted_at < $1
		  and not exists (select from river_job j where j.kind = 'register_receiver' and `+jobAlive+` and j.args @> jsonb_build_object('request_id', r.request_id))
		order by r.granted_at limit $2`, before, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// NextTries says when the queue takes up credentials again, by id; none for
// those with no job that waits.
func (s *Store) NextTries(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]time.Time, error) {
	rows, err := s.pool.Query(ctx, `
		select c.id, min(j.scheduled_at)
		from unnest($1::uuid[]) c (id)
		join river_job j on j.args @> jsonb_build_object('credential_id', c.id)
		where j.kind in ('provision_credential', 'revoke_credential', 'end_credential') and j.state in ('available', 'pending', 'retryable', 'scheduled')
		group by c.id`, ids)
	if err != nil {
		return nil, err
	}
	next := map[uuid.UUID]time.Time{}
	var id uuid.UUID
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error { next[id] = at; return nil })
	return next, err
}

package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// RetryQueueNow makes every job of a River queue that waits for its next try
// due now: its partner answers again.
func RetryQueueNow(ctx context.Context, tx pgx.Tx, queue string) error {
	_, err := tx.Exec(ctx, `update river_job set scheduled_at = now() where queue = $1 and state = 'retryable'`, queue)
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

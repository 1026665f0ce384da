package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// RetryQueueNow makes every job of a River queue that waits for its next try
// due now: its partner answers again.
func RetryQueueNow(ctx context.Context, tx pgx.Tx, queue string) error {
	_, err := tx.Exec(ctx, `update river_job set scheduled_at = now() where queue = $1 and state = 'retryable'`, queue)
	return err
}

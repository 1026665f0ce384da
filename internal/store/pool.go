package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// OpenPool gives connections to the hub's database. Limits are set by
// statement, not as start-up parameters: poolers refuse those. A URL that
// cannot be read is told without its text, which holds a password.
func OpenPool(ctx context.Context, url string, maxConns int, statementTimeout time.Duration) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("database.url cannot be read")
	}
	c.MaxConns = int32(maxConns)
	limits := fmt.Sprintf("set statement_timeout = %d; set idle_in_transaction_session_timeout = 30000", statementTimeout.Milliseconds())
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		plainUUIDs(conn.TypeMap())
		plainJSON(conn.TypeMap())
		_, err := conn.Exec(ctx, limits)
		return err
	}
	return pgxpool.NewWithConfig(ctx, c)
}

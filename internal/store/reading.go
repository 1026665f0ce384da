package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// readings reads whole requests, those that are asked for at the same time
// together: each statement begins after whoever waits for it has asked.
type readings struct {
	q       *db.Queries
	waiting gatherer[*reading]
}

// reading is one request that somebody waits for.
type reading struct {
	id   int64
	row  db.WholeRequestsRow
	err  error
	done chan struct{}
}

const (
	maxReadings    = 32               // requests in one statement
	readingWorkers = 3                // statements at once
	readingLimit   = 20 * time.Second // for a connection and the answer
)

func newReadings(q *db.Queries) *readings {
	r := &readings{q: q}
	r.waiting = gatherer[*reading]{work: r.together, max: maxReadings, workers: readingWorkers}
	return r
}

// read gives a request's row; pgx.ErrNoRows for none.
func (r *readings) read(ctx context.Context, id int64) (db.WholeRequestsRow, error) {
	if err := ctx.Err(); err != nil {
		return db.WholeRequestsRow{}, err // he has left: nobody reads for him
	}
	own := &reading{id: id, done: make(chan struct{})}
	r.waiting.add(own)
	select {
	case <-own.done:
		return own.row, own.err
	case <-ctx.Done():
		return db.WholeRequestsRow{}, ctx.Err()
	}
}

// rows reads the rows of some ids. Nobody's request ends the process: a panic is
// an error of those who wait.
func (r *readings) rows(ctx context.Context, ids []int64) (rows []db.WholeRequestsRow, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			rows, err = nil, fmt.Errorf("panic in a reading: %v", fault)
		}
	}()
	return r.q.WholeRequests(ctx, ids)
}

// together reads for all who wait, whoever of them leaves meanwhile.
func (r *readings) together(batch []*reading) {
	ctx, cancel := context.WithTimeout(context.Background(), readingLimit)
	defer cancel()
	ids := make([]int64, len(batch))
	for i, one := range batch {
		ids[i] = one.id
	}
	rows, err := r.rows(ctx, ids)
	found := make(map[int64]int, len(rows))
	for i := range rows {
		found[rows[i].ID] = i
	}
	for _, one := range batch {
		if i, ok := found[one.id]; ok {
			one.row = rows[i]
		} else if one.err = err; err == nil {
			one.err = pgx.ErrNoRows
		}
		close(one.done)
	}
}

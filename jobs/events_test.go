package jobs

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/eventtype/eventtypetest"
)

// checkEvents holds what a test has published against the catalogue.
func checkEvents(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	type published struct {
		Type string
		Body []byte
	}
	rows, err := pool.Query(context.Background(), `select type, body::text::bytea from event where body is not null`)
	if err != nil {
		t.Fatal(err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[published])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		typ, known := eventtype.Lookup(e.Type)
		if !known {
			t.Errorf("%s was published, and is not in the catalogue", e.Type)
		} else if err := eventtypetest.Check(typ, eventtype.Standard, e.Body); err != nil {
			t.Errorf("%s: %v\n%s", e.Type, err, e.Body)
		}
	}
}

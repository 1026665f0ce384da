package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func TestIDsAreWrittenAndReadWhole(t *testing.T) {
	t.Parallel()
	pool, err := store.OpenPool(t.Context(), pgtest.URL(t, store.Migrate), 2, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ids := []uuid.UUID{uuid.New(), uuid.Nil, uuid.Max}
	var text []string
	var one uuid.UUID
	var none *uuid.UUID
	var back []uuid.UUID
	err = pool.QueryRow(t.Context(), `select $1::uuid[]::text[], $2::uuid, $3::uuid, $1::uuid[]`, ids, ids[0], none).Scan(&text, &one, &none, &back)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if text[i] != id.String() {
			t.Errorf("%s was written as %s", id, text[i])
		}
	}
	if diff := cmp.Diff(ids, back); diff != "" || one != ids[0] || none != nil {
		t.Errorf("read back: %s, %s, %v", diff, one, none)
	}
	// As text, for a column that is not an id's; and in both directions as null.
	var shown string
	var some *uuid.UUID
	if err := pool.QueryRow(t.Context(), `select $1::text, $2::uuid`, ids[0], &ids[2]).Scan(&shown, &some); err != nil || shown != ids[0].String() || *some != ids[2] {
		t.Errorf("%s, %v, %v", shown, some, err)
	}
}

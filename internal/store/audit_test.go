package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// tell adds a line to a request's history.
func tell(t *testing.T, s *store.Store, request int64, event string) {
	t.Helper()
	err := s.InTx(t.Context(), func(tx *store.Tx) error {
		return tx.AppendHistory(t.Context(), request, store.Line{
			At: time.Now(), Actor: "person:1", Event: event, Reason: "parce que", Detail: map[string]any{"diff": map[string]any{"é": []any{nil, "1"}}},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sealed(t *testing.T, s *store.Store) (store.Seal, bool) {
	t.Helper()
	var seal store.Seal
	var made bool
	err := s.InTx(t.Context(), func(tx *store.Tx) error {
		var err error
		seal, made, err = tx.SealHistory(t.Context(), time.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seal, made
}

// settle waits until the transactions of tests beside this one, on the same
// server, no longer hold the lines back.
func settle(t *testing.T, s *store.Store) {
	t.Helper()
	for range 1000 {
		var over bool
		if err := s.Pool().QueryRow(t.Context(),
			`select pg_snapshot_xmin(pg_current_snapshot())::text::bigint > (select max(xact) from history)`).Scan(&over); err != nil {
			t.Fatal(err)
		}
		if over {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("a transaction lasts")
}

func verified(t *testing.T, s *store.Store, known ...[]byte) store.Audit {
	t.Helper()
	a, err := s.VerifyHistory(t.Context(), known...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// archive is a store with three requests, three lines each, under two seals and
// one line not sealed yet.
func archive(t *testing.T) (*store.Store, []int64, [][]byte) {
	t.Helper()
	s := fill(t, 3)
	var requests []int64
	var seals [][]byte
	for _, r := range s.requests {
		requests = append(requests, r.ID)
	}
	for round := range 3 {
		for _, id := range requests {
			tell(t, s.Store, id, fmt.Sprintf("event_%d", round))
		}
		if round < 2 {
			settle(t, s.Store)
			seal, made := sealed(t, s.Store)
			if !made || seal.Lines != 3 || seal.Heads != 3 || seal.N != int64(round)+1 {
				t.Fatalf("seal %+v, made %t", seal, made)
			}
			seals = append(seals, seal.Hash)
		}
	}
	return s.Store, requests, seals
}

func TestAnUntouchedHistoryIsWhole(t *testing.T) {
	s, _, seals := archive(t)
	a := verified(t, s, seals...)
	if len(a.Flaws) > 0 || a.Requests != 3 || a.Lines != 9 || a.Seals != 2 || a.Unsealed != 3 {
		t.Errorf("%+v", a)
	}
	settle(t, s)
	if _, made := sealed(t, s); !made {
		t.Error("the last lines are not sealed")
	}
	if _, made := sealed(t, s); made {
		t.Error("nothing was written and a seal was made")
	}
	if a := verified(t, s); a.Unsealed != 0 || a.Seals != 3 {
		t.Errorf("%+v", a)
	}
}

func TestEveryPlantedChangeIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		plant []string // $1 is a request
		want  string
	}{
		"a reason rewritten": {
			[]string{`update history set reason = 'autre' where request_id = $1 and seq = 1`}, "line 1: was changed",
		},
		"a difference rewritten": {
			[]string{`update history set detail = '{}' where request_id = $1 and seq = 2`}, "line 2: was changed",
		},
		"a line not sealed yet rewritten": {
			[]string{`update history set actor = 'person:2' where request_id = $1 and seq = 3`}, "line 3: was changed",
		},
		"a date moved": {
			[]string{`update history set at = at - interval '1 day' where request_id = $1 and seq = 1`}, "line 1: was changed",
		},
		"a line removed from the middle": {
			[]string{`delete from history where request_id = $1 and seq = 2`}, "line 3: comes after line 1",
		},
		"the sealed end removed": {
			[]string{`delete from history where request_id = $1 and seq >= 2`}, "line 2: was sealed and is gone",
		},
		"a whole history removed": {
			[]string{`delete from history where request_id = $1`}, "line 1: was sealed and is gone",
		},
		"a line and every hash after it made anew": {
			[]string{
				`update history set hash = sha256('autre') where request_id = $1 and seq = 2`,
				`update history set prev_hash = sha256('autre') where request_id = $1 and seq = 3`,
			}, "is no longer the line that was sealed",
		},
		"a line moved to another request": {
			[]string{`update history set request_id = (select max(id) from request), seq = 9 where request_id = $1 and seq = 3`}, "was changed",
		},
		"a sealed head rewritten": {
			[]string{`update audit_head set hash = sha256('autre') where request_id = $1 and n = 1`}, "seal 1: its heads are not those",
		},
		"a sealed head removed": {
			[]string{`delete from audit_head where request_id = $1 and n = 2`}, "seal 2: its heads are not those",
		},
		"a seal removed": {
			[]string{`delete from audit_head where n = 1 and $1 > 0`, `delete from audit_seal where n = 1 and $1 > 0`}, "seal 2: comes after seal 0",
		},
		"a seal's count rewritten": {
			[]string{`update audit_seal set lines = 2 where n = 2 and $1 > 0`}, "seal 2: was changed",
		},
		"a seal made by someone else": {
			[]string{`update audit_seal set mac = sha256('autre') where n = 2 and $1 > 0`}, "seal 2: was not made by this hub",
		},
		"the last seal removed, which was noted": {
			[]string{`delete from audit_head where n = 2 and $1 > 0`, `delete from audit_seal where n = 2 and $1 > 0`}, "is not in the chain",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, requests, seals := archive(t)
			for _, statement := range c.plant {
				if tag, err := s.Pool().Exec(t.Context(), statement, requests[1]); err != nil || tag.RowsAffected() == 0 {
					t.Fatalf("%s: %v, %v", statement, tag, err)
				}
			}
			a := verified(t, s, seals...)
			var found []string
			for _, f := range a.Flaws {
				found = append(found, f.String())
			}
			if !strings.Contains(strings.Join(found, "\n"), c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

func TestALineOfATransactionUnderWayIsSealedOnceItEnds(t *testing.T) {
	s, requests, _ := archive(t)
	settle(t, s)
	sealed(t, s)
	late, err := s.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback(context.WithoutCancel(t.Context()))
	if _, err := late.Exec(t.Context(), `select pg_current_xact_id()`); err != nil {
		t.Fatal(err)
	}
	tell(t, s, requests[0], "after it began")
	if _, made := sealed(t, s); made {
		t.Error("a line was sealed although an earlier transaction is under way: it may write one of a lower number")
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	if seal, made := sealed(t, s); !made || seal.Lines != 1 {
		t.Errorf("seal %+v, made %t", seal, made)
	}
}

func TestSealingGoesOnAfterARestoreElsewhere(t *testing.T) {
	s, requests, _ := archive(t)
	settle(t, s)
	sealed(t, s)
	// A new cluster counts transactions from the beginning.
	if _, err := s.Pool().Exec(t.Context(), `update audit_seal set upto = upto + 1000000000 where n = 3`); err != nil {
		t.Fatal(err)
	}
	tell(t, s, requests[2], "after the restore")
	settle(t, s)
	if seal, made := sealed(t, s); !made || seal.Heads != 1 || seal.Lines != 1 {
		t.Errorf("seal %+v, made %t", seal, made)
	}
}

// asApp opens a migrated database with the role that the hub works with.
func asApp(t *testing.T) (app *store.Store, ownerURL string) {
	t.Helper()
	admin := pgtest.URL(t, nil)
	if err := store.EnsureRoles(t.Context(), admin, store.Login{Name: store.OwnerRole}, store.Login{Name: store.AppRole}); err != nil {
		t.Skipf("this server lets no role be made: %v", err)
	}
	ownerURL, err := store.WithUser(admin, store.OwnerRole)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context(), ownerURL); err != nil {
		t.Fatal(err)
	}
	if err := store.GrantApp(t.Context(), ownerURL, store.AppRole); err != nil {
		t.Fatal(err)
	}
	appURL, err := store.WithUser(admin, store.AppRole)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), appURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return store.New(pool, testRing(t)), ownerURL
}

func TestTheAppAddsToHistoryAndCannotChangeIt(t *testing.T) {
	s, ownerURL := asApp(t)
	if err := store.CheckSchema(t.Context(), s.Pool()); err != nil {
		t.Errorf("the app cannot tell the schema's version: %v", err)
	}
	if apart, err := s.AppendOnly(t.Context()); err != nil || !apart {
		t.Errorf("append-only: %t, %v", apart, err)
	}
	for _, statement := range []string{
		`insert into organization (id, name) values (1, 'MAIRIE')`, `insert into person (id, email) values (1, 'a@b.example')`,
		`insert into request (id, origin, public_id, definition, form, state, organization_id, applicant_id, created_at)
		 values (1, 'native', gen_random_uuid(), 'd', 'f', 'draft', 1, 1, now())`,
	} {
		if _, err := s.Pool().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	tell(t, s, 1, "create")
	settle(t, s)
	if seal, made := sealed(t, s); !made || seal.Lines != 1 {
		t.Errorf("the app cannot seal: %+v", seal)
	}
	if a := verified(t, s); len(a.Flaws) > 0 || a.Lines != 1 {
		t.Errorf("%+v", a)
	}
	for _, statement := range []string{
		`update history set reason = 'autre'`, `delete from history`, `truncate history`, `drop table history`, `alter table history disable trigger all`,
		`update audit_seal set lines = 0`, `delete from audit_seal`, `update audit_head set seq = 2`, `delete from audit_head`,
		`delete from role_change`, `update goose_db_version set version_id = 0`, `create table mine (id int)`,
	} {
		_, err := s.Pool().Exec(t.Context(), statement)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "42501" { // insufficient_privilege
			t.Errorf("%s: %v, want a refusal", statement, err)
		}
	}
	conn, err := pgx.Connect(t.Context(), ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if apart, err := s.AppendOnly(t.Context()); err != nil || !apart {
		t.Errorf("append-only: %t, %v", apart, err)
	}
}

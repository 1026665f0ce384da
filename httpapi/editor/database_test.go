package editor_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// fail has the database refuse what is written to a table: at once, or as late
// as the commit.
func (s *site) fail(table, moment string) {
	s.t.Helper()
	trigger := "create trigger fails before insert or update or delete on " + table + " for each row execute function fails()"
	if moment == "at the commit" {
		trigger = "create constraint trigger fails after insert or update on " + table + " deferrable initially deferred for each row execute function fails()"
	}
	for _, text := range []string{
		`create or replace function fails() returns trigger language plpgsql as $$ begin raise exception using errcode = 'disk_full', message = 'no space'; end $$`, trigger,
	} {
		if _, err := s.pool.Exec(s.t.Context(), text); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) mend(table string) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), `drop trigger fails on `+table); err != nil {
		s.t.Fatal(err)
	}
}

// What the database refuses around a fetch and its acknowledgement: nothing is
// destroyed that was not given, nothing is given that is not audited.
func TestADatabaseThatFailsAroundAFetchOrItsAcknowledgementLosesNothing(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"at once", "at the commit"} {
		for _, table := range []string{"key_fetch", "history"} {
			t.Run(fmt.Sprintf("a fetch, %s of %s", moment, table), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				us := s.machine(ourEditor)
				g := s.approve(ourEditor)
				s.fail(table, moment)
				for _, path := range []string{"/keys/" + g.id.String() + "/fetch", "/keys/fetch"} {
					a := s.post(path, us, map[string]any{"ids": []any{g.id}})
					if a.status < http.StatusInternalServerError || strings.Contains(string(a.body), g.secret) || strings.Contains(string(a.body), "no space") {
						t.Errorf("%s: %d %s", path, a.status, a.body)
					}
				}
				if n := s.count(`select count(*) from key_fetch`) + s.count(`select count(*) from history where event = 'token.fetched'`); n != 0 {
					t.Errorf("%d traces of a fetch that gave nothing", n)
				}
				s.mend(table)
				if f := s.fetch(us, g.id); f.Secret != g.secret { // the key is there still
					t.Errorf("afterwards: %+v", f)
				}
			})
		}
		for _, table := range []string{"key_copy", "credential", "history"} {
			t.Run(fmt.Sprintf("an acknowledgement, %s of %s", moment, table), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				us := s.machine(ourEditor)
				g := s.approve(ourEditor)
				f := s.fetch(us, g.id)
				ack := map[string]any{"fetch_id": f.FetchID, "fingerprint": f.Fingerprint}
				path := "/keys/" + g.id.String() + "/ack"
				s.fail(table, moment)
				if a := s.post(path, us, ack); a.status < http.StatusInternalServerError {
					t.Errorf("%d %s", a.status, a.body)
				}
				if n := s.count(`select count(*) from credential c join key_copy k on k.credential_id = c.id where c.id = $1 and c.secret_sealed is not null and k.ended_at is null`, g.id); n != 1 {
					t.Fatal("what was not acknowledged is destroyed")
				}
				s.mend(table)
				if again := s.fetch(us, g.id); again.Secret != g.secret {
					t.Errorf("afterwards: %+v", again)
				}
				// Committed, and the answer lost: the repeat has the same answer and no effect.
				for range 2 {
					s.post(path, us, ack).into(http.StatusNoContent, nil)
				}
				if n := s.count(`select count(*) from history where event = 'token.acknowledged' and request_id = $1`, g.request); n != 1 {
					t.Errorf("%d acknowledgements", n)
				}
				if n := s.count(`select count(*) from credential where id = $1 and secret_sealed is null`, g.id); n != 1 {
					t.Error("the copy is still there")
				}
			})
		}
	}
}

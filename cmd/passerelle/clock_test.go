package main

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// A replica whose machine's clock is wrong works by the database's: its tokens
// are no others' future, and a leaked key ends now, not in ten minutes.
func TestAReplicaWhoseClockIsTenMinutesOffWorksByTheDatabases(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": 10 * time.Minute, "behind": -10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openPartnersOnly(t)
			w.startHub(t, io.Discard, func(h *hub) {
				h.clock = h.store.NewClock(func() time.Time { return time.Now().Add(off) })
				h.measureClock(t.Context())
				if got := h.clock.Ahead() + off; got.Abs() > 5*time.Second {
					t.Errorf("%s off, corrected by %s", off, h.clock.Ahead())
				}
			})
			if err := w.join(t.Context()); err != nil {
				t.Fatal(err)
			}
			g, err := w.approve(t.Context(), "api_entreprise")
			if err != nil {
				t.Fatal(err)
			}
			old := w.lastKey(t, g, 1)
			w.answers(t, g, old, http.StatusOK)
			// Another replica, whose clock is right, reads the token that this one has signed.
			right := buildOnly(t, w)
			if ref, err := (tokenReader{right}).ReadToken(t.Context(), old); err != nil || ref.ID.String() != g.TokenID {
				t.Errorf("the other replica reads %s, %v", ref.ID, err)
			}
			id, err := g.token()
			if err != nil {
				t.Fatal(err)
			}
			if err := w.hub.registry.Record(t.Context(), &registry.RotateCredential{CredentialID: id, Reason: "fuite"}); err != nil {
				t.Fatal(err)
			}
			w.answers(t, g, old, http.StatusUnauthorized)
			answer, err := right.registry.Introspect(t.Context(), tokenReader{right}, old, []string{"*"})
			if err != nil || answer.Active {
				t.Errorf("a leaked key passes at the other replica: %+v, %v", answer, err)
			}
			await(t, func() error {
				var off float64
				err := right.pool.QueryRow(t.Context(), `select abs(extract(epoch from now() - old_until)) from credential where id = $1`, id).Scan(&off)
				if err == nil && off > 60 {
					err = fmt.Errorf("the old key ends %.0f s from now", off)
				}
				return err
			})
			// Its leases hold by the same clock.
			release, ok, err := w.hub.store.Gate().Lock(t.Context(), "clocks", time.Minute)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			defer release()
			if _, ok, err := right.store.Gate().Lock(t.Context(), "clocks", time.Minute); err != nil || ok {
				t.Errorf("both hold the lease: %t, %v", ok, err)
			}
		})
	}
}

// buildOnly gives one more hub of the same settings. Nothing of it runs.
func buildOnly(t *testing.T, w *world) *hub {
	t.Helper()
	c, err := config.Load(w.settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := build(t.Context(), c, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	if err := h.keys.Refresh(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return h
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// rotate asks for a rotation as an operator does, and gives the new credential.
func (w *world) rotate(t *testing.T, g granted, grace string) uuid.UUID {
	t.Helper()
	var out bytes.Buffer
	status := run(t.Context(), environment{stdout: &out, stderr: &out}, []string{"keys", "--config", w.settings, "rotate-credential", g.TokenID, "--grace", grace})
	line, _, _ := strings.Cut(out.String(), "\n")
	id, err := uuid.Parse(strings.TrimPrefix(line, "new credential "))
	if status != 0 || err != nil {
		t.Fatalf("keys rotate-credential: %d %s", status, out.String())
	}
	return id
}

// live waits until a credential is active.
func (w *world) live(t *testing.T, id uuid.UUID) {
	t.Helper()
	w.reaches(t, id, "active")
}

func (w *world) reaches(t *testing.T, id uuid.UUID, state string) {
	t.Helper()
	await(t, func() error {
		c, err := w.hub.store.Credential(t.Context(), id)
		if err == nil && c.State != state {
			err = fmt.Errorf("%s is %s, not %s (%s)", c.Ref, c.State, state, c.Reason)
		}
		return err
	})
}

// lastKey opens the newest one-time link mailed for a definition.
func (w *world) lastKey(t *testing.T, g granted, links int) string {
	t.Helper()
	d, _ := w.hub.catalogue.Definition(g.Definition)
	var all []string
	await(t, func() error {
		all = nil
		for _, l := range w.linksMailedTo(g.Contact, d.Name) {
			if strings.HasPrefix(l, w.publicURL+"/remise/") {
				all = append(all, l)
			}
		}
		if len(all) != links {
			return fmt.Errorf("%d links were mailed, want %d", len(all), links)
		}
		return nil
	})
	for i := range all { // whatever their order in the mailbox: a used one shows nothing
		status, page, err := browse(t.Context(), http.MethodPost, all[i])
		if err != nil {
			t.Fatal(err)
		}
		if found := revealed.FindStringSubmatch(page); status == http.StatusOK && found != nil {
			return found[1]
		}
	}
	t.Fatal("no link shows a key")
	return ""
}

func (w *world) answers(t *testing.T, g granted, key string, want int) {
	t.Helper()
	call := w.callGravitee
	if g.Definition == "api_entreprise" {
		call = w.callIssuer
	}
	await(t, func() error {
		status, err := call(t.Context(), key)
		if err == nil && status != want {
			err = fmt.Errorf("%s: the key answers %d, want %d", g.Definition, status, want)
		}
		return err
	})
}

func TestARotationOverlapsAtTheGatewayThenTheOldKeyIsDead(t *testing.T) {
	for _, definition := range []string{"api_particulier", "api_entreprise"} {
		t.Run(definition, func(t *testing.T) {
			t.Parallel()
			w := openProgram(t, io.Discard)
			g, err := w.approve(t.Context(), definition)
			if err != nil {
				t.Fatal(err)
			}
			old := w.lastKey(t, g, 1)
			id := w.rotate(t, g, "1h")
			w.live(t, id)
			renewed := w.lastKey(t, g, 2)
			if renewed == old {
				t.Fatal("the new key is the old one")
			}
			w.answers(t, g, old, http.StatusOK)
			w.answers(t, g, renewed, http.StatusOK)
			await(t, func() error { _, err := w.told("token.rotated", 1); return err })
			// The end of the overlap comes.
			for _, sql := range []string{
				`update credential set old_until = now() where state = 'rotating'`,
				`update river_job set scheduled_at = now(), state = 'available' where kind = 'end_credential'`,
			} {
				if _, err := w.hub.pool.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			oldID, err := g.token()
			if err != nil {
				t.Fatal(err)
			}
			w.reaches(t, oldID, "replaced")
			w.answers(t, g, old, http.StatusUnauthorized)
			w.answers(t, g, renewed, http.StatusOK)
		})
	}
}

func TestARotationSurvivesAManagerThatFailsAndMakesOneNewKey(t *testing.T) {
	for name, fault := range map[string]partnertest.Fault{
		"before the work": partnertest.ResetBefore(""), "with half a body": partnertest.HalfBody(""), "with 500": partnertest.Status("", 500),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openProgram(t, io.Discard)
			g, err := w.approve(t.Context(), "api_particulier")
			if err != nil {
				t.Fatal(err)
			}
			old := w.lastKey(t, g, 1)
			w.gravitee.Inject(fault)
			id := w.rotate(t, g, "1h")
			await(t, func() error {
				waiting, err := w.hub.store.Waiting(t.Context(), 10)
				if err == nil && len(waiting.Partners) == 0 {
					err = fmt.Errorf("the failure does not show")
				}
				return err
			})
			w.gravitee.ClearFaults() // they hit its gateway too
			w.live(t, id)
			w.answers(t, g, w.lastKey(t, g, 2), http.StatusOK)
			w.answers(t, g, old, http.StatusOK)
			if n := w.gravitee.Counts(); n.LiveKeys != 2 || n.ActiveApplications != 1 {
				t.Errorf("Gravitee holds %+v", n)
			}
		})
	}
}

func TestALeakedKeyIsRotatedWithoutGrace(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	g, err := w.approve(t.Context(), "api_particulier")
	if err != nil {
		t.Fatal(err)
	}
	old := w.lastKey(t, g, 1)
	id := w.rotate(t, g, "0s")
	w.live(t, id)
	oldID, err := g.token()
	if err != nil {
		t.Fatal(err)
	}
	w.reaches(t, oldID, "replaced")
	w.answers(t, g, old, http.StatusUnauthorized)
	w.answers(t, g, w.lastKey(t, g, 2), http.StatusOK)
}

func TestARevocationDuringARotationEndsBothKeysAtTheManager(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	g, err := w.approve(t.Context(), "api_particulier")
	if err != nil {
		t.Fatal(err)
	}
	oldID, err := g.token()
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error { _, err := w.provisioned(t.Context(), g); return err })
	id := w.rotate(t, g, "1h")
	w.live(t, id)
	if n := w.gravitee.Counts(); n.LiveKeys != 2 {
		t.Fatalf("Gravitee holds %+v", n)
	}
	if _, err := w.datapass.Revoke(t.Context(), g.Request, "pendant une rotation"); err != nil {
		t.Fatal(err)
	}
	for _, each := range []uuid.UUID{oldID, id} {
		w.reaches(t, each, "revoked_verified")
	}
	if n := w.gravitee.Counts(); n.LiveKeys != 0 {
		t.Errorf("Gravitee holds %+v", n)
	}
	if _, err := w.hub.registry.PlanRotation(t.Context(), id, 0); !isState(err) {
		t.Errorf("a revoked key is planned to be rotated: %v", err)
	}
}

func isState(err error) bool {
	_, ok := err.(*registry.StateError) //nolint:errorlint // the contract is this very type
	return ok
}

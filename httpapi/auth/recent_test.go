package auth_test

import (
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/token"
)

func TestWhatThisProcessTakesAwayIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	owner := s.person("nadia@dinum.example", "dinum:*:developer")
	app := s.application(owner)
	value := s.token(app, auth.ScopeReadAuthorizations)
	mayUse := func() bool {
		caller, err := s.identify(value)
		if err != nil {
			t.Fatal(err)
		}
		return caller.Roles.Allow(habilitation.UseAPI, "dinum", "api_entreprise")
	}
	if !mayUse() {
		t.Fatal("a developer's application may use the API")
	}
	s.record(&registry.ChangeRoles{Email: "nadia@dinum.example", Grant: []string{"dinum:api_particulier:developer"}, Revoke: []string{"dinum:*:developer"}})
	if mayUse() {
		t.Error("a role that was taken away still opens")
	}
	s.record(&registry.RevokeAccessToken{Application: app.ID, Hash: token.Hash(value)})
	_, err := s.identify(value)
	if !denied(err, auth.Revoked) {
		t.Error(err)
	}
}

func TestATokenKnownAMomentAgoEndsAtItsTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	value := s.token(s.application(s.person("nadia@dinum.example", "dinum:*:developer")), auth.ScopeReadAuthorizations)
	if _, err := s.identify(value); err != nil {
		t.Fatal(err)
	}
	p := s.trusting(false)
	signed := p.sign(nil)
	if _, err := s.identify(signed); err != nil {
		t.Fatal(err)
	}
	s.ahead.Store(int64(3 * time.Hour))
	if _, err := s.identify(signed); !denied(err, auth.Expired) {
		t.Error(err)
	}
	_, err := s.identify(value)
	if !denied(err, auth.Expired) {
		t.Error(err)
	}
}

func TestWhatAnotherProcessTakesAwayIsGoneSoon(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	value := s.token(s.application(s.person("nadia@dinum.example", "dinum:*:developer")), auth.ScopeReadAuthorizations)
	if _, err := s.identify(value); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), "update access_token set revoked_at = now()"); err != nil {
		t.Fatal(err)
	}
	for { // the test's own time limit ends it
		_, err := s.identify(value)
		if err != nil {
			if !denied(err, auth.Revoked) {
				t.Error(err)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

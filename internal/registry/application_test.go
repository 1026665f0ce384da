package registry_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func TestRolesAreThoseOfTheCatalogue(t *testing.T) {
	b := open(t, onePolicy{})
	for role, ok := range map[string]bool{
		"admin": true, "dinum:api_entreprise:instructor": true, "dinum:*:developer": true, "dgfip:api_impot_particulier:manager": true,
		"autre:*:reporter":                  true, // a provider may come before its first definition
		"dgfip:api_entreprise:instructor":   false,
		"dinum:rien:developer":              false,
		"dinum:api_entreprise:chef":         false,
		"api_entreprise:instructor":         false,
		"dinum:api_entreprise:instructor:x": false,
		":api_entreprise:instructor":        false,
		"Admin":                             false,
		"":                                  false,
	} {
		err := b.Record(t.Context(), &registry.ChangeRoles{Email: "Nadia@dinum.example ", Grant: []string{role}})
		var fault *registry.RoleError
		if ok && err != nil || !ok && !errors.As(err, &fault) {
			t.Errorf("%q: %v", role, err)
		}
	}
	if n := b.count(t, `select count(*) from person where email = 'nadia@dinum.example'`); n != 1 {
		t.Errorf("%d people", n)
	}
}

func TestRolesAreGivenAndTakenOnceAndRemembered(t *testing.T) {
	b := open(t, onePolicy{})
	ctx := registry.WithActor(t.Context(), "operator:claire")
	change := func(grant, revoke []string) ([]string, error) {
		cmd := &registry.ChangeRoles{Email: "nadia@dinum.example", Grant: grant, Revoke: revoke}
		err := b.Record(ctx, cmd)
		return cmd.Person.Roles, err
	}
	if _, err := change(nil, []string{"admin"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("taking a role of nobody: %v", err)
	}
	both := []string{"dinum:*:developer", "dinum:api_entreprise:reporter"}
	for range 2 {
		if roles, err := change(both, nil); err != nil || !cmp.Equal(roles, both) {
			t.Errorf("%v %v", roles, err)
		}
	}
	var fault *registry.RoleError
	if _, err := change(nil, []string{"admin"}); !errors.As(err, &fault) {
		t.Errorf("taking what she does not hold: %v", err)
	}
	if roles, err := change(nil, both[1:]); err != nil || !cmp.Equal(roles, both[:1]) {
		t.Errorf("%v %v", roles, err)
	}
	// An old role that is no longer of the catalogue can still be taken.
	if _, err := b.pool.Exec(ctx, `update person set roles = roles || '{dinum:partie:developer}'`); err != nil {
		t.Fatal(err)
	}
	if _, err := change(nil, []string{"dinum:partie:developer"}); err != nil {
		t.Error(err)
	}
	if n := b.count(t, `select count(*) from role_change where actor = 'operator:claire'`); n != 3 {
		t.Errorf("%d changes remembered", n)
	}
}

func TestApplicationsEndWithTheLastDeveloperRole(t *testing.T) {
	b := open(t, onePolicy{})
	give := &registry.ChangeRoles{Email: "nadia@dinum.example", Grant: []string{"dinum:*:developer", "dgfip:*:developer", "dinum:*:instructor"}}
	if err := b.Record(t.Context(), give); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"un", "deux"} {
		if err := b.Record(t.Context(), &registry.AddApplication{Name: name, OwnerID: give.Person.ID}); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int64{0, 2} {
		take := &registry.ChangeRoles{Email: give.Email, Revoke: give.Grant[i : i+1]}
		if err := b.Record(t.Context(), take); err != nil || take.Disabled != want {
			t.Errorf("%v: %d ended, %v", take.Revoke, take.Disabled, err)
		}
	}
	if n := b.count(t, `select count(*) from api_client where disabled_at is null`); n != 0 {
		t.Errorf("%d applications live", n)
	}
}

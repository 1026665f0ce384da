package habilitation_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

func TestRolesAreReadAsDataPassStoresThem(t *testing.T) {
	roles, ignored := hab.ParseRoles([]string{
		"admin", "dinum:api_entreprise:instructor", "dgfip:*:manager", "dgfip:*:manager",
		"api_entreprise:instructor", "dinum:api_entreprise:owner", "dinum::reporter", ":x:reporter", "",
	})
	want := hab.Roles{Admin: true, List: []hab.Role{
		{Provider: "dinum", Definition: "api_entreprise", Kind: hab.RoleInstructor},
		{Provider: "dgfip", Definition: "*", Kind: hab.RoleManager},
	}}
	if diff := cmp.Diff(want, roles); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"api_entreprise:instructor", "dinum:api_entreprise:owner", "dinum::reporter", ":x:reporter", ""}, ignored); diff != "" {
		t.Error(diff)
	}
}

func TestAParsedRoleIsWrittenBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored := rapid.StringMatching(`[a-z]{1,5}:([a-z_]{1,8}|\*):(reporter|instructor|manager|developer|owner)`).Draw(t, "stored")
		roles, ignored := hab.ParseRoles([]string{stored})
		if len(ignored) == 0 && roles.List[0].String() != stored {
			t.Fatalf("%q became %q", stored, roles.List[0])
		}
	})
}

// The table of datapass.md, 6, with our own exception for developers.
func TestWhatARoleAllows(t *testing.T) {
	all := []hab.Capability{
		hab.ReadRequests, hab.ReadMessages, hab.ReceiveSubmissions, hab.WriteMessages, hab.DraftForApplicants, hab.UseTemplates,
		hab.WriteTemplates, hab.GrantRoles, hab.ManageApplications, hab.ManageSubscriptions, hab.UseAPI, hab.GrantAnyRole,
		hab.ManageDefinitions, hab.ManageProviders, hab.ManageEmailWhitelist, hab.BanPeople, hab.Impersonate, hab.VerifyLinks,
	}
	reporter := []hab.Capability{hab.ReadRequests, hab.ReadMessages, hab.ReceiveSubmissions}
	instructing := append(reporter[:3:3], hab.WriteMessages, hab.DraftForApplicants, hab.UseTemplates)
	for _, c := range []struct {
		sentence string
		stored   []string
		want     []hab.Capability
	}{
		{"a reporter reads and is told of submissions", []string{"dinum:api_entreprise:reporter"}, reporter},
		{"an instructor is a reporter who acts", []string{"dinum:api_entreprise:instructor"}, instructing},
		{"a manager is an instructor who grants", []string{"dinum:*:manager"}, append(instructing[:6:6], hab.WriteTemplates, hab.GrantRoles)},
		{
			"a developer reads requests, neither messages nor submission mails",
			[]string{"dinum:api_entreprise:developer"},
			[]hab.Capability{hab.ReadRequests, hab.ManageApplications, hab.ManageSubscriptions, hab.UseAPI},
		},
		{
			"an administrator reads all and decides nothing",
			[]string{"admin"},
			[]hab.Capability{
				hab.ReadRequests, hab.ReadMessages, hab.GrantAnyRole, hab.ManageDefinitions, hab.ManageProviders,
				hab.ManageEmailWhitelist, hab.BanPeople, hab.Impersonate, hab.VerifyLinks,
			},
		},
		{"a role on another definition allows nothing", []string{"dinum:api_particulier:manager"}, nil},
		{"a role of another provider allows nothing", []string{"dgfip:*:manager"}, nil},
		{"an applicant has no role", nil, nil},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			roles, _ := hab.ParseRoles(c.stored)
			var got []hab.Capability
			for _, capability := range all {
				if roles.Allow(capability, "dinum", "api_entreprise") {
					got = append(got, capability)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhoGrantsARole(t *testing.T) {
	one := hab.Role{Provider: "dinum", Definition: "api_entreprise", Kind: hab.RoleManager}
	wide := hab.Role{Provider: "dinum", Definition: "*", Kind: hab.RoleReporter}
	for _, c := range []struct {
		sentence string
		granter  string
		role     hab.Role
		himself  bool
		want     bool
	}{
		{"a manager on his definition", "dinum:api_entreprise:manager", one, false, true},
		{"a manager never on himself", "dinum:api_entreprise:manager", one, true, false},
		{"a manager of one definition not provider-wide", "dinum:api_entreprise:manager", wide, false, false},
		{"a provider's manager provider-wide", "dinum:*:manager", wide, false, true},
		{"a provider's manager on one definition", "dinum:*:manager", one, false, true},
		{"another provider's manager", "dgfip:*:manager", one, false, false},
		{"an instructor", "dinum:*:instructor", one, false, false},
		{"a developer", "dinum:*:developer", one, false, false},
		{"an administrator, even on himself", "admin", one, true, true},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			roles, _ := hab.ParseRoles([]string{c.granter})
			if got := roles.MayGrant(c.role, c.himself); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestWhoReadsARequest(t *testing.T) {
	w := newWorld(t, single, hab.Data{"contact_technique_email": "samir.haddad@valbrise-sur-ormes.example"}).follow(submit, approve)
	for _, c := range []struct {
		sentence string
		viewer   hab.Viewer
		want     hab.Access
	}{
		{"its applicant", hab.Viewer{Actor: applicant}, hab.AccessFull},
		{"its applicant from another organisation", hab.Viewer{Actor: hab.Actor{Person: jeanne.ID, Organization: 3}, Verified: true}, hab.AccessNone},
		{"a colleague whose link is verified", hab.Viewer{Actor: member, Verified: true}, hab.AccessFull},
		{"a colleague whose link is not", hab.Viewer{Actor: member}, hab.AccessNone},
		{"a colleague named as a contact", hab.Viewer{Actor: member, Email: samir.Email}, hab.AccessSummary},
		{"a reporter of the definition", hab.Viewer{Actor: role("dinum:*:reporter")}, hab.AccessFull},
		{"an administrator", hab.Viewer{Actor: admin}, hab.AccessFull},
		{"a stranger without address", hab.Viewer{Actor: stranger}, hab.AccessNone},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			if got := c.viewer.AccessTo(w.request, "dinum"); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

package habilitation_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

// The package's documentation shows the three tables as the code has them.
func TestThePackageDocumentationShowsTheTransitionTables(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]string{
		"requests": requestTable(), "habilitations": grantTable(), "credentials": credentialTable(),
	} {
		if !strings.Contains(string(doc), table) {
			t.Errorf("doc.go does not show the table of %s as it is:\n%s", name, table)
		}
	}
}

func requestTable() string {
	rows := [][]string{{"event", "from", "to", "only if", "effects"}}
	for _, row := range hab.Transitions() {
		rows = append(rows, []string{
			string(row.Event), names(row.From), string(row.To), names(row.Guards), names(row.Effects),
		})
	}
	return table(rows)
}

func grantTable() string {
	rows := [][]string{{"event", "from", "to"}}
	for _, row := range hab.GrantTransitions() {
		rows = append(rows, []string{string(row.Event), names(row.From), string(row.To)})
	}
	return table(rows)
}

func credentialTable() string {
	rows := [][]string{{"event", "from", "to"}}
	for _, row := range hab.CredentialTransitions() {
		rows = append(rows, []string{string(row.Event), names(row.From), string(row.To)})
	}
	return table(rows)
}

func names[S ~string](list []S) string {
	var parts []string
	for _, s := range list {
		if s == "" {
			s = "-"
		}
		parts = append(parts, string(s))
	}
	return strings.Join(parts, ", ")
}

func table(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += fmt.Sprintf("%-*s", width[i]+2, cell)
		}
		b.WriteString("//\t" + strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// Every state, event, guard and effect of the tables is reached by a row, and
// every row can be reached from the first state.
func TestEveryStateOfTheTablesIsReachable(t *testing.T) {
	t.Run("a request", func(t *testing.T) {
		reached := map[hab.State]bool{hab.Unmade: true}
		for range hab.Transitions() {
			for _, row := range hab.Transitions() {
				if row.To != hab.Unchanged && slices.ContainsFunc(row.From, func(s hab.State) bool { return reached[s] }) {
					reached[row.To] = true
				}
			}
		}
		for _, s := range requestStates {
			if !reached[s] {
				t.Errorf("no way leads to %s", s)
			}
		}
	})
	t.Run("a credential", func(t *testing.T) {
		reached := map[hab.CredentialState]bool{hab.CredentialRequested: true}
		for range hab.CredentialTransitions() {
			for _, row := range hab.CredentialTransitions() {
				if slices.ContainsFunc(row.From, func(s hab.CredentialState) bool { return reached[s] }) {
					reached[row.To] = true
				}
			}
		}
		for _, s := range hab.CredentialStates() {
			if !reached[s] {
				t.Errorf("no way leads to %s", s)
			}
		}
	})
}

// The rows of datapass.md, 1.1, written here a second time by hand: a change of
// the table that forgets the contract fails.
func TestRequestsMoveAsTheContractSays(t *testing.T) {
	legal := map[string]bool{}
	for _, arrow := range strings.Fields(`
		draft-submit-submitted changes_requested-submit-submitted refused-submit-submitted
		submitted-request_changes-changes_requested
		submitted-approve-validated changes_requested-approve-validated
		submitted-refuse-refused changes_requested-refuse-refused
		submitted-refuse-validated changes_requested-refuse-validated
		submitted-refuse-revoked changes_requested-refuse-revoked
		draft-archive-archived refused-archive-archived revoked-archive-archived
		validated-reopen-draft
		draft-cancel_reopening-validated changes_requested-cancel_reopening-validated submitted-cancel_reopening-validated
		draft-cancel_reopening-revoked changes_requested-cancel_reopening-revoked submitted-cancel_reopening-revoked
		validated-start_next_stage-draft
		draft-cancel_next_stage-validated changes_requested-cancel_next_stage-validated
		submitted-cancel_next_stage-validated refused-cancel_next_stage-validated
		draft-cancel_next_stage-revoked changes_requested-cancel_next_stage-revoked
		submitted-cancel_next_stage-revoked refused-cancel_next_stage-revoked
		validated-revoke-revoked
		-create-draft -create_by_api-draft`) {
		legal[arrow] = true
	}
	got := map[string]bool{}
	for _, row := range hab.Transitions() {
		for _, from := range row.From {
			if row.To != hab.Unchanged {
				got[fmt.Sprintf("%s-%s-%s", from, row.Event, row.To)] = true
			}
		}
	}
	for arrow := range legal {
		if !got[arrow] {
			t.Errorf("the table lacks %s", arrow)
		}
	}
	for arrow := range got {
		if !legal[arrow] {
			t.Errorf("the table has %s, the contract has not", arrow)
		}
	}
}

var requestStates = []hab.State{
	hab.Draft, hab.Submitted, hab.ChangesRequested, hab.Validated, hab.Refused, hab.Archived, hab.Revoked,
}

func TestHabilitationsMoveAsTheContractSays(t *testing.T) {
	for _, c := range []struct {
		sentence string
		from     hab.GrantState
		event    hab.GrantEvent
		to       hab.GrantState
		ok       bool
	}{
		{"an active one becomes obsolete", hab.GrantActive, hab.GrantDeprecate, hab.GrantObsolete, true},
		{"an obsolete one stays so", hab.GrantObsolete, hab.GrantDeprecate, hab.GrantObsolete, true},
		{"a revoked one cannot become obsolete", hab.GrantRevoked, hab.GrantDeprecate, hab.GrantRevoked, false},
		{"an active one is revoked", hab.GrantActive, hab.GrantRevoke, hab.GrantRevoked, true},
		{"revoking an obsolete one changes nothing", hab.GrantObsolete, hab.GrantRevoke, hab.GrantObsolete, true},
		{"a revoked one is not revoked twice", hab.GrantRevoked, hab.GrantRevoke, hab.GrantRevoked, false},
		{"a revocation is rolled back", hab.GrantRevoked, hab.GrantRollbackRevoke, hab.GrantActive, true},
		{"an obsolete one is not brought back", hab.GrantObsolete, hab.GrantRollbackRevoke, hab.GrantObsolete, true},
		{"there is nothing to roll back on an active one", hab.GrantActive, hab.GrantRollbackRevoke, hab.GrantActive, false},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			if to, ok := hab.NextGrant(c.from, c.event); to != c.to || ok != c.ok {
				t.Errorf("got %s, %v", to, ok)
			}
		})
	}
}

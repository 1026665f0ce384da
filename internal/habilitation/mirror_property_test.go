package habilitation_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

var allDefinitions = []string{"api_entreprise", "api_ficoba_sandbox", "api_particulier"}

// Ids and versions count arrivals, and holders are snapshotted at the first
// sight of a habilitation: they are the only parts that an order may change.
var whatTheSourceSays = cmp.Options{
	cmpopts.IgnoreFields(hab.Request{}, "Version", "ReopenedAt"),
	cmpopts.IgnoreFields(hab.Habilitation{}, "ID", "ParentID", "Organization", "Applicant", "Form"),
	cmpopts.EquateEmpty(),
}

// receiveAll gives the bodies in that order, each perhaps again later, and
// checks what each is judged to be.
func receiveAll(t *rapid.T, bodies []body) *mirror {
	m := newMirror()
	for i, b := range bodies {
		m.checked(t, b)
		if again := rapid.IntRange(-1, i).Draw(t, "repeat"); again >= 0 {
			m.checked(t, bodies[again])
		}
	}
	return m
}

func (m *mirror) checked(t *rapid.T, b body) {
	var before hab.Request
	if m.current != nil {
		before = deepCopy(*m.current)
	}
	verdict := m.receive(b)
	m.rights.apply(t, m.change.Consequences)
	switch verdict.Outcome {
	case hab.Late:
		if diff := cmp.Diff(before, *m.current); diff != "" {
			t.Fatalf("a late %s changed the request:\n%s", b.event, diff)
		}
		if len(m.change.Consequences) > 0 {
			t.Fatalf("a late %s has consequences: %+v", b.event, m.change.Consequences)
		}
	case hab.NoEffect:
		before.AppliedAt = m.current.AppliedAt
		if diff := cmp.Diff(before, *m.current); diff != "" {
			t.Fatalf("%s had an effect:\n%s", b.event, diff)
		}
	case hab.Parked:
		t.Fatalf("%s was parked: %s", b.event, verdict.Reason)
	}
	if backwards(before.State, m.current.State) {
		t.Fatalf("%s moved an ended request from %s to %s", b.event, before.State, m.current.State)
	}
	want := rights{}
	if m.current.State != hab.Revoked && m.current.State != hab.Archived {
		for _, h := range m.current.Habilitations {
			if h.State == hab.GrantActive {
				want[h.Definition] = h.Data["scopes"]
			}
		}
	}
	if diff := cmp.Diff(want, m.rights); diff != "" {
		t.Fatalf("after %s the credentials do not follow the habilitations:\n%s", b.event, diff)
	}
}

func backwards(before, after hab.State) bool {
	return before == hab.Archived && after != hab.Archived || before == hab.Revoked && after != hab.Revoked && after != hab.Archived
}

// thoroughly runs a property eight times as often as rapid does by itself: the
// faults it once found here needed lives of a rare kind.
func thoroughly(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	for range 8 {
		rapid.Check(t, property)
	}
}

// Any order of arrival, with repeats, ends as the order in which DataPass sent.
func TestAnyOrderOfEventsEndsTheSame(t *testing.T) {
	thoroughly(t, func(t *rapid.T) {
		pause := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(1000, 5000).Draw(t, "ms")) * time.Millisecond
		})
		s := life(t, allDefinitions, pause)
		inOrder := newMirror()
		for _, b := range s.sent {
			inOrder.checked(t, b)
		}
		shuffled := receiveAll(t, rapid.Permutation(s.sent).Draw(t, "arrival"))
		if diff := cmp.Diff(inOrder.current, shuffled.current, whatTheSourceSays); diff != "" {
			t.Fatalf("the order of arrival changed the end:\n%s", diff)
		}
		if diff := cmp.Diff(inOrder.rights, shuffled.rights); diff != "" {
			t.Fatalf("the order of arrival changed what is granted:\n%s", diff)
		}
		if !s.staged && shuffled.current.Reopening != s.reopening {
			t.Fatalf("reopening: %v", shuffled.current.Reopening)
		}
	})
}

// Within one second the dates, states and habilitations still tell the order;
// only answers and people, which carry no date, go by arrival.
func TestEventsOfOneSecondEndInTheSameState(t *testing.T) {
	thoroughly(t, func(t *rapid.T) {
		pause := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(1, 400).Draw(t, "ms")) * time.Millisecond
		})
		s := life(t, []string{"api_entreprise", "api_particulier"}, pause)
		inOrder := newMirror()
		for _, b := range s.sent {
			inOrder.checked(t, b)
		}
		shuffled := receiveAll(t, rapid.Permutation(s.sent).Draw(t, "arrival"))
		undated := cmpopts.IgnoreFields(hab.Request{}, "Data", "Applicant")
		if diff := cmp.Diff(inOrder.current, shuffled.current, whatTheSourceSays, undated); diff != "" {
			t.Fatalf("the order of arrival changed the end:\n%s", diff)
		}
		if diff := cmp.Diff(inOrder.rights, shuffled.rights); diff != "" {
			t.Fatalf("the order of arrival changed what is granted:\n%s", diff)
		}
	})
}

// Any of the events may be lost: the last one alone brings the state and what
// it grants.
func TestLostEventsAreMadeUpForByTheStates(t *testing.T) {
	thoroughly(t, func(t *rapid.T) {
		s := life(t, allDefinitions, rapid.Just(time.Minute))
		inOrder := newMirror()
		for _, b := range s.sent {
			inOrder.checked(t, b)
		}
		lossy := newMirror()
		for i, b := range s.sent {
			if i == len(s.sent)-1 || rapid.Bool().Draw(t, "arrives") {
				lossy.checked(t, b)
			}
		}
		if diff := cmp.Diff(inOrder.current, lossy.current, whatTheSourceSays); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(inOrder.rights, lossy.rights); diff != "" {
			t.Fatal(diff)
		}
	})
}

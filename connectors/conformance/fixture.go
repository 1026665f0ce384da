package conformance

import (
	"slices"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Fixture is one manager with its partner, new for each test. Its connector must
// be opened without quick retries (outbound.Settings.Retries 0) and with a breaker
// that stays closed, so that each fault is seen.
type Fixture struct {
	Manager connectors.KeyManager
	// Declared are the capabilities that the manager must declare.
	Declared connectors.Capabilities
	// Owner is this hub's name, as given to the connector.
	Owner string
	// Ledger is what the connector was lent, searched for clear secrets; nil when
	// it was lent none.
	Ledger *Memory

	// Now is the hub's clock, which the partner shares. Advance moves both; nil
	// where they cannot be moved (a real peer).
	Now     func() time.Time
	Advance func(time.Duration)

	// Definition and Scopes are mapped by the connector's settings: two scopes, of
	// which no right of one is covered by the other.
	Definition string
	Scopes     [2]string
	// Native gives the rights, in the manager's words and sorted, that scopes map to.
	Native func(scopes ...string) []string
	// Rights gives those that the manager holds for a subject and its live
	// credentials, read without the connector.
	Rights func(subjectID string, live []connectors.Handle) []string

	// Subjects counts the manager's objects for a subject's reference; nil where
	// it has none, and EnsureSubject does not call it.
	Subjects func(ref string) int
	// Live counts the live credentials of a subject's reference.
	Live func(ref string) int
	// OneObject: all secrets of a subject live in one object, so that Live is 1
	// during a rotation's grace too.
	OneObject bool
	// OneOld: a second rotation drops what the first one left in its grace.
	OneOld bool
	// Page is how many subjects a page of the list holds; 0: 2.
	Page int
	// FinalEnds: a right that was taken from a live credential does not come back
	// to it, which is Rejected: a rotation is needed.
	FinalEnds bool
	// NoEmptyGrants: the manager cannot hold an empty set, which is Rejected.
	NoEmptyGrants bool

	// Passes tells whether the gateway, or the token endpoint, takes the secret now;
	// of a manager that hands keys over itself the secret is empty, and the handle
	// says which key its holder has.
	Passes func(h connectors.Handle, secret connectors.Secret) bool

	// Act has the people at the manager do what waits for them; nil unless the
	// manager declares AsyncApproval. Refusal makes them refuse all of it, with
	// these words.
	Act     func()
	Refusal func(reason string)

	// Partner is the simulator, or what stands before a real peer; nil for a
	// manager without one. Admin picks the calls of its administration side.
	Partner *partnertest.Server
	Admin   partnertest.Route
	// Inside strikes what the hub lends, of a manager without Partner; it needs Reopen.
	Inside *Inside
	// Reopen is the connector opened again by another process: what it kept in
	// memory is gone. nil: the same one goes on.
	Reopen func() connectors.KeyManager
	// Off is the connector of a hub whose clock is ahead of the partner's by off;
	// nil where the partner's cannot be told from the hub's.
	Off func(off time.Duration) connectors.KeyManager
	// Sick keeps the partner from writing, while it still answers 200 where a
	// status alone would say that all is well; nil where it has no such state.
	Sick func()
	// Refuse makes the partner refuse the connector's credential; nil where it asks for none.
	Refuse func()
	// Stranger is the same connector, opened by a hub of another name; nil where a
	// second hub would have a manager of its own.
	Stranger connectors.KeyManager
	// Misconfigured is the same connector whose settings name something that the
	// partner does not have; nil where settings name nothing there.
	Misconfigured connectors.KeyManager
}

// Run proves the contract. open makes a new fixture and has it closed by t.Cleanup.
func Run(t *testing.T, open func(*testing.T) *Fixture) {
	t.Helper()
	sample := open(t) // what it can do decides which tests apply
	suite := func(name string, tests []test) {
		t.Run(name, func(t *testing.T) {
			for _, tt := range tests {
				if slices.ContainsFunc(tt.needs, func(has need) bool { return !has(sample) }) {
					continue
				}
				t.Run(tt.name, func(t *testing.T) { tt.run(newBench(t, open)) })
			}
		})
	}
	suite("declaration", declarationTests)
	suite("subject", subjectTests)
	suite("grants", grantTests)
	suite("issue", issueTests)
	suite("rotation", rotationTests)
	suite("expiry", expiryTests)
	suite("clock", clockTests)
	suite("revocation", revocationTests)
	suite("reading", readingTests)
	suite("partner", partnerTests)
	suite("people", peopleTests)
	if sample.Inside != nil {
		t.Run("faults", func(t *testing.T) { runInside(t, open, sample) })
	}
	if sample.Partner != nil {
		t.Run("faults", func(t *testing.T) { runFaults(t, open, sample) })
	}
}

type test struct {
	name  string
	needs []need
	run   func(*bench)
}

// need is a condition of a test: what a manager cannot do is not asked of it.
type need func(*Fixture) bool

func movableClocks(f *Fixture) bool  { return f.Advance != nil }
func callerSecret(f *Fixture) bool   { return f.Declared.CallerSecret }
func nativeExpiry(f *Fixture) bool   { return f.Declared.NativeExpiry }
func anyGrace(f *Fixture) bool       { return f.Declared.Grace == connectors.GraceAny }
func someGrace(f *Fixture) bool      { return f.Declared.Grace != connectors.GraceNone }
func twoClocks(f *Fixture) bool      { return f.Off != nil && f.Advance != nil }
func lookupByRef(f *Fixture) bool    { return f.Declared.LookupByRef }
func lists(f *Fixture) bool          { return f.Declared.List }
func subjectObjects(f *Fixture) bool { return f.Subjects != nil }
func partner(f *Fixture) bool        { return f.Partner != nil }
func sickness(f *Fixture) bool       { return f.Sick != nil }
func refusal(f *Fixture) bool        { return f.Refuse != nil }
func separateKeys(f *Fixture) bool   { return f.Declared.MultiSecret && !f.OneObject }

func plans(f *Fixture) bool {
	_, ok := f.Manager.(connectors.Planner)
	return ok
}

func checks(f *Fixture) bool {
	_, ok := f.Manager.(connectors.Checker)
	return ok
}

// handsSecrets: the hub has the key's value.
func handsSecrets(f *Fixture) bool { return !f.Declared.HandsOver }

func people(f *Fixture) bool { return f.Declared.AsyncApproval }

func misconfigured(f *Fixture) bool { return f.Misconfigured != nil }

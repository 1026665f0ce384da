package byhand

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

var (
	_ connectors.KeyManager = (*Manager)(nil)
	_ connectors.Planner    = (*Manager)(nil)
)

// Manager is one team.
type Manager struct {
	config Config
	name   string
	now    func() time.Time
	ledger connectors.Ledger
	tasks  connectors.Tasks
}

// lookAgain is the wait of work that waits for people: their answer wakes it before.
const lookAgain = 10 * time.Minute

// Capabilities says what a team can do. The key is theirs; they see it; what they
// say is all that can be known.
func (m *Manager) Capabilities() connectors.Capabilities {
	can := connectors.Capabilities{
		MultiSecret: true, Grace: connectors.GraceAny, SecretReadable: true, LookupByRef: true, AsyncApproval: true,
		RevocationBound: m.config.CloseWithin, GrantModel: connectors.GrantsOnCredential, HandsOver: m.config.HandsOver,
	}
	if m.config.OneKey {
		can.MultiSecret, can.Grace = false, connectors.GraceNone
	}
	return can
}

// The records.
type (
	subjectRecord struct {
		Owner string `json:"owner"`
	}
	credentialRecord struct {
		Public     string   `json:"public"`
		Subject    string   `json:"subject"`
		Owner      string   `json:"owner"`
		Definition string   `json:"definition"`
		Scopes     []string `json:"scopes"` // DataPass's names, as first asked for
	}
	issuedRecord struct {
		At        time.Time `json:"at"`
		Reference string    `json:"reference,omitempty"` // the team's, of a key that it handed over itself
	}
	currentRecord struct {
		Ref string `json:"ref"` // of the key that was asked for last
	}
	rightsRecord struct {
		N     int      `json:"n"`     // of the last task
		Asked []string `json:"asked"` // the set that it asks for
		Set   []string `json:"set"`   // the set that the team last said it had made
	}
	closedRecord struct {
		At   time.Time `json:"at"`
		Task string    `json:"task"` // whose answer says so; "" when nobody was ever asked to open it
	}
)

func subjectKey(ref string) string     { return "subject/" + ref }
func credentialKey(ref string) string  { return "credential/" + ref }
func issuedKey(ref string) string      { return "issued/" + ref }
func rightsKey(ref string) string      { return "rights/" + ref }
func closedKey(ref string) string      { return "closed/" + ref }
func currentKey(subject string) string { return "current/" + subject }

func openTask(ref string) string          { return ref + "/open" }
func rightsTask(ref string, n int) string { return fmt.Sprintf("%s/rights-%d", ref, n) }
func closeTask(ref string) string         { return ref + "/close" }

// standing is all that the records say of one reference.
type standing struct {
	credentialRecord
	asked, issued bool
	reference     string
	closed        *closedRecord
	rights        rightsRecord
}

// scopes are those that the team last said it had set.
func (s standing) scopes() []string {
	if s.rights.N == 0 {
		return s.Scopes
	}
	return s.rights.Set
}

func (m *Manager) standing(ctx context.Context, op, ref string) (standing, error) {
	var s standing
	var err error
	if s.credentialRecord, s.asked, err = connectors.ReadRecord[credentialRecord](ctx, m.ledger, credentialKey(ref)); err != nil {
		return s, m.failed(op, err)
	}
	made, found, err := connectors.ReadRecord[issuedRecord](ctx, m.ledger, issuedKey(ref))
	if err != nil {
		return s, m.failed(op, err)
	}
	s.issued, s.reference = found, made.Reference
	closed, found, err := connectors.ReadRecord[closedRecord](ctx, m.ledger, closedKey(ref))
	if err != nil {
		return s, m.failed(op, err)
	}
	if found {
		s.closed = &closed
	}
	if s.rights, _, err = connectors.ReadRecord[rightsRecord](ctx, m.ledger, rightsKey(ref)); err != nil {
		return s, m.failed(op, err)
	}
	return s, nil
}

// issued reads a reference that the team has made.
func (m *Manager) issued(ctx context.Context, op, ref string) (standing, error) {
	s, err := m.standing(ctx, op, ref)
	if err == nil && !s.issued {
		err = m.fault(op, connectors.NotFound, "the team has made nothing under this reference")
	}
	return s, err
}

// EnsureSubject keeps whose the reference is; a team has no object for it.
func (m *Manager) EnsureSubject(ctx context.Context, s connectors.Subject) (string, error) {
	const op = "subject"
	if s.Ref == "" || s.Owner == "" {
		return "", m.fault(op, connectors.Rejected, "a subject needs a reference and an owner")
	}
	isNew, err := connectors.WriteRecordOnce(ctx, m.ledger, subjectKey(s.Ref), subjectRecord{Owner: s.Owner})
	if err != nil {
		return "", m.failed(op, err)
	}
	if !isNew {
		if err := m.subject(ctx, op, s.Ref, s.Owner); err != nil {
			return "", err
		}
	}
	return s.Ref, nil
}

// subject checks that a subject is known and, unless owner is "", whose it is.
func (m *Manager) subject(ctx context.Context, op, id, owner string) error {
	have, found, err := connectors.ReadRecord[subjectRecord](ctx, m.ledger, subjectKey(id))
	switch {
	case err != nil:
		return m.failed(op, err)
	case !found:
		return m.fault(op, connectors.NotFound, "unknown subject")
	case owner != "" && have.Owner != owner:
		return m.fault(op, connectors.Conflict, "the subject belongs to another owner")
	default:
		return nil
	}
}

// words gives the rights in the team's words; a definition or a scope without a
// mapping is Rejected.
func (m *Manager) words(op string, g connectors.Grants) (Definition, []string, error) {
	d, ok := m.config.Definitions[g.Definition]
	if !ok {
		return d, nil, m.fault(op, connectors.Rejected, fmt.Sprintf("the settings map no definition %q", g.Definition))
	}
	words := []string{}
	for _, scope := range g.Scopes {
		word, ok := d.Scopes[scope]
		if !ok && !d.AllScopes {
			return d, nil, m.fault(op, connectors.Rejected, fmt.Sprintf("the settings map no scope %q of %s", scope, g.Definition))
		}
		words = append(words, cmp.Or(word, scope))
	}
	return d, sorted(words), nil
}

// EnsureGrants has the team make the rights of each live key exactly g. All of
// the tasks are asked before the first that waits is told.
func (m *Manager) EnsureGrants(ctx context.Context, subjectID string, live []connectors.Handle, g connectors.Grants) error {
	const op = "grants"
	if err := m.subject(ctx, op, subjectID, ""); err != nil {
		return err
	}
	if _, _, err := m.words(op, g); err != nil {
		return err
	}
	var first error
	for _, h := range live {
		if err := m.setRights(ctx, op, subjectID, h, g); err != nil {
			first = cmp.Or(first, err)
			if connectors.ClassOf(err) == connectors.Temporary {
				return err
			}
		}
	}
	return first
}

func (m *Manager) setRights(ctx context.Context, op, subjectID string, h connectors.Handle, g connectors.Grants) error {
	s, err := m.issued(ctx, op, h.Ref)
	switch {
	case err != nil:
		return err
	case s.Subject != subjectID:
		return m.fault(op, connectors.Conflict, "the credential belongs to another subject")
	case s.Definition != g.Definition:
		return m.fault(op, connectors.Rejected, "the credential is for another definition: issue one for this one")
	case s.closed != nil:
		return nil
	}
	want := sorted(g.Scopes)
	if s.rights.N == 0 && slices.Equal(want, sorted(s.Scopes)) {
		return nil
	}
	if s.rights.N == 0 || !slices.Equal(want, s.rights.Asked) {
		if s.rights.N > 0 {
			if err := m.tasks.Withdraw(ctx, rightsTask(h.Ref, s.rights.N)); err != nil {
				return m.failed(op, err)
			}
		}
		s.rights = rightsRecord{N: s.rights.N + 1, Asked: want, Set: s.scopes()}
		if err := connectors.WriteRecord(ctx, m.ledger, rightsKey(h.Ref), s.rights); err != nil {
			return m.failed(op, err)
		}
	}
	d, words, err := m.words(op, g)
	if err != nil {
		return err
	}
	_, err = m.ask(ctx, op, connectors.Task{
		ID: rightsTask(h.Ref, s.rights.N), Kind: connectors.TaskRights, Credential: h.Ref, Definition: g.Definition,
		Rights: words, Instructions: d.Instructions,
	})
	if err != nil {
		return err
	}
	s.rights.Set = want
	if err := connectors.WriteRecord(ctx, m.ledger, rightsKey(h.Ref), s.rights); err != nil {
		return m.failed(op, err)
	}
	return nil
}

// ask gives the answer of a task that is done. One that waits is Pending, one
// that was refused Rejected with the team's words.
func (m *Manager) ask(ctx context.Context, op string, t connectors.Task) (connectors.TaskAnswer, error) {
	answer, err := m.tasks.Ask(ctx, t)
	if err != nil {
		return answer, m.failed(op, err)
	}
	switch answer.State {
	case connectors.TaskDone:
		return answer, nil
	case connectors.TaskRefused:
		return answer, m.fault(op, connectors.Rejected, answer.Reason)
	case connectors.TaskWithdrawn:
		return answer, m.fault(op, connectors.Rejected, "the task was withdrawn")
	default:
		return answer, &connectors.Error{
			Class: connectors.Pending, Partner: m.name, Op: op, After: lookAgain,
			Detail: "the team was asked on " + answer.Since.UTC().Format("2006-01-02 15:04 UTC") + " and has not answered",
		}
	}
}

// Plan says what an approval would ask of the team.
func (m *Manager) Plan(g connectors.Grants) ([]string, error) {
	_, words, err := m.words("plan", g)
	if err != nil {
		return nil, err
	}
	rights := strings.Join(words, ", ")
	steps := []string{fmt.Sprintf("écrire à l’équipe (%d adresse(s)) : ouvrir l’accès à %s, droits : %s", len(m.config.Team), g.Definition, cmp.Or(rights, "aucun"))}
	if m.config.HandsOver {
		steps = append(steps, "attendre que l’équipe remette elle-même la clé à son titulaire et donne sa référence sur la page de la tâche, ou refuse : Passerelle n’a jamais la clé")
	} else {
		steps = append(steps, "attendre que l’équipe donne la clé sur la page de la tâche, ou refuse")
	}
	if m.config.OneKey {
		steps = append(steps, "à savoir : cette équipe ne peut pas garder deux clés à la fois, chaque remplacement interrompra l’accès")
	}
	return steps, nil
}

// Health tells whether a task could be recorded now. Whether the team reads its
// mail, no call can tell: the age of its tasks does.
func (m *Manager) Health(ctx context.Context) (connectors.Health, error) {
	began := m.now()
	if err := connectors.WriteRecord(ctx, m.ledger, "health", issuedRecord{At: began}); err != nil {
		return connectors.Health{}, m.failed("health", err)
	}
	return connectors.Health{Version: "by hand", Latency: m.now().Sub(began)}, nil
}

func (m *Manager) fault(op string, class connectors.Class, detail string) error {
	return &connectors.Error{Class: class, Partner: m.name, Op: op, Detail: detail}
}

// failed gives the error of the ledger or of the tasks.
func (m *Manager) failed(op string, err error) error {
	return &connectors.Error{Class: connectors.Temporary, Partner: m.name, Op: op, Detail: "the hub's own records cannot be used now", Err: err}
}

func sorted(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

package keycloak

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// record is what the ledger keeps of a subject.
type record struct {
	Definition string            `json:"definition,omitempty"` // of the rights it holds
	Prints     map[string]string `json:"prints"`               // of each credential's value, by reference
	Rotating   *rotating         `json:"rotating,omitempty"`
}

// rotating is a rotation whose answer may be lost: once the client's secret is no
// longer From, it is the value of Ref.
type rotating struct {
	Ref  string `json:"ref"`
	From string `json:"from"`
}

// printOf is the SHA-256 of a secret, which has too many bits to be guessed.
func printOf(secret connectors.Secret) string {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return hex.EncodeToString(sum[:])
}

// holder is the credential that a print belongs to, or "".
func (r record) holder(print string) string {
	for ref, p := range r.Prints {
		if p == print {
			return ref
		}
	}
	return ""
}

func (m *Manager) load(ctx context.Context, op, subject string) (record, error) {
	r := record{}
	text, found, err := m.ledger.Get(ctx, "client/"+subject)
	if err == nil && found {
		err = json.Unmarshal(text, &r)
	}
	if r.Prints == nil {
		r.Prints = map[string]string{}
	}
	return r, m.ours(op, err)
}

func (m *Manager) save(ctx context.Context, op, subject string, r record) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = m.ledger.Put(ctx, "client/"+subject, text)
	}
	return m.ours(op, err)
}

// note keeps the print of a credential's value.
func (m *Manager) note(ctx context.Context, op, subject string, r record, ref, print string) error {
	if r.Prints[ref] == print && r.Rotating == nil {
		return nil
	}
	r.Prints[ref], r.Rotating = print, nil
	return m.save(ctx, op, subject, r)
}

const secretRoute = "/clients/{client}/client-secret"

// credential is Keycloak's answer about a secret.
type credential struct {
	Value string `json:"value"`
}

// current reads the client's secret.
func (m *Manager) current(ctx context.Context, op string, c client) (connectors.Secret, error) {
	return m.secretFrom(ctx, op, http.MethodGet, c)
}

// regenerate makes Keycloak make a new one.
func (m *Manager) regenerate(ctx context.Context, op string, c client) (connectors.Secret, error) {
	return m.secretFrom(ctx, op, http.MethodPost, c)
}

func (m *Manager) secretFrom(ctx context.Context, op, method string, c client) (connectors.Secret, error) {
	var answer credential
	_, err := m.do(ctx, call{op: op, method: method, route: secretRoute, params: c.path(), out: &answer, object: true})
	if err == nil && answer.Value == "" {
		err = m.fail(op, connectors.Rejected, "unexpected answer: client %s without secret", c.ClientID)
	}
	return connectors.NewSecret(answer.Value), err
}

// rotated reads the secret before the current one, also when its end has passed;
// "" when there is none.
func (m *Manager) rotated(ctx context.Context, op string, c client) (print string, err error) {
	if !m.overlaps() {
		return "", nil
	}
	var answer credential
	_, err = m.do(ctx, call{op: op, method: http.MethodGet, route: secretRoute + "/rotated", params: c.path(), out: &answer, object: true})
	switch {
	case connectors.Is(err, connectors.NotFound):
		return "", nil
	case err != nil:
		return "", err
	case answer.Value == "":
		return "", m.fail(op, connectors.Rejected, "unexpected answer: a rotated secret without value")
	}
	return printOf(connectors.NewSecret(answer.Value)), nil
}

// forget ends the secret before the current one.
func (m *Manager) forget(ctx context.Context, op string, c client) error {
	_, err := m.do(ctx, call{
		op: op, method: http.MethodDelete, route: secretRoute + "/rotated", params: c.path(), expect: []int{http.StatusNoContent}, object: true,
	})
	if connectors.Is(err, connectors.NotFound) {
		return nil // whether one is left is read back
	}
	return err
}

// place is what a credential is at Keycloak.
type place int

const (
	nothing place = iota // no client, not ours, or other credentials' secrets
	current              // the client's secret
	inGrace              // the one before it
	unknown              // the ledger has lost its print
)

// standing is a credential as it stands.
type standing struct {
	client
	kind       place
	until      time.Time // of its secret, by the policy; zero: none
	definition string
}

// live: Keycloak takes a secret in its last second too, and none once the
// current one has ended.
func (s standing) live(now time.Time) connectors.Liveness {
	over := func(end time.Time) bool { return !end.IsZero() && now.Unix() > end.Unix() }
	switch {
	case s.kind == unknown:
		return connectors.Unknown
	case s.kind == nothing, !s.Enabled, over(s.until), over(s.end(attrSecretEnd)):
		return connectors.Dead
	}
	return connectors.Alive
}

// stand reads what a credential is.
func (m *Manager) stand(ctx context.Context, op string, h connectors.Handle) (standing, error) {
	subject := h.Subject
	if subject == "" {
		subject = connectors.SubjectRef(h.Ref)
	}
	if h.Ref == "" || subject == "" {
		return standing{}, m.fail(op, connectors.Rejected, "no reference")
	}
	c, found, err := m.find(ctx, op, subject)
	if err != nil || !found || !c.belongsTo(m.owner) {
		return standing{}, err
	}
	return m.standingOf(ctx, op, c, h)
}

func (m *Manager) standingOf(ctx context.Context, op string, c client, h connectors.Handle) (standing, error) {
	r, err := m.load(ctx, op, c.ClientID)
	if err != nil {
		return standing{}, err
	}
	print, noted := r.Prints[h.Ref]
	if !noted {
		if h.ID != "" {
			return standing{client: c, kind: unknown}, nil
		}
		return standing{}, nil
	}
	secret, err := m.current(ctx, op, c)
	if err != nil {
		return standing{}, err
	}
	if printOf(secret) == print {
		return standing{c, current, c.end(attrSecretEnd), r.Definition}, nil
	}
	before, err := m.rotated(ctx, op, c)
	if err != nil || before != print {
		return standing{}, err
	}
	return standing{c, inGrace, c.end(attrRotatedEnd), r.Definition}, nil
}

package keycloak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Manager is one realm of a Keycloak.
type Manager struct {
	config      Config
	name, owner string
	now         func() time.Time
	theirs      *outbound.Clock
	http        connectors.HTTPDoer
	ledger      connectors.Ledger
	session     session
}

var (
	_ connectors.KeyManager = (*Manager)(nil)
	_ connectors.Lister     = (*Manager)(nil)
	_ connectors.Checker    = (*Manager)(nil)
	_ connectors.Planner    = (*Manager)(nil)
)

// Open gives the manager. deps.Partner carries the timeouts and TLS files of the
// settings (outbound.Partner with c.Settings).
func (c Config) Open(deps connectors.Deps) (connectors.KeyManager, error) {
	if c.AdminRealm == "" {
		c.AdminRealm = c.Realm
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("keycloak: %w", err)
	}
	if deps.Name == "" || deps.Now == nil || deps.Partner == nil || deps.Ledger == nil {
		return nil, errors.New("keycloak: name, clock, outbound client and ledger are needed")
	}
	if !searchable(deps.Owner) {
		return nil, fmt.Errorf("keycloak: the hub's name %q cannot be searched for: it needs one word without colon and quotes", deps.Owner)
	}
	return &Manager{config: c, name: deps.Name, owner: deps.Owner, now: deps.Now, theirs: outbound.NewClock(deps.Now), http: deps.Partner, ledger: deps.Ledger}, nil
}

// overlaps: the realm's policy keeps the old secret for a period.
func (m *Manager) overlaps() bool { return m.config.RotatedPeriod > 0 }

// Capabilities of Keycloak, without or with the policy secret-rotation
// (api-managers.md, 1).
func (m *Manager) Capabilities() connectors.Capabilities {
	can := connectors.Capabilities{
		CallerSecret: true, Grace: connectors.GraceNone, SecretReadable: true, LookupByRef: true, List: true,
		RevocationBound: m.config.TokenLifetime, GrantModel: connectors.GrantsOnSubject,
	}
	if m.overlaps() {
		can.CallerSecret, can.MultiSecret, can.Grace = false, true, connectors.GraceFixed
	}
	return can
}

// call is one call of the admin API, below the realm.
type call struct {
	op, method, route string
	params            map[string]string
	query             url.Values
	in, out           any
	expect            []int
	// object: the path names one, so that a 404 may say that it is missing. Else a
	// 404 means that the realm or the path is wrong.
	object bool
	secret connectors.Secret // carried by in
}

// do makes the call. A token that is refused is replaced once: it may have been
// ended before its time.
func (m *Manager) do(ctx context.Context, c call) (*outbound.Answer, error) {
	for again := false; ; again = true {
		token, err := m.token(ctx, c.op)
		if err != nil {
			return nil, err
		}
		params := map[string]string{"realm": m.config.Realm}
		maps.Copy(params, c.params)
		answer, err := outbound.JSON(ctx, m.http, outbound.Call{
			Partner: m.name, Op: c.op, Method: c.method, Base: m.config.URL, Route: "/admin/realms/{realm}" + c.route,
			Params: params, Query: c.query, Header: http.Header{"Authorization": {"Bearer " + token.Reveal()}},
			In: c.in, Out: c.out, Expect: c.expect, Secrets: []connectors.Secret{c.secret, token},
		})
		m.theirs.Saw(answer)
		if answer != nil && answer.Status == http.StatusUnauthorized && !again {
			m.session.drop(token)
			continue
		}
		if !c.object {
			err = m.known(err)
		}
		return answer, err
	}
}

// known makes a 404 a fault of the settings.
func (m *Manager) known(err error) error {
	var e *connectors.Error
	if errors.As(err, &e) && e.Class == connectors.NotFound {
		e.Class = connectors.Rejected
	}
	return err
}

func (m *Manager) fail(op string, class connectors.Class, format string, args ...any) *connectors.Error {
	return &connectors.Error{Class: class, Partner: m.name, Op: op, Detail: outbound.Redact(fmt.Sprintf(format, args...))}
}

// ours wraps a fault of what the hub lends: retried.
func (m *Manager) ours(op string, err error) error {
	if err == nil {
		return nil
	}
	return &connectors.Error{Class: connectors.Temporary, Partner: m.name, Op: op, Detail: "the hub's own records could not be used", Err: err}
}

package hydra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Manager is one Hydra.
type Manager struct {
	config      Config
	name, owner string
	now         func() time.Time
	http        connectors.HTTPDoer
	overlap     atomic.Int32
}

// What is known of the path that rotates secrets with an overlap.
const (
	overlapUnknown int32 = iota
	overlapAbsent
	overlapPresent
)

var (
	_ connectors.KeyManager = (*Manager)(nil)
	_ connectors.Lister     = (*Manager)(nil)
	_ connectors.Checker    = (*Manager)(nil)
	_ connectors.Planner    = (*Manager)(nil)
)

// Open gives the manager. deps.Partner carries the timeouts and TLS files of the
// settings (outbound.Partner with c.Settings).
func (c Config) Open(deps connectors.Deps) (connectors.KeyManager, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("hydra: %w", err)
	}
	if deps.Name == "" || deps.Owner == "" || deps.Now == nil || deps.Partner == nil {
		return nil, errors.New("hydra: name, owner, clock and outbound client are needed")
	}
	return &Manager{config: c, name: deps.Name, owner: deps.Owner, now: deps.Now, http: deps.Partner}, nil
}

// Capabilities are those of 2.3.0 until Hydra was asked for more (Health,
// CheckConfig, EnsureSubject and Rotate ask once). With an overlap Hydra makes
// the values, and nothing ends the old one but a Revoke.
func (m *Manager) Capabilities() connectors.Capabilities {
	can := connectors.Capabilities{
		CallerSecret: true, Grace: connectors.GraceNone, LookupByRef: true, List: true, GrantModel: connectors.GrantsOnSubject,
	}
	if m.config.Strategy == JWT {
		can.RevocationBound = m.config.TokenLifetime // an API that checks offline sees no revocation
	}
	if m.overlap.Load() == overlapPresent {
		can.CallerSecret, can.MultiSecret, can.Grace = false, true, connectors.GraceAny
	}
	return can
}

// call is one call of the admin API.
type call struct {
	op, method, route string
	params            map[string]string
	query             url.Values
	in, out           any
	expect            []int
	secret            connectors.Secret // carried by in
}

func (m *Manager) do(ctx context.Context, c call) (*outbound.Answer, error) {
	answer, err := outbound.JSON(ctx, m.http, outbound.Call{
		Partner: m.name, Op: c.op, Method: c.method, Base: m.config.URL, Route: c.route, Params: c.params, Query: c.query,
		In: c.in, Out: c.out, Expect: c.expect, Secrets: []connectors.Secret{c.secret},
	})
	if connectors.Is(err, connectors.NotFound) && !missingObject(answer) {
		e := m.fail(c.op, connectors.Rejected, "no such path: the URL or the version is wrong")
		e.Status = answer.Status
		return answer, e
	}
	return answer, err
}

// missingObject tells the 404 of a missing client, whose error is a text, from
// the 404 of a path that does not exist, whose error is an object.
func missingObject(a *outbound.Answer) bool {
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	var text string
	return json.Unmarshal(a.Body, &body) == nil && json.Unmarshal(body.Error, &text) == nil && text != ""
}

func (m *Manager) fail(op string, class connectors.Class, format string, args ...any) *connectors.Error {
	return &connectors.Error{Class: class, Partner: m.name, Op: op, Detail: outbound.Redact(fmt.Sprintf(format, args...))}
}

const rotateRoute = "/admin/clients/{client}/secrets/rotate"

// learn asks once whether secrets can be rotated with an overlap, by rotating
// that of a client that does not exist: the two 404 tell.
func (m *Manager) learn(ctx context.Context, op string) error {
	if m.overlap.Load() != overlapUnknown {
		return nil
	}
	answer, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: rotateRoute, params: map[string]string{"client": uuid.NewString()},
		expect: []int{http.StatusNotFound, http.StatusMethodNotAllowed},
	})
	switch {
	case err != nil:
		return err
	case answer.Status == http.StatusNotFound && missingObject(answer):
		m.overlap.Store(overlapPresent)
	case answer.Status == http.StatusMethodNotAllowed || wrongRoute(answer):
		m.overlap.Store(overlapAbsent)
	default:
		return m.fail(op, connectors.Rejected, "no such path: the URL is wrong")
	}
	return nil
}

// wrongRoute knows Hydra's own answer to a path that it does not have; a proxy's
// 404 is none.
func wrongRoute(a *outbound.Answer) bool {
	var body struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal(a.Body, &body) == nil && body.Error.Code == http.StatusNotFound
}

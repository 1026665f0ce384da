package tyk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Manager is one Tyk Gateway.
type Manager struct {
	config      Config
	name, owner string
	now         func() time.Time
	theirs      *outbound.Clock
	http        connectors.HTTPDoer
	ledger      connectors.Ledger
}

// Lister is a Tyk Gateway that lists its hashes.
type Lister struct{ *Manager }

var (
	_ connectors.KeyManager = (*Manager)(nil)
	_ connectors.Checker    = (*Manager)(nil)
	_ connectors.Planner    = (*Manager)(nil)
	_ connectors.KeyManager = Lister{}
	_ connectors.Lister     = Lister{}
)

// Open gives the manager: a Lister where the settings say that Tyk lists. deps.Partner
// carries the timeouts and TLS files of the settings (outbound.Partner with c.Settings).
func (c Config) Open(deps connectors.Deps) (connectors.KeyManager, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("tyk: %w", err)
	}
	if deps.Name == "" || deps.Owner == "" || deps.Now == nil || deps.Partner == nil || deps.Ledger == nil {
		return nil, errors.New("tyk: name, owner, clock, outbound client and ledger are needed")
	}
	m := &Manager{config: c, name: deps.Name, owner: deps.Owner, now: deps.Now, theirs: outbound.NewClock(deps.Now), http: deps.Partner, ledger: deps.Ledger}
	if c.Listing {
		return Lister{m}, nil
	}
	return m, nil
}

// Capabilities of Tyk with hashed keys (api-managers.md, 1).
func (m *Manager) Capabilities() connectors.Capabilities {
	return connectors.Capabilities{
		CallerSecret: true, MultiSecret: true, Grace: connectors.GraceAny, NativeExpiry: true, LookupByRef: true,
		List: m.config.Listing, RevocationBound: m.config.SessionCache, GrantModel: connectors.GrantsOnCredential,
	}
}

// call is one call of the control API.
type call struct {
	op, method, route string
	params            map[string]string
	query             url.Values
	in, out           any
	secrets           []connectors.Secret // carried by params or in
}

func (m *Manager) do(ctx context.Context, c call) error {
	answer, err := outbound.JSON(ctx, m.http, outbound.Call{
		Partner: m.name, Op: c.op, Method: c.method, Base: m.config.URL, Route: c.route, Params: c.params, Query: c.query,
		Header: http.Header{"X-Tyk-Authorization": {m.config.Secret.Reveal()}}, In: c.in, Out: c.out,
		Secrets: append(c.secrets, m.config.Secret),
	})
	m.theirs.Saw(answer)
	var e *connectors.Error
	if !errors.As(err, &e) {
		return err
	}
	var withURL *url.Error
	if errors.As(e.Err, &withURL) { // its text is the URL
		e.Err = withURL.Err
	}
	switch message := answer.Code("message"); {
	case e.Class == connectors.NotFound && !missingKey(message):
		e.Class = connectors.Rejected // a path that does not exist, or listing that is off
	case e.Status == http.StatusInternalServerError && strings.HasPrefix(message, "Failed to create key"):
		// A policy that is missing or opens nothing, and also a Redis that is down:
		// only the second will pass by itself.
		if down := m.ready(ctx, c.op); down != nil {
			return down
		}
		e.Class = connectors.Rejected
	}
	return e
}

// missingKey knows Tyk's own words for a key that is not there.
func missingKey(message string) bool {
	return message == "Key not found" || message == "Key is not found" || message == "There is no such key found"
}

// ready asks whether Tyk reaches its Redis: without it, Tyk says of every key
// that it is not there.
func (m *Manager) ready(ctx context.Context, op string) error {
	_, err := m.state(ctx, op, "/ready")
	return err
}

// state reads what Tyk says of itself; its 200 alone says nothing. These paths
// need no credential, and are given none.
func (m *Manager) state(ctx context.Context, op, route string) (version string, err error) {
	var answer struct {
		Version string `json:"version"`
		Details map[string]struct {
			Status string `json:"status"`
		} `json:"details"`
	}
	_, err = outbound.JSON(ctx, m.http, outbound.Call{
		Partner: m.name, Op: op, Method: http.MethodGet, Base: m.config.URL, Route: route, Out: &answer,
	})
	if err != nil {
		return answer.Version, err
	}
	if redis := answer.Details["redis"].Status; redis != "pass" {
		return answer.Version, m.fail(op, connectors.Temporary, "Tyk says of its Redis: %q", redis)
	}
	return answer.Version, nil
}

func (m *Manager) fail(op string, class connectors.Class, format string, args ...any) *connectors.Error {
	return &connectors.Error{Class: class, Partner: m.name, Op: op, Detail: outbound.Redact(fmt.Sprintf(format, args...))}
}

type subjectRecord struct {
	Owner string `json:"owner"`
}

type credentialRecord struct {
	Hash    string `json:"hash"`
	Subject string `json:"subject"`
}

// record reads one of the ledger into value, which stays as it is when there is none.
func (m *Manager) record(ctx context.Context, op, key string, value any) error {
	text, found, err := m.ledger.Get(ctx, key)
	if err == nil && found {
		err = json.Unmarshal(text, value)
	}
	return m.ours(op, err)
}

// once writes a record that is not there yet, and otherwise reads it into value.
func (m *Manager) once(ctx context.Context, op, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return m.ours(op, err)
	}
	isNew, err := m.ledger.PutNew(ctx, key, text)
	if err != nil || isNew {
		return m.ours(op, err)
	}
	return m.record(ctx, op, key, value)
}

// ours wraps a fault of what the hub lends: retried.
func (m *Manager) ours(op string, err error) error {
	if err == nil {
		return nil
	}
	return &connectors.Error{Class: connectors.Temporary, Partner: m.name, Op: op, Detail: "the hub's own records could not be used", Err: err}
}

// EnsureSubject keeps whose the reference is: Tyk has no object for it. The
// subject's id is the reference.
func (m *Manager) EnsureSubject(ctx context.Context, s connectors.Subject) (string, error) {
	const op = "subject"
	if s.Ref == "" || s.Owner == "" {
		return "", m.fail(op, connectors.Rejected, "a subject needs a reference and an owner")
	}
	kept := subjectRecord{s.Owner}
	if err := m.once(ctx, op, "subject/"+s.Ref, &kept); err != nil {
		return "", err
	}
	if kept.Owner != s.Owner {
		return "", m.fail(op, connectors.Conflict, "subject %s belongs to another owner", s.Ref)
	}
	return s.Ref, nil
}

// hashOfHandle finds the hash of a credential; "" when no key was ever asked for.
func (m *Manager) hashOfHandle(ctx context.Context, op string, h connectors.Handle) (string, error) {
	if h.Ref == "" {
		return "", m.fail(op, connectors.Rejected, "no reference")
	}
	if h.ID != "" {
		return h.ID, nil
	}
	var kept credentialRecord
	err := m.record(ctx, op, "credential/"+h.Ref, &kept)
	return kept.Hash, err
}

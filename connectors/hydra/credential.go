package hydra

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Issue makes the value the client's secret. Value and reference change at once:
// a client that names the reference has its value.
func (m *Manager) Issue(ctx context.Context, r connectors.IssueRequest) (connectors.Issued, error) {
	return m.issue(ctx, "issue", r)
}

func (m *Manager) issue(ctx context.Context, op string, r connectors.IssueRequest) (connectors.Issued, error) {
	words, audience, err := m.check(op, r)
	if err != nil {
		return connectors.Issued{}, err
	}
	_, kept, err := m.own(ctx, op, r.SubjectID, r.Subject.Owner)
	if connectors.Is(err, connectors.NotFound) {
		kept, secret := keptOf(r.Subject), valueOf(r)
		kept.Credential, kept.Definition = r.Ref, r.Grants.Definition
		if err := m.create(ctx, op, r.Subject, secret, words, audience, kept); err != nil {
			return connectors.Issued{}, err
		}
		return issued(r, secret, false), nil
	}
	if err != nil {
		return connectors.Issued{}, err
	}
	adopted := kept.Credential == r.Ref
	switch {
	case adopted && !r.Secret.IsZero():
		return issued(r, r.Secret, true), nil
	case !adopted && kept.Credential != "":
		return connectors.Issued{}, m.fail(op, connectors.Rejected, "the client has the credential %s, and can have one: rotate it", kept.Credential)
	}
	// New, or a value of ours whose answer was lost: it cannot be read again.
	secret := valueOf(r)
	kept.Credential, kept.Definition, kept.Replaced = r.Ref, r.Grants.Definition, nil
	if err := m.setSecret(ctx, op, r, secret, kept); err != nil {
		return connectors.Issued{}, err
	}
	return issued(r, secret, adopted), nil
}

// check tells what keeps a request from being issued, before anything is called.
func (m *Manager) check(op string, r connectors.IssueRequest) (words, audience []string, err error) {
	switch {
	case r.SubjectID == "" || r.Ref == "" || r.Subject.Owner == "" || r.Subject.Ref != r.SubjectID:
		return nil, nil, m.fail(op, connectors.Rejected, "subject, owner and reference are needed")
	case r.Secret.IsZero() && m.overlap.Load() != overlapPresent:
		return nil, nil, m.fail(op, connectors.Rejected, "a secret is needed: this Hydra makes none that could be rotated")
	}
	return m.required(op, r.Grants)
}

// setSecret changes secret, reference and rights in one PATCH, which ends every
// earlier secret.
func (m *Manager) setSecret(ctx context.Context, op string, r connectors.IssueRequest, secret connectors.Secret, kept metadata) error {
	words, audience, err := m.required(op, r.Grants)
	if err != nil {
		return err
	}
	return m.patch(ctx, op, r.SubjectID, secret,
		replace("/client_secret", secret.Reveal()), replace("/metadata", kept),
		replace("/scope", strings.Join(words, " ")), replace("/audience", audience))
}

func valueOf(r connectors.IssueRequest) connectors.Secret {
	if r.Secret.IsZero() {
		return newSecret()
	}
	return r.Secret
}

func issued(r connectors.IssueRequest, secret connectors.Secret, adopted bool) connectors.Issued {
	return connectors.Issued{
		Handle: connectors.Handle{Ref: r.Ref, Subject: r.SubjectID, ID: r.SubjectID}, Secret: secret, Adopted: adopted,
	}
}

// Rotate replaces the secret. With our value, or without a grace, the old one is
// dead at once. With an overlap Hydra makes the value, and takes the old one until
// it is revoked: Rotation.OldUntil is when the hub must do that.
func (m *Manager) Rotate(ctx context.Context, r connectors.RotateRequest) (connectors.Rotation, error) {
	const op = "rotate"
	if err := m.learn(ctx, op); err != nil {
		return connectors.Rotation{}, err
	}
	if _, _, err := m.check(op, r.IssueRequest); err != nil {
		return connectors.Rotation{}, err
	}
	switch {
	case r.Grace < 0 || r.Old.Ref == r.Ref:
		return connectors.Rotation{}, m.fail(op, connectors.Rejected, "a rotation needs a new reference and no negative grace")
	case r.Old.Subject != "" && r.Old.Subject != r.SubjectID:
		return connectors.Rotation{}, m.fail(op, connectors.Conflict, "the old credential belongs to another subject")
	}
	_, kept, err := m.own(ctx, op, r.SubjectID, r.Subject.Owner)
	repeat := kept.Credential == r.Ref
	switch {
	case connectors.Is(err, connectors.NotFound), err == nil && kept.Credential == "":
		made, err := m.issue(ctx, op, r.IssueRequest) // the old one is gone
		return connectors.Rotation{Issued: made, Overlap: connectors.OverlapNone}, err
	case err != nil:
		return connectors.Rotation{}, err
	case !repeat && kept.Credential != r.Old.Ref:
		return connectors.Rotation{}, m.fail(op, connectors.Conflict, "the client has the credential %s already", kept.Credential)
	case repeat && !r.Secret.IsZero():
		return m.told(r, kept, issued(r.IssueRequest, r.Secret, true)), nil
	case r.Secret.IsZero() && r.Grace > 0:
		return m.overlapping(ctx, op, r, kept, repeat)
	}
	secret := valueOf(r.IssueRequest)
	kept.Credential, kept.Definition, kept.Replaced = r.Ref, r.Grants.Definition, nil
	if err := m.setSecret(ctx, op, r.IssueRequest, secret, kept); err != nil {
		return connectors.Rotation{}, err
	}
	if r.Grace == 0 { // what the old secret opened ends with it
		if err := m.dropTokens(ctx, op, r.SubjectID); err != nil {
			return connectors.Rotation{}, err
		}
	}
	return connectors.Rotation{Issued: issued(r.IssueRequest, secret, repeat), Overlap: connectors.OverlapNone}, nil
}

// told is what is true of a rotation that was done before.
func (m *Manager) told(r connectors.RotateRequest, kept metadata, made connectors.Issued) connectors.Rotation {
	rotation := connectors.Rotation{Issued: made, Overlap: connectors.OverlapNone}
	if old, open := kept.grace(r.Old.Ref); open && old.Until.After(m.now()) {
		rotation.Overlap, rotation.OldUntil = connectors.OverlapUntil, old.Until
	}
	return rotation
}

// overlapping lets Hydra make a new secret beside the old one. A value whose
// answer was lost cannot be read again: a repeat makes another, and keeps the
// end of the first.
func (m *Manager) overlapping(ctx context.Context, op string, r connectors.RotateRequest, kept metadata, repeat bool) (connectors.Rotation, error) {
	old, open := kept.grace(r.Old.Ref)
	if repeat && (!open || !old.Until.After(m.now())) { // the grace is over: the new value need not spare the old one
		secret := newSecret()
		kept.Replaced = nil
		err := m.setSecret(ctx, op, r.IssueRequest, secret, kept)
		return connectors.Rotation{Issued: issued(r.IssueRequest, secret, true), Overlap: connectors.OverlapNone}, err
	}
	if !open {
		old = replaced{Ref: r.Old.Ref, Until: kept.firstEnd(m.now().Add(r.Grace).UTC().Truncate(time.Second))}
		kept.Replaced = append(kept.Replaced, old)
	}
	var answer struct {
		Secret string `json:"client_secret"`
	}
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: rotateRoute, params: map[string]string{"client": r.SubjectID}, out: &answer,
	})
	if err != nil {
		return connectors.Rotation{}, err
	}
	if answer.Secret == "" {
		return connectors.Rotation{}, m.fail(op, connectors.Rejected, "unexpected answer: a rotation without secret")
	}
	kept.Credential, kept.Definition = r.Ref, r.Grants.Definition
	if err := m.patch(ctx, op, r.SubjectID, connectors.Secret{}, replace("/metadata", kept)); err != nil {
		return connectors.Rotation{}, err
	}
	made := issued(r.IssueRequest, connectors.NewSecret(answer.Secret), repeat)
	return m.told(r, kept, made), nil
}

// Expire can end a credential now. Hydra knows no end to come: it is Rejected.
func (m *Manager) Expire(ctx context.Context, h connectors.Handle, at time.Time) error {
	const op = "expire"
	if at.IsZero() {
		return m.fail(op, connectors.Rejected, "no end is given")
	}
	_, _, kind, err := m.find(ctx, op, h)
	switch {
	case err != nil:
		return err
	case kind == nothing:
		return m.fail(op, connectors.NotFound, "Hydra holds nothing of %s", h.Ref)
	case at.After(m.now()):
		return m.fail(op, connectors.Rejected, "Hydra ends no secret by itself")
	}
	return m.Revoke(ctx, h)
}

// place is what a credential is at Hydra.
type place int

const (
	nothing place = iota // no client, not ours, or another credential's
	current              // the client's secret
	inGrace              // an old secret that Hydra still takes
)

// find reads the client of a handle, and what the credential is to it.
func (m *Manager) find(ctx context.Context, op string, h connectors.Handle) (client, metadata, place, error) {
	id := h.Subject
	if id == "" {
		id = connectors.SubjectRef(h.Ref)
	}
	if h.Ref == "" || id == "" {
		return client{}, metadata{}, nothing, m.fail(op, connectors.Rejected, "no reference")
	}
	c, kept, err := m.own(ctx, op, id, m.owner)
	switch {
	case connectors.Is(err, connectors.NotFound), connectors.Is(err, connectors.Conflict):
		return client{}, metadata{}, nothing, nil
	case err != nil:
		return client{}, metadata{}, nothing, err
	case kept.Credential == h.Ref:
		return c, kept, current, nil
	}
	if _, open := kept.grace(h.Ref); open {
		return c, kept, inGrace, nil
	}
	return client{}, metadata{}, nothing, nil
}

// Revoke ends a credential: the client's secret with its tokens and the client,
// an old secret in its grace together with all old ones, which is how Hydra drops
// them.
func (m *Manager) Revoke(ctx context.Context, h connectors.Handle) error {
	const op = "revoke"
	c, kept, kind, err := m.find(ctx, op, h)
	if err != nil {
		return err
	}
	switch kind {
	case current:
		if err := m.dropTokens(ctx, op, c.ID); err != nil {
			return err
		}
		err := m.remove(ctx, op, "/admin/clients/{client}", c.ID)
		if connectors.Is(err, connectors.NotFound) {
			return nil // gone meanwhile: VerifyRevoked reads it again
		}
		return err
	case inGrace:
		if err := m.dropReplaced(ctx, op, c.ID); err != nil {
			return err
		}
		kept.Replaced = nil
		return m.patch(ctx, op, c.ID, connectors.Secret{}, replace("/metadata", kept))
	case nothing:
	}
	return nil
}

func (m *Manager) remove(ctx context.Context, op, route, id string) error {
	_, err := m.do(ctx, call{
		op: op, method: http.MethodDelete, route: route, params: map[string]string{"client": id}, expect: []int{http.StatusNoContent},
	})
	return err
}

// dropReplaced makes Hydra forget the old secrets. It answers with the client.
func (m *Manager) dropReplaced(ctx context.Context, op, id string) error {
	answer, err := m.do(ctx, call{
		op: op, method: http.MethodDelete, route: rotateRoute, params: map[string]string{"client": id},
		expect: []int{http.StatusOK, http.StatusNoContent},
	})
	if err != nil || answer.Status == http.StatusNoContent {
		return err
	}
	var c client
	if err := json.Unmarshal(answer.Body, &c); err != nil || c.ID != id {
		return m.fail(op, connectors.Temporary, "unexpected answer: not the client %q", id)
	}
	return nil
}

func (m *Manager) dropTokens(ctx context.Context, op, id string) error {
	_, err := m.do(ctx, call{
		op: op, method: http.MethodDelete, route: "/admin/oauth2/tokens", query: url.Values{"client_id": {id}},
		expect: []int{http.StatusNoContent},
	})
	return err
}

// VerifyRevoked reads the client: dead when it is missing, or when its secret is
// another credential's and no old one is left.
func (m *Manager) VerifyRevoked(ctx context.Context, h connectors.Handle) (connectors.Liveness, error) {
	_, _, kind, err := m.find(ctx, "verify", h)
	switch {
	case err != nil:
		return connectors.Unknown, err
	case kind == nothing:
		return connectors.Dead, nil
	}
	return connectors.Alive, nil
}

// Lookup says what Hydra holds for a credential.
func (m *Manager) Lookup(ctx context.Context, h connectors.Handle) (connectors.Found, error) {
	const op = "lookup"
	c, kept, kind, err := m.find(ctx, op, h)
	if err != nil {
		return connectors.Found{}, err
	}
	if kind == nothing {
		return connectors.Found{}, m.fail(op, connectors.NotFound, "Hydra holds nothing of %s", h.Ref)
	}
	return m.found(c, kept, h.Ref), nil
}

func (m *Manager) found(c client, kept metadata, ref string) connectors.Found {
	return connectors.Found{
		Handle: connectors.Handle{Ref: ref, Subject: c.ID, ID: c.ID}, Owner: c.Owner,
		Scopes: m.config.Grants[kept.Definition].scopes(strings.Fields(c.Scope)), Live: connectors.Alive,
	}
}

// List gives the credentials of one page of the hub's clients.
func (m *Manager) List(ctx context.Context, cursor string) ([]connectors.Found, string, error) {
	clients, next, err := m.clients(ctx, "list", cursor)
	if err != nil {
		return nil, "", err
	}
	var page []connectors.Found
	for _, c := range clients {
		kept := c.kept()
		if c.Owner != m.owner || kept.Ref != c.ID {
			continue
		}
		refs := []string{kept.Credential}
		for _, old := range kept.Replaced {
			refs = append(refs, old.Ref)
		}
		for _, ref := range slices.DeleteFunc(refs, func(ref string) bool { return ref == "" }) {
			page = append(page, m.found(c, kept, ref))
		}
	}
	return page, next, nil
}

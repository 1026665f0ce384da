package kong

import (
	"context"
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
)

// keyAuth is Kong's name of a credential.
type keyAuth struct {
	ID   string   `json:"id,omitempty"`
	Key  string   `json:"key"`
	Tags []string `json:"tags"`
	TTL  *int64   `json:"ttl,omitempty"` // seconds left; nil or 0: no end
}

// namespace of our credentials' ids (RFC 9562, 5.5).
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/passerelle-hub/passerelle/connectors/kong"))

// credentialID makes a repeated PUT meet the credential of the first.
func credentialID(ref string) string { return uuid.NewSHA1(namespace, []byte(ref)).String() }

// maxTTL is the longest end that Kong takes, in seconds: three years and two months.
const maxTTL = 100_000_000

const keyRoute = "/consumers/{consumer}/key-auth/{id}"

func keyParams(subject, id string) map[string]string {
	return map[string]string{"consumer": subject, "id": id}
}

func (m *Manager) key(ctx context.Context, op, subject, id string) (keyAuth, error) {
	var k keyAuth
	_, err := m.do(ctx, call{op: op, method: http.MethodGet, route: keyRoute, params: keyParams(subject, id), out: &k})
	return k, err
}

// end is when Kong stops accepting the key; zero: never.
func (k keyAuth) end(now time.Time) time.Time {
	if k.TTL == nil || *k.TTL <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(*k.TTL) * time.Second).UTC()
}

// ttl gives the seconds from now to an end, rounded up.
func (m *Manager) ttl(op string, at time.Time) (int64, error) {
	left := at.Sub(m.now())
	seconds := int64((left + time.Second - 1) / time.Second)
	switch {
	case left <= 0:
		return 0, m.fail(op, connectors.Rejected, "the end %s has passed", at.UTC().Format(time.RFC3339))
	case seconds > maxTTL:
		return 0, m.fail(op, connectors.Rejected, "Kong takes no end more than %d seconds away", maxTTL)
	}
	return seconds, nil
}

// Issue makes the value a live key of the consumer.
func (m *Manager) Issue(ctx context.Context, r connectors.IssueRequest) (connectors.Issued, error) {
	return m.issue(ctx, "issue", r)
}

func (m *Manager) issue(ctx context.Context, op string, r connectors.IssueRequest) (connectors.Issued, error) {
	if r.SubjectID == "" || r.Ref == "" || r.Subject.Owner == "" || r.Secret.IsZero() {
		return connectors.Issued{}, m.fail(op, connectors.Rejected, "subject, owner, reference and secret are needed")
	}
	if _, err := m.required(op, r.Grants); err != nil {
		return connectors.Issued{}, err
	}
	id := credentialID(r.Ref)
	k, err := m.key(ctx, op, r.SubjectID, id)
	adopted := err == nil
	if connectors.Is(err, connectors.NotFound) {
		k, err = m.putKey(ctx, op, id, r)
	}
	if err != nil {
		return connectors.Issued{}, err
	}
	same := subtle.ConstantTimeCompare([]byte(k.Key), []byte(r.Secret.Reveal())) == 1
	if !same || k.ID != id || tagged(k.Tags, ownerTag) != tagged([]string{tag(ownerTag, r.Subject.Owner)}, ownerTag) {
		return connectors.Issued{}, m.fail(op, connectors.Conflict, "credential %s holds another value or belongs to another owner", id)
	}
	return connectors.Issued{
		Handle: connectors.Handle{Ref: r.Ref, Subject: r.SubjectID, ID: id},
		Secret: r.Secret, ExpiresAt: k.end(m.now()), Adopted: adopted,
	}, nil
}

// putKey writes a key that was not there: a PUT without ttl takes the end away
// from one that is.
func (m *Manager) putKey(ctx context.Context, op, id string, r connectors.IssueRequest) (keyAuth, error) {
	want := keyAuth{
		Key:  r.Secret.Reveal(),
		Tags: []string{tag(ownerTag, r.Subject.Owner), refTag + r.Ref, tag(definitionTag, r.Grants.Definition)},
	}
	if !r.ExpiresAt.IsZero() {
		ttl, err := m.ttl(op, r.ExpiresAt)
		if err != nil {
			return keyAuth{}, err
		}
		want.TTL = &ttl
	}
	var k keyAuth
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPut, route: keyRoute, params: keyParams(r.SubjectID, id), in: want, out: &k, secret: r.Secret,
	})
	return k, err
}

// refTag leads from a key back to our reference.
const refTag = "ref:"

// Rotate makes the new key, then gives the old one a ttl, never a longer life
// than it had.
func (m *Manager) Rotate(ctx context.Context, r connectors.RotateRequest) (connectors.Rotation, error) {
	const op = "rotate"
	subject, id := m.place(r.Old)
	switch {
	case r.Grace < 0 || r.Old.Ref == r.Ref:
		return connectors.Rotation{}, m.fail(op, connectors.Rejected, "a rotation needs a new reference and no negative grace")
	case r.Old.Subject != "" && r.Old.Subject != r.SubjectID:
		return connectors.Rotation{}, m.fail(op, connectors.Conflict, "the old credential belongs to another subject")
	}
	issued, err := m.issue(ctx, op, r.IssueRequest)
	if err != nil {
		return connectors.Rotation{}, err
	}
	rotation := connectors.Rotation{Issued: issued, Overlap: connectors.OverlapNone}
	if r.Grace == 0 {
		return rotation, m.revoke(ctx, op, r.Old)
	}
	old, err := m.key(ctx, op, subject, id)
	if connectors.Is(err, connectors.NotFound) {
		return rotation, nil // dead already
	}
	if err != nil {
		return connectors.Rotation{}, err
	}
	rotation.Overlap, rotation.OldUntil = connectors.OverlapUntil, old.end(m.now())
	until := m.now().Add(r.Grace)
	if !rotation.OldUntil.IsZero() && !until.Before(rotation.OldUntil) {
		return rotation, nil
	}
	rotation.OldUntil, err = m.setEnd(ctx, op, subject, id, until)
	if err != nil {
		return connectors.Rotation{}, err
	}
	return rotation, nil
}

// setEnd changes the ttl alone, and gives the end that Kong answers.
func (m *Manager) setEnd(ctx context.Context, op, subject, id string, at time.Time) (time.Time, error) {
	ttl, err := m.ttl(op, at)
	if err != nil {
		return time.Time{}, err
	}
	var k keyAuth
	_, err = m.do(ctx, call{
		op: op, method: http.MethodPatch, route: keyRoute, params: keyParams(subject, id),
		in: struct {
			TTL int64 `json:"ttl"`
		}{ttl}, out: &k,
	})
	if err != nil {
		return time.Time{}, err
	}
	end := k.end(m.now())
	if end.IsZero() || end.After(at.Add(time.Second)) {
		return time.Time{}, m.fail(op, connectors.Rejected, "Kong did not take the end: the key lives on")
	}
	return end, nil
}

// Expire sets the end of a key. An end in the past is a revocation.
func (m *Manager) Expire(ctx context.Context, h connectors.Handle, at time.Time) error {
	const op = "expire"
	if at.IsZero() {
		return m.fail(op, connectors.Rejected, "no end is given")
	}
	subject, id := m.place(h)
	if !at.After(m.now()) {
		if _, err := m.key(ctx, op, subject, id); err != nil {
			return err
		}
		return m.revoke(ctx, op, h)
	}
	_, err := m.setEnd(ctx, op, subject, id, at)
	return err
}

// place tells where a handle's key is. A handle that was never completed has
// our reference only, from which both are derived.
func (m *Manager) place(h connectors.Handle) (subject, id string) {
	subject, id = h.Subject, h.ID
	if subject == "" {
		subject = connectors.SubjectRef(h.Ref) // the consumer's username
	}
	if id == "" {
		id = credentialID(h.Ref)
	}
	return subject, id
}

package jwtissuer

import (
	"context"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Rotate signs a token with a new jti and ends the old one after any grace. A
// repeat signs the new one again and never lengthens the old one's end.
func (i *Issuer) Rotate(ctx context.Context, r connectors.RotateRequest) (connectors.Rotation, error) {
	const op = "rotate"
	if r.Grace < 0 || r.Old.Ref == r.Ref {
		return connectors.Rotation{}, i.fault(op, connectors.Rejected, "a rotation needs a new reference and no negative grace")
	}
	old, err := i.issued(ctx, op, r.Old)
	if err != nil {
		return connectors.Rotation{}, err
	}
	if old.Subject != r.SubjectID {
		return connectors.Rotation{}, i.fault(op, connectors.Conflict, "the old credential belongs to another subject")
	}
	issued, err := i.issue(ctx, op, r.IssueRequest)
	if err != nil {
		return connectors.Rotation{}, err
	}
	rotation := connectors.Rotation{Issued: issued, Overlap: connectors.OverlapNone}
	if old.liveness(i.now()) == connectors.Dead {
		return rotation, nil
	}
	if r.Grace == 0 {
		if err := i.revoke(ctx, op, r.Old.Ref); err != nil {
			return connectors.Rotation{}, err
		}
		return rotation, nil
	}
	rotation.Overlap = connectors.OverlapUntil
	rotation.OldUntil, err = i.shorten(ctx, op, r.Old.Ref, old, i.now().Add(r.Grace))
	if err != nil {
		return connectors.Rotation{}, err
	}
	return rotation, nil
}

// Expire shortens the end of a credential. A later end is Rejected: the token
// says its end itself, so a longer life is a rotation (tokens.md, 6).
func (i *Issuer) Expire(ctx context.Context, h connectors.Handle, at time.Time) error {
	const op = "expire"
	s, err := i.issued(ctx, op, h)
	switch {
	case err != nil:
		return err
	case s.revoked:
		return i.fault(op, connectors.Rejected, "the reference was revoked, which is final")
	case at.IsZero():
		return i.fault(op, connectors.Rejected, "a token without an end is not issued")
	case at.Truncate(time.Second).After(s.ExpiresAt):
		return i.fault(op, connectors.Rejected, "a token cannot be lengthened: rotate it")
	}
	_, err = i.shorten(ctx, op, h.Ref, s, at)
	return err
}

// shorten writes an end and gives the one that holds: never later than it was.
func (i *Issuer) shorten(ctx context.Context, op, ref string, s standing, at time.Time) (time.Time, error) {
	at = at.UTC().Truncate(time.Second)
	if !at.Before(s.ExpiresAt) {
		return s.ExpiresAt, nil
	}
	if err := i.book.put(ctx, endKey(ref), endRecord{At: at}); err != nil {
		return time.Time{}, i.failed(op, err)
	}
	return at, nil
}

// Revoke ends a reference for ever, also one that was never issued: an issue
// that arrives late finds it dead.
func (i *Issuer) Revoke(ctx context.Context, h connectors.Handle) error {
	const op = "revoke"
	if h.Ref == "" {
		return i.fault(op, connectors.Rejected, "no reference")
	}
	return i.revoke(ctx, op, h.Ref)
}

func (i *Issuer) revoke(ctx context.Context, op, ref string) error {
	if _, err := i.book.putNew(ctx, revokedKey(ref), revokedRecord{At: i.now().UTC()}); err != nil {
		return i.failed(op, err)
	}
	return nil
}

// VerifyRevoked reads the records back: what Revoke wrote, or an end that has
// passed. A reference of which nothing is written is Unknown.
func (i *Issuer) VerifyRevoked(ctx context.Context, h connectors.Handle) (connectors.Liveness, error) {
	s, err := i.book.standing(ctx, h.Ref)
	if err != nil {
		return connectors.Unknown, i.failed("verify", err)
	}
	return s.liveness(i.now()), nil
}

// Lookup says what is recorded of a reference.
func (i *Issuer) Lookup(ctx context.Context, h connectors.Handle) (connectors.Found, error) {
	s, err := i.issued(ctx, "lookup", h)
	if err != nil {
		return connectors.Found{}, err
	}
	return connectors.Found{
		Handle: connectors.Handle{Ref: h.Ref, Subject: s.Subject, ID: s.Public},
		Owner:  s.Owner, Scopes: s.Scopes, ExpiresAt: s.ExpiresAt, Live: s.liveness(i.now()),
	}, nil
}

// issued reads a reference that must have been issued.
func (i *Issuer) issued(ctx context.Context, op string, h connectors.Handle) (standing, error) {
	s, err := i.book.standing(ctx, h.Ref)
	if err != nil {
		return standing{}, i.failed(op, err)
	}
	if !s.issued {
		return standing{}, i.fault(op, connectors.NotFound, "nothing was issued under this reference")
	}
	return s, nil
}

package jwtissuer

import (
	"context"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// The records, one JSON object each. None holds a token.
type (
	subjectRecord struct {
		Owner string `json:"owner"`
	}
	credentialRecord struct {
		Public     string    `json:"public"` // jti
		Subject    string    `json:"subject"`
		Owner      string    `json:"owner"`
		Definition string    `json:"definition"`
		Scopes     []string  `json:"scopes"` // DataPass's names, at issue
		IssuedAt   time.Time `json:"issued_at"`
		ExpiresAt  time.Time `json:"expires_at"`
	}
	grantsRecord struct {
		Scopes []string `json:"scopes"`
	}
	endRecord struct {
		At time.Time `json:"at"`
	}
	revokedRecord struct {
		At time.Time `json:"at"`
	}
)

func subjectKey(ref string) string    { return "subject/" + ref }
func credentialKey(ref string) string { return "credential/" + ref }
func grantsKey(ref string) string     { return "grants/" + ref }
func endKey(ref string) string        { return "end/" + ref }
func revokedKey(ref string) string    { return "revoked/" + ref }

const healthKey = "health"

// book reads and writes records.
type book struct{ ledger connectors.Ledger }

func get[T any](ctx context.Context, b book, key string) (record T, found bool, err error) {
	return connectors.ReadRecord[T](ctx, b.ledger, key)
}

func (b book) put(ctx context.Context, key string, record any) error {
	return connectors.WriteRecord(ctx, b.ledger, key, record)
}

// putNew writes a record that is written once; false when it is there.
func (b book) putNew(ctx context.Context, key string, record any) (bool, error) {
	return connectors.WriteRecordOnce(ctx, b.ledger, key, record)
}

// standing is all that the records say of one reference.
type standing struct {
	credentialRecord
	issued  bool
	revoked bool
}

func (s standing) liveness(now time.Time) connectors.Liveness {
	switch {
	case s.revoked:
		return connectors.Dead
	case !s.issued:
		return connectors.Unknown
	case !s.ExpiresAt.After(now):
		return connectors.Dead
	default:
		return connectors.Alive
	}
}

// standing reads what is true now of a reference: an earlier end and later
// grants laid over what was issued.
func (b book) standing(ctx context.Context, ref string) (standing, error) {
	var s standing
	var err error
	if s.credentialRecord, s.issued, err = get[credentialRecord](ctx, b, credentialKey(ref)); err != nil {
		return standing{}, err
	}
	if _, s.revoked, err = get[revokedRecord](ctx, b, revokedKey(ref)); err != nil {
		return standing{}, err
	}
	if !s.issued {
		return s, nil
	}
	end, shortened, err := get[endRecord](ctx, b, endKey(ref))
	if err != nil {
		return standing{}, err
	}
	if shortened && end.At.Before(s.ExpiresAt) {
		s.ExpiresAt = end.At
	}
	grants, changed, err := get[grantsRecord](ctx, b, grantsKey(ref))
	if err != nil {
		return standing{}, err
	}
	if changed {
		s.Scopes = slices.Clone(grants.Scopes)
	}
	return s, nil
}

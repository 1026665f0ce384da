package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Reads inside a transaction. A command never reads through Store: it would hold
// one connection and wait for a second, and as many at once as there are
// connections would wait for ever.

// Partner is Store.Partner inside the transaction.
func (t *Tx) Partner(ctx context.Context, name string) (Partner, error) {
	p, err := t.q.PartnerByName(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return Partner{Name: name}, nil
	}
	return p, err
}

// PersonByIdentity is Store.PersonByIdentity inside the transaction.
func (t *Tx) PersonByIdentity(ctx context.Context, issuer, subject string) (Person, error) {
	row, err := t.q.PersonByIdentity(ctx, issuer, subject)
	return personOf(row), notFound(err, "person", "of this subject")
}

package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// DefinitionSet is a set of definitions as it is stored.
type DefinitionSet struct {
	Hash   string
	Bundle []byte
	Since  time.Time // in force since
}

// DefinitionsInForce gives the set that all processes work with. ErrNotFound
// before the first.
func (s *Store) DefinitionsInForce(ctx context.Context) (DefinitionSet, error) {
	row, err := s.q.DefinitionSetInForce(ctx)
	return DefinitionSet(row), notFound(err, "definitions", "in force")
}

// DefinitionsHashInForce gives its hash alone; "" before the first.
func (s *Store) DefinitionsHashInForce(ctx context.Context) (string, error) {
	row, err := s.q.DefinitionSetHashInForce(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return row.Hash, err
}

// DefinitionsHashInForce is Store.DefinitionsHashInForce inside the transaction.
func (t *Tx) DefinitionsHashInForce(ctx context.Context) (string, error) {
	row, err := t.q.DefinitionSetHashInForce(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return row.Hash, err
}

// DefinitionsKnown reports whether a set was ever in force.
func (t *Tx) DefinitionsKnown(ctx context.Context, hash string) (bool, error) {
	return t.q.DefinitionSetKnown(ctx, hash)
}

// PutDefinitions stores a set and puts it in force.
func (t *Tx) PutDefinitions(ctx context.Context, hash string, bundle []byte) error {
	if err := t.q.InsertDefinitionSet(ctx, hash, bundle); err != nil {
		return err
	}
	return t.q.PutDefinitionSetInForce(ctx, hash)
}

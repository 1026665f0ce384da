package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Partner is a partner's queue as the hub sees it.
type Partner = db.Partner

// Partners gives those about which something is known.
func (s *Store) Partners(ctx context.Context) ([]Partner, error) { return s.q.Partners(ctx) }

// Partner reads one; a zero Partner when nothing was ever wrong with it.
func (s *Store) Partner(ctx context.Context, name string) (Partner, error) {
	p, err := s.q.PartnerByName(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return Partner{Name: name}, nil
	}
	return p, err
}

// PartnersToProbe gives the partners paused by the hub whose pause is over.
func (s *Store) PartnersToProbe(ctx context.Context) ([]Partner, error) {
	return s.q.PartnersToProbe(ctx)
}

// PausePartner records that nothing is sent to a partner before until; false
// when the hub would pause what an operator has paused already.
func (t *Tx) PausePartner(ctx context.Context, name string, until time.Time, by string, class connectors.Class, reason string) (bool, error) {
	n, err := t.q.PausePartner(ctx, db.PausePartnerParams{
		Name: name, PausedUntil: &until, PausedBy: by, Class: string(class), Reason: reason,
	})
	return n > 0, err
}

// PartnerFailed counts one more failure in a row and gives how many there are.
func (t *Tx) PartnerFailed(ctx context.Context, name string, class connectors.Class, reason string) (int, error) {
	n, err := t.q.PartnerFailed(ctx, name, string(class), reason)
	return int(n), err
}

// PartnerOK records that a partner answers; true when that ends a pause of the
// hub's. A pause that an operator made stays.
func (t *Tx) PartnerOK(ctx context.Context, name string) (bool, error) {
	wasPaused, err := t.q.PartnerOK(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return wasPaused, err
}

// ResumePartner ends any pause, an operator's included.
func (t *Tx) ResumePartner(ctx context.Context, name string) error {
	return t.q.ResumePartner(ctx, name)
}

// ParkedEvent is an incoming event that waits for a cause to be mended.
type ParkedEvent = db.ParkedInboundRow

// ParkedEvents gives them, oldest first.
func (s *Store) ParkedEvents(ctx context.Context, limit int) ([]ParkedEvent, error) {
	return s.q.ParkedInbound(ctx, int32(limit))
}

// PurgeInboundBodies deletes the bodies of settled events received before a time.
func (s *Store) PurgeInboundBodies(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.q.PurgeInboundBodies(ctx, before, int32(limit))
}

// Ledger gives the records of one connector instance.
func (s *Store) Ledger(connector string) connectors.Ledger { return ledger{s.q, connector} }

type ledger struct {
	q    *db.Queries
	name string
}

func (l ledger) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, err := l.q.GetRecord(ctx, l.name, key)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	return value, err == nil, err
}

func (l ledger) Put(ctx context.Context, key string, value []byte) error {
	return l.q.PutRecord(ctx, l.name, key, value)
}

func (l ledger) PutNew(ctx context.Context, key string, value []byte) (bool, error) {
	n, err := l.q.PutNewRecord(ctx, l.name, key, value)
	return n > 0, err
}

func (l ledger) Delete(ctx context.Context, key string) error {
	return l.q.DeleteRecord(ctx, l.name, key)
}

// Gate gives the locks and limits shared by all replicas.
func (s *Store) Gate() connectors.Gate { return gate{s.q} }

type gate struct{ q *db.Queries }

func (g gate) Lock(ctx context.Context, name string, ttl time.Duration) (func(), bool, error) {
	holder := uuid.New()
	_, err := g.q.TakeLease(ctx, name, holder, ttl.Seconds())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	release := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = g.q.ReleaseLease(ctx, name, holder) // a lease that is not released ends by itself
	}
	return release, true, nil
}

func (g gate) Take(ctx context.Context, name string, rate float64, burst int) (time.Duration, error) {
	row, err := g.q.TakeFromBucket(ctx, name, float64(burst-1), float64(burst), rate)
	if err != nil || row.Taken {
		return 0, err
	}
	missing := 1 - row.Tokens - time.Since(row.At).Seconds()*rate
	return max(time.Duration(missing/rate*float64(time.Second)), time.Millisecond), nil
}

package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Event is something that happened, for whoever subscribed. Body holds no
// personal data and no secret: only ids to fetch by.
type Event struct {
	ID          uuid.UUID // webhook-id of every delivery
	Type        string    // "token.issued"
	Definition  string
	RequestID   int64
	Body        json.RawMessage
	OccurredAt  time.Time
	Correlation string
}

// PublishEvent stores an event with one delivery per endpoint that asked for it
// and gives the deliveries' ids. The caller holds the request's lock.
func (t *Tx) PublishEvent(ctx context.Context, e Event) ([]int64, error) {
	seq, err := t.q.NextEventSeq(ctx, ptr(e.RequestID))
	if err != nil {
		return nil, err
	}
	err = t.q.InsertEvent(ctx, db.InsertEventParams{
		ID: e.ID, Type: e.Type, Definition: e.Definition, RequestID: ptr(e.RequestID), Seq: seq,
		Body: e.Body, OccurredAt: e.OccurredAt, Correlation: e.Correlation,
	})
	if err != nil {
		return nil, err
	}
	return t.q.FanOut(ctx, e.ID, e.OccurredAt, e.Definition, e.Type)
}

// EndpointSecret is one signing secret of an endpoint: 64 hex characters.
type EndpointSecret struct {
	Value    string    `json:"value"`
	NotAfter time.Time `json:"not_after,omitzero"` // zero: no end
}

// NewEndpoint is a subscription to make.
type NewEndpoint struct {
	ID          uuid.UUID
	Definition  string
	URL         string
	Description string
	Secrets     []EndpointSecret
	Events      []string // "*" for all
}

// Endpoint is a subscription as lists show it.
type Endpoint = db.EndpointsRow

func endpointAD(id uuid.UUID) []byte { return []byte("endpoint/" + id.String()) }

// InsertEndpoint makes a subscription, its secrets sealed.
func (t *Tx) InsertEndpoint(ctx context.Context, e NewEndpoint) error {
	secrets, err := json.Marshal(e.Secrets)
	if err != nil {
		return err
	}
	sealed, err := t.ring.Seal(secrets, endpointAD(e.ID))
	if err != nil {
		return err
	}
	return t.q.InsertEndpoint(ctx, db.InsertEndpointParams{
		ID: e.ID, Definition: e.Definition, Url: e.URL, Description: e.Description, SecretsSealed: sealed, Events: e.Events, Enabled: true,
	})
}

// Endpoints gives all subscriptions.
func (s *Store) Endpoints(ctx context.Context) ([]Endpoint, error) { return s.q.Endpoints(ctx) }

// Delivery is one event for one endpoint, with what is needed to send it.
type Delivery struct {
	db.DeliveryByIDRow
	Secrets []connectors.Secret // live ones, newest first
}

// Delivery reads a delivery, its secrets opened.
func (s *Store) Delivery(ctx context.Context, id int64, now time.Time) (Delivery, error) {
	row, err := s.q.DeliveryByID(ctx, id)
	if err != nil {
		return Delivery{}, notFound(err, "delivery", id)
	}
	clear, err := s.ring.Open(row.SecretsSealed, endpointAD(row.EndpointID))
	if err != nil {
		return Delivery{}, err
	}
	var secrets []EndpointSecret
	if err := json.Unmarshal(clear, &secrets); err != nil {
		return Delivery{}, err
	}
	row.SecretsSealed = nil
	d := Delivery{DeliveryByIDRow: row}
	for _, secret := range secrets {
		if secret.NotAfter.IsZero() || secret.NotAfter.After(now) {
			d.Secrets = append(d.Secrets, connectors.NewSecret(secret.Value))
		}
	}
	return d, nil
}

// Attempt is one try to deliver.
type Attempt struct {
	DeliveryID int64
	N          int
	At         time.Time
	Result     connectors.DeliveryResult
	State      string    // of the delivery after it: pending, delivered, abandoned
	NextAt     time.Time // when pending
}

// RecordAttempt writes a try and what it makes of the delivery. A delivery that
// is no longer pending stays as it is.
func (t *Tx) RecordAttempt(ctx context.Context, a Attempt) error {
	var deliveredAt *time.Time
	if a.State == "delivered" {
		deliveredAt = &a.At
	}
	err := t.q.InsertAttempt(ctx, db.InsertAttemptParams{
		DeliveryID: a.DeliveryID, N: int32(a.N), At: a.At, Status: ptr(int32(a.Result.Status)), ErrorClass: a.Result.ErrorClass,
		Error: a.Result.Error, DurationMs: int32(a.Result.Duration.Milliseconds()), Answer: string(a.Result.Body),
	})
	if err != nil {
		return err
	}
	return t.q.SettleDelivery(ctx, db.SettleDeliveryParams{
		ID: a.DeliveryID, State: a.State, NextAt: a.NextAt, LastStatus: ptr(int32(a.Result.Status)),
		LastError: a.Result.Error, DeliveredAt: deliveredAt,
	})
}

// ClaimDelivery takes a due delivery until a time, when it is due again if its
// outcome was not recorded; false when it is not due or another has it.
func (s *Store) ClaimDelivery(ctx context.Context, id int64, now, until time.Time) (bool, error) {
	_, err := s.q.ClaimDelivery(ctx, until, id, now)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// DueDeliveries gives deliveries whose time has come.
func (s *Store) DueDeliveries(ctx context.Context, before time.Time, limit int) ([]int64, error) {
	return s.q.DueDeliveries(ctx, before, int32(limit))
}

// WaitingDelivery is a delivery that failed at least once and is tried again.
type WaitingDelivery = db.WaitingDeliveriesRow

// WaitingDeliveries gives them, soonest first.
func (s *Store) WaitingDeliveries(ctx context.Context, limit int) ([]WaitingDelivery, error) {
	return s.q.WaitingDeliveries(ctx, int32(limit))
}

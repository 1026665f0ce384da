package store

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// NewEndpoint is a subscription to make: of a definition, or of an editor.
type NewEndpoint struct {
	Definition  string
	Editor      string
	URL         string
	Description string
	Events      []string // "*" for all
	Format      string
	Secrets     []EndpointSecret
	Headers     map[string]string
	Ordered     bool
	Rate        float64 // deliveries a second; 0: no limit
	MaxInFlight int
	Environment string // of X-App-Environment; "": the hub's
	Contact     string // address told of failures, beside the developers
	Enabled     bool
	TestedURL   string
	CreatedBy   string
	Now         time.Time
}

// Endpoint is a subscription, without its secrets.
type Endpoint struct {
	ID             int64
	Definition     string // or Editor
	Editor         string // id of a service provider, or SIRET
	URL            string
	Description    string
	Events         []string
	Format         string
	HeaderNames    []string // the owner's own headers; their values are sealed
	Ordered        bool
	Rate           float64 // deliveries a second; 0: no limit
	MaxInFlight    int
	Environment    string // of X-App-Environment; "": the hub's
	Contact        string // address told of failures, beside the developers
	Enabled        bool
	TestedURL      string       // the last test passed there; "": the last one failed
	Test           EndpointTest // the last one
	PreviousUntil  time.Time    // the secret before signs too until then; zero: there is none
	DisabledAt     time.Time
	DisabledReason string
	DisabledBy     string // an actor
	CreatedBy      string
	Version        int32
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// EndpointTest is what came of a test event.
type EndpointTest struct {
	At         time.Time // zero: never tested
	Passed     bool
	Status     int // 0: no complete answer
	ErrorClass string
	Error      string
	Duration   time.Duration
	Answer     string // its first characters
}

func endpointOf(r db.EndpointByIDRow) Endpoint {
	return Endpoint{
		ID: r.ID, Definition: r.Definition, Editor: r.Editor, URL: r.Url, Description: r.Description, Events: r.Events, Format: r.Format,
		HeaderNames: r.HeaderNames, Ordered: r.Ordered, Rate: val(r.RateLimit), MaxInFlight: int(r.MaxInFlight), Environment: r.Environment,
		Contact: r.Contact, Enabled: r.Enabled, TestedURL: r.TestedUrl, PreviousUntil: val(r.PreviousUntil),
		Test: EndpointTest{
			At: val(r.TestedAt), Passed: r.TestPassed, Status: int(val(r.TestStatus)), ErrorClass: r.TestErrorClass, Error: r.TestError,
			Duration: time.Duration(r.TestDurationMs) * time.Millisecond, Answer: r.TestAnswer,
		},
		DisabledAt: val(r.DisabledAt), DisabledReason: r.DisabledReason, DisabledBy: r.DisabledBy, CreatedBy: r.CreatedBy, Version: r.Version,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

// InsertEndpoint makes a subscription, its secrets sealed, and gives its id.
func (t *Tx) InsertEndpoint(ctx context.Context, e NewEndpoint) (int64, error) {
	id, err := t.q.NextEndpointID(ctx)
	if err != nil {
		return 0, err
	}
	secrets, err := t.sealJSON(e.Secrets, endpointAD(id, "secrets"))
	if err != nil {
		return 0, err
	}
	headers, err := t.sealHeaders(id, e.Headers)
	if err != nil {
		return 0, err
	}
	return t.q.InsertEndpoint(ctx, db.InsertEndpointParams{
		ID: id, Definition: e.Definition, Editor: e.Editor, Url: e.URL, Description: e.Description, Events: e.Events, Format: e.Format,
		SecretsSealed: secrets, HeadersSealed: headers, HeaderNames: names(e.Headers), Ordered: e.Ordered, RateLimit: ptr(e.Rate),
		MaxInFlight: int32(e.MaxInFlight), Environment: e.Environment, Contact: e.Contact,
		Enabled: e.Enabled, TestedUrl: e.TestedURL, CreatedBy: e.CreatedBy, Now: e.Now,
	})
}

func (t *Tx) sealHeaders(id int64, headers map[string]string) ([]byte, error) {
	if len(headers) == 0 {
		return nil, nil
	}
	return t.sealJSON(headers, endpointAD(id, "headers"))
}

func names(headers map[string]string) []string {
	return slices.AppendSeq([]string{}, maps.Keys(headers))
}

func (t *Tx) sealJSON(v any, associated []byte) ([]byte, error) {
	clear, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return t.ring.Seal(clear, associated)
}

// Endpoints gives all subscriptions.
func (s *Store) Endpoints(ctx context.Context) ([]Endpoint, error) {
	rows, err := s.q.Endpoints(ctx)
	list := make([]Endpoint, len(rows))
	for i, row := range rows {
		list[i] = endpointOf(db.EndpointByIDRow(row))
	}
	return list, err
}

// Endpoint gives a subscription. ErrNotFound for none.
func (s *Store) Endpoint(ctx context.Context, id int64) (Endpoint, error) {
	return endpointByID(ctx, s.q, id)
}

// Endpoint is Store.Endpoint inside the transaction.
func (t *Tx) Endpoint(ctx context.Context, id int64) (Endpoint, error) {
	return endpointByID(ctx, t.q, id)
}

func endpointByID(ctx context.Context, q *db.Queries, id int64) (Endpoint, error) {
	row, err := q.EndpointByID(ctx, id)
	return endpointOf(row), notFound(err, "endpoint", id)
}

// Target reads what a delivery to an endpoint needs, its secrets opened, outside
// of any lane: for a test.
func (s *Store) Target(ctx context.Context, id int64, now time.Time) (Lane, error) {
	row, err := s.q.EndpointTarget(ctx, id)
	if err != nil {
		return Lane{}, notFound(err, "endpoint", id)
	}
	l := Lane{
		EndpointID: row.ID, Definition: row.Definition, Editor: row.Editor, URL: row.Url, Format: row.Format, Environment: row.Environment,
		Version: row.Version,
	}
	if l.Secrets, err = s.liveSecrets(id, row.SecretsSealed, now); err != nil {
		return l, err
	}
	l.Headers, err = s.ownHeaders(id, row.HeadersSealed)
	return l, err
}

// EndpointHealth says how an endpoint does; all zero for one that nothing was
// sent to.
func (s *Store) EndpointHealth(ctx context.Context, id int64) (Health, error) {
	row, err := s.q.EndpointHealth(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Health{}, nil
	}
	return Health{
		Failures: int(row.Failures), FailingSince: val(row.FailingSince), RestUntil: val(row.RestUntil), Rests: int(row.Rests),
		InFlight: int(val(row.InFlight)), Slow: row.Slow, LastOKAt: val(row.LastOkAt), LastFailedAt: val(row.LastFailedAt),
		LastStatus: int(val(row.LastStatus)), LastError: row.LastError, WarnedAt: val(row.WarnedAt),
	}, err
}

// LockEndpoint holds a subscription until the transaction ends. ErrNotFound for none.
func (t *Tx) LockEndpoint(ctx context.Context, id int64) error {
	_, err := t.q.LockEndpoint(ctx, id)
	return notFound(err, "endpoint", id)
}

// DisableEndpoint stops sending to it; by is an actor.
func (t *Tx) DisableEndpoint(ctx context.Context, id int64, reason, by string, now time.Time) error {
	return t.q.DisableEndpoint(ctx, &now, reason, by, id)
}

// MarkWarned notes that the owners of a failing endpoint are told; true when
// they were not before.
func (t *Tx) MarkWarned(ctx context.Context, id int64, now time.Time) (bool, error) {
	_, err := t.q.MarkWarned(ctx, &now, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// KeepEndpointToken keeps what a receiver answered for a habilitation.
func (t *Tx) KeepEndpointToken(ctx context.Context, d Due, tokenID string, status int, at time.Time) error {
	return t.q.KeepEndpointToken(ctx, db.KeepEndpointTokenParams{
		EndpointID: d.EndpointID, HabilitationID: d.HabilitationID, RequestID: d.RequestID, TokenID: tokenID, EventID: d.EventID,
		Status: int32(status), AnsweredAt: at,
	})
}

func day(t time.Time) pgtype.Date { return pgtype.Date{Time: t.UTC(), Valid: true} }

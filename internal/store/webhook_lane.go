package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Formats of an endpoint's bodies.
const (
	FormatDataPass = "datapass"
	FormatStandard = "standard"
)

// Lane is an endpoint taken by this process, with what is needed to deliver.
type Lane struct {
	EndpointID  int64
	Definition  string
	Editor      string
	URL         string
	Format      string
	Secrets     []connectors.Secret // live ones, newest first
	Headers     map[string]string   // the owner's own
	Ordered     bool
	Rate        float64 // deliveries a second; 0: no limit
	MaxInFlight int
	Environment string // of X-App-Environment; "": the hub's
	Version     int32
	Health      Health
	PacedUntil  time.Time // when the rate allows the next one
}

// Health is how an endpoint does.
type Health struct {
	Failures     int       // tries that failed in a row
	FailingSince time.Time // zero: the last one succeeded
	RestUntil    time.Time // nothing is sent before; zero: it does not rest
	Rests        int       // in a row
	InFlight     int       // what the receiver bears; 0: its own limit
	Slow         bool
	LastOKAt     time.Time
	LastFailedAt time.Time
	LastStatus   int
	LastError    string
	WarnedAt     time.Time // its owners were told
}

// ErrLaneBusy: another process delivers to the endpoint, or it is not enabled.
var ErrLaneBusy = errors.New("store: the lane is taken")

// TakeLane takes an endpoint for a time. Nobody else delivers to it until then,
// or until ReleaseLane.
func (s *Store) TakeLane(ctx context.Context, endpointID int64, holder uuid.UUID, lease time.Duration, now time.Time) (Lane, error) {
	return s.takeLane(ctx, endpointID, holder, lease, now, false)
}

// KeepLane lengthens what TakeLane took, and reads the endpoint anew. ErrLaneBusy
// when the time was over, or the endpoint is not enabled any more.
func (s *Store) KeepLane(ctx context.Context, endpointID int64, holder uuid.UUID, lease time.Duration, now time.Time) (Lane, error) {
	return s.takeLane(ctx, endpointID, holder, lease, now, true)
}

func (s *Store) takeLane(ctx context.Context, endpointID int64, holder uuid.UUID, lease time.Duration, now time.Time, keep bool) (Lane, error) {
	row, err := s.q.TakeLane(ctx, holder, lease.Seconds(), endpointID, keep)
	if errors.Is(err, pgx.ErrNoRows) {
		return Lane{}, ErrLaneBusy
	}
	if err != nil {
		return Lane{}, err
	}
	l := Lane{
		EndpointID: row.ID, Definition: row.Definition, Editor: row.Editor, URL: row.Url, Format: row.Format, Ordered: row.Ordered,
		Rate: val(row.RateLimit), MaxInFlight: int(row.MaxInFlight), Environment: row.Environment, Version: row.Version, PacedUntil: val(row.PacedUntil),
		Health: Health{
			Failures: int(row.Failures), FailingSince: val(row.FailingSince), RestUntil: val(row.RestUntil), Rests: int(row.Rests),
			InFlight: int(val(row.InFlight)), Slow: row.Slow, LastOKAt: val(row.LastOkAt), LastFailedAt: val(row.LastFailedAt),
			LastStatus: int(val(row.LastStatus)), LastError: row.LastError, WarnedAt: val(row.WarnedAt),
		},
	}
	if l.Secrets, err = s.liveSecrets(row.ID, row.SecretsSealed, now); err != nil {
		return Lane{}, err
	}
	l.Headers, err = s.ownHeaders(row.ID, row.HeadersSealed)
	return l, err
}

// ReleaseLane gives an endpoint back. pacedUntil says when its rate allows the
// next delivery; zero: now.
func (s *Store) ReleaseLane(ctx context.Context, endpointID int64, holder uuid.UUID, pacedUntil time.Time) error {
	return s.q.ReleaseLane(ctx, timePtr(pacedUntil), endpointID, holder)
}

// NextDue says when something is due at an endpoint; false when nothing waits or
// it is not enabled.
func (s *Store) NextDue(ctx context.Context, endpointID int64) (time.Time, bool, error) {
	at, err := s.q.NextDue(ctx, endpointID)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, false, nil
	}
	return at, err == nil, err
}

// LaneToStart is an endpoint that may be delivered to.
type LaneToStart = db.LanesToStartRow

// LanesToStart gives those of the endpoints that are enabled and do not rest.
// Served ones are held by a lane now.
func (s *Store) LanesToStart(ctx context.Context, ids []int64, now time.Time) ([]LaneToStart, error) {
	return s.q.LanesToStart(ctx, ids, &now)
}

// EndpointsWithDue gives the endpoints that have something due and that nobody serves.
func (s *Store) EndpointsWithDue(ctx context.Context, now time.Time) ([]int64, error) {
	return s.q.EndpointsWithDue(ctx, &now)
}

// EndpointSecret is one signing secret of an endpoint: 64 hex characters, or
// whsec_ and base64.
type EndpointSecret struct {
	Value    string    `json:"value"`
	NotAfter time.Time `json:"not_after,omitzero"` // zero: no end
}

// Live reports whether the secret still signs.
func (e EndpointSecret) Live(now time.Time) bool { return e.NotAfter.IsZero() || e.NotAfter.After(now) }

func endpointAD(id int64, what string) []byte {
	return []byte("endpoint/" + strconv.FormatInt(id, 10) + "/" + what)
}

func (s *Store) liveSecrets(id int64, sealed []byte, now time.Time) ([]connectors.Secret, error) {
	secrets, err := openSecrets(s.ring, id, sealed)
	if err != nil {
		return nil, err
	}
	var live []connectors.Secret
	for _, secret := range secrets {
		if secret.Live(now) {
			live = append(live, connectors.NewSecret(secret.Value))
		}
	}
	return live, nil
}

func openSecrets(ring Sealer, id int64, sealed []byte) ([]EndpointSecret, error) {
	clear, err := ring.Open(sealed, endpointAD(id, "secrets"))
	if err != nil {
		return nil, err
	}
	var secrets []EndpointSecret
	return secrets, json.Unmarshal(clear, &secrets)
}

func (s *Store) ownHeaders(id int64, sealed []byte) (map[string]string, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	clear, err := s.ring.Open(sealed, endpointAD(id, "headers"))
	if err != nil {
		return nil, err
	}
	var headers map[string]string
	return headers, json.Unmarshal(clear, &headers)
}

// lanesChannel is where processes tell each other what they committed: numbers, a
// comma between two.
const (
	lanesChannel = "passerelle_lanes"
	// tellAtMost keeps a notification below Postgres's 8000 bytes.
	tellAtMost = 380
	// listenFor is how long a silent connection is trusted before it is tried.
	listenFor  = 30 * time.Second
	tryTimeout = 5 * time.Second
)

// TellLanes tells the processes that listen of endpoints with something new, by
// their ids (negative: they were changed).
func (s *Store) TellLanes(ctx context.Context, endpoints []int64) error {
	for part := range slices.Chunk(endpoints, tellAtMost) {
		words := make([]string, len(part))
		for i, id := range part {
			words[i] = strconv.FormatInt(id, 10)
		}
		if err := s.q.TellLanes(ctx, strings.Join(words, ",")); err != nil {
			return err
		}
	}
	return nil
}

// ListenLanes calls began once it listens, then heard with each notification of
// TellLanes, on one connection of its own beside the pool's, until ctx ends or
// the connection does.
func (s *Store) ListenLanes(ctx context.Context, began func(), heard func(endpoints []int64)) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack()
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
		defer cancel()
		_ = conn.Close(bye) // it may be broken already
	}()
	if _, err := conn.Exec(ctx, "listen "+lanesChannel); err != nil {
		return err
	}
	began()
	for {
		wait, cancel := context.WithTimeout(ctx, listenFor)
		n, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case err == nil:
			heard(endpointsOf(n.Payload))
		case ctx.Err() != nil:
			return ctx.Err()
		case !pgconn.Timeout(err):
			return err
		default: // a network that dropped it would never say so
			try, cancel := context.WithTimeout(ctx, tryTimeout)
			err := conn.Ping(try)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

func endpointsOf(payload string) []int64 {
	var ids []int64
	for word := range strings.SplitSeq(payload, ",") {
		if id, err := strconv.ParseInt(word, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

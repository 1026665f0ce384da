package graviteetest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Application states.
const (
	StatusActive   = "ACTIVE"
	StatusArchived = "ARCHIVED"
)

// Subscription states.
const (
	StatusPending  = "PENDING"
	StatusAccepted = "ACCEPTED"
	StatusRejected = "REJECTED"
	StatusPaused   = "PAUSED"
	StatusClosed   = "CLOSED"
)

// Key modes of an application.
const (
	ModeUnspecified = "UNSPECIFIED"
	ModeExclusive   = "EXCLUSIVE"
	ModeShared      = "SHARED"
)

// Application is a consumer. Archived ones are kept.
type Application struct {
	ID          string          `json:"id"`
	HRID        string          `json:"hrid,omitempty"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Type        string          `json:"type"`
	ClientID    string          `json:"client_id"`
	Domain      string          `json:"domain,omitempty"`
	Groups      []string        `json:"groups"`
	Status      string          `json:"status"`
	APIKeyMode  string          `json:"api_key_mode"`
	Metadata    []Metadata      `json:"metadata"`
	Members     json.RawMessage `json:"members,omitempty"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
}

// Metadata is one pair of an application.
type Metadata struct {
	Key    string `json:"key"`
	Name   string `json:"name"`
	Format string `json:"format"`
	Value  string `json:"value"`
}

// Subscription ties an application to a plan. Closed ones are kept.
type Subscription struct {
	ID          string            `json:"id"`
	HRID        string            `json:"hrid,omitempty"`
	API         string            `json:"api"`
	Plan        string            `json:"plan"`
	Application string            `json:"application"`
	Status      string            `json:"status"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Reason      string            `json:"reason,omitempty"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
	ProcessedAt *time.Time        `json:"processed_at,omitempty"`
	StartingAt  *time.Time        `json:"starting_at,omitempty"`
	EndingAt    *time.Time        `json:"ending_at,omitempty"`
	PausedAt    *time.Time        `json:"paused_at,omitempty"`
	ClosedAt    *time.Time        `json:"closed_at,omitempty"`
}

// Key is one API key. Its value is not written to JSON; Fingerprint is the
// start of its SHA-256, in hexadecimal.
type Key struct {
	ID            string     `json:"id"`
	Value         string     `json:"-"`
	Fingerprint   string     `json:"fingerprint"`
	Application   string     `json:"application"`
	Subscriptions []string   `json:"subscriptions"` // several in SHARED mode only
	Revoked       bool       `json:"revoked"`
	Paused        bool       `json:"paused"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	ExpireAt      *time.Time `json:"expire_at,omitempty"`
	RevokedAt     *time.Time `json:"revoked_at,omitempty"`

	views []keyView // what the gateway was told, oldest first
}

// Dictionary is a set of properties that flows of all APIs read.
type Dictionary struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"` // MANUAL
	Properties map[string]string `json:"properties"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	DeployedAt *time.Time        `json:"deployed_at,omitempty"`
	Deployed   map[string]string `json:"deployed,omitempty"` // what the gateway reads
}

// expired is strict, as the management side is: a key whose end is this very
// millisecond is not expired yet.
func (k *Key) expired(now time.Time) bool { return k.ExpireAt != nil && now.After(*k.ExpireAt) }

// active is what the management side calls a key it may revoke.
func (k *Key) active(now time.Time) bool { return !k.Revoked && !k.expired(now) }

func (k *Key) copy() Key {
	out := *k
	out.Subscriptions = slices.Clone(k.Subscriptions)
	out.views = nil
	return out
}

func (s *Subscription) copy() Subscription {
	out := *s
	out.Metadata = maps.Clone(s.Metadata)
	return out
}

func (a *Application) copy() Application {
	out := *a
	out.Groups = slices.Clone(a.Groups)
	out.Metadata = slices.Clone(a.Metadata)
	return out
}

func (d *Dictionary) copy() Dictionary {
	out := *d
	out.Properties, out.Deployed = maps.Clone(d.Properties), maps.Clone(d.Deployed)
	return out
}

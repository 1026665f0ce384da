package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Outbox queues what must follow a change, in the transaction of that change.
type Outbox interface {
	Queue(ctx context.Context, tx pgx.Tx, events []Followup) error
	// Committed hears that the transaction went through: what may be lost is done
	// here. It does not wait.
	Committed(events []Followup)
}

// Followup is something that must follow a committed change.
type Followup interface{ followup() }

// InboundStored: events of these requests wait to be applied.
type InboundStored struct{ Keys []store.InboundKey }

// SourceDoubted: what a source sent of a request cannot be all of the truth; its
// API is to be asked.
type SourceDoubted struct{ Key store.InboundKey }

// ProvisioningRequested: a credential must be made, resumed or have its rights changed.
type ProvisioningRequested struct {
	CredentialID uuid.UUID
	Manager      string
}

// RevocationRequested: a credential must be ended at its manager.
type RevocationRequested struct {
	CredentialID uuid.UUID
	Manager      string
}

// EndDue: a credential is over at the hub at At, and its manager must follow: the
// old one of a rotation, or one that expired.
type EndDue struct {
	CredentialID uuid.UUID
	Manager      string
	At           time.Time
}

// ArchiveEnds: the notice of an archived request's credential is over at At.
type ArchiveEnds struct {
	CredentialID uuid.UUID
	Manager      string
	At           time.Time
}

// EventPublished: something is due at these endpoints.
type EventPublished struct {
	EventID   uuid.UUID
	Endpoints []int64
}

// EndpointChanged: an endpoint has other settings, or none any more. Whoever
// delivers to it begins again with the new ones.
type EndpointChanged struct{ ID int64 }

// MailQueued: this mail is due.
type MailQueued struct{ MailID uuid.UUID }

// PartnerPaused: nothing more is sent to a partner until it is resumed.
type PartnerPaused struct{ Name string }

// PartnerResumed: what waited for a partner goes on now.
type PartnerResumed struct{ Name string }

func (InboundStored) followup()         {}
func (SourceDoubted) followup()         {}
func (ProvisioningRequested) followup() {}
func (RevocationRequested) followup()   {}
func (EndDue) followup()                {}
func (ArchiveEnds) followup()           {}
func (EventPublished) followup()        {}
func (EndpointChanged) followup()       {}
func (MailQueued) followup()            {}
func (PartnerPaused) followup()         {}
func (PartnerResumed) followup()        {}

// Catalogue says what is known of definitions and forms.
type Catalogue interface {
	// Definition gives a definition by uid.
	Definition(uid string) (*habilitation.Definition, bool)
	// Form gives a form by uid.
	Form(uid string) (*habilitation.Form, bool)
	// DefaultForm gives the form of a request that names its definition only.
	DefaultForm(definition string) (*habilitation.Form, bool)
	// ServiceProvider gives an editor by id.
	ServiceProvider(id string) (*habilitation.ServiceProviderProfile, bool)
	// ServiceProviderBySIRET gives the one editor with this SIRET; false when there
	// is none, or several.
	ServiceProviderBySIRET(siret string) (*habilitation.ServiceProviderProfile, bool)
	// Hash identifies the set in force.
	Hash() string
}

// Policy says what an approval of a definition opens.
type Policy struct {
	Managers      []string // connector instances; none: nothing to open
	Lifetime      func(from time.Time) time.Time
	ArchiveRevoke bool // an archived request loses its keys after ArchiveNotice
	ArchiveNotice time.Duration
	EditorFetch   string // link that lets an editor fetch a key: FetchByDeclared, FetchByConsent or another word for none
	OfflineChecks bool   // APIs read rights in the token itself: new rights, new token

	Notices         []int                            // days before the end at which people are told; nil: the default ones
	ProlongWindow   time.Duration                    // before the end, in which a key may be prolonged; 0: the default one
	RotateAfter     func(issued time.Time) time.Time // when a key is replaced by itself; nil: never
	RotationGrace   time.Duration                    // its overlap
	RotationCutover bool                             // also at a manager that has none
}

// Policies gives the policy of a definition, false while none is configured.
type Policies interface {
	Policy(definition string) (Policy, bool)
}

// Settings of the hub that its decisions depend on.
type Settings struct {
	PublicURL    string        // no slash at the end
	TokenEnv     string        // "live" or "test" (tokens.md, 7.2)
	LinkLifetime time.Duration // of a one-time link
	CopyLifetime time.Duration // of the copy of a key that nobody comes for
	// ReplaceGrace is what the old key keeps when its holder has it replaced by the
	// page of his link.
	ReplaceGrace time.Duration
	OpsAddress   string  // of the people who run the hub; "": none
	ReplayRate   float64 // replayed messages a second, of one endpoint

	EarliestNotice int // days before an end, the most of all definitions

	// Capabilities of a connector instance, false for one that this hub lacks.
	Capabilities func(manager string) (connectors.Capabilities, bool)

	// Partners lists those that an operator may pause; nil: any.
	Partners func() []string

	// Teams are the people who hold a manager's keys by hand; nil: none.
	Teams        func(manager string) (Team, bool)
	SigningKeys  SigningKeys
	CheckURL     func(raw string) error // the egress guard's word on a URL; nil: none
	MaxEndpoints int                    // of one definition or editor; 0: DefaultMaxEndpoints

	// ProviderNotices are the addresses that a data provider wants told of each
	// approval, by its slug; FranceConnectSupport those of FranceConnect's people
	// (datapass.md, 7).
	ProviderNotices      map[string][]string
	FranceConnectSupport string
}

// Registry changes state.
type Registry struct {
	store     *store.Store
	inbox     *store.Inbox
	outbox    Outbox
	catalogue Catalogue
	policies  Policies
	settings  Settings
	now       func() time.Time

	settlements   *store.Settlements
	announcements *store.Announcements
}

// New gives a registry. Run must be running for Receive to answer.
func New(s *store.Store, outbox Outbox, catalogue Catalogue, policies Policies, settings Settings, now func() time.Time) *Registry {
	if settings.CopyLifetime <= 0 {
		settings.CopyLifetime = defaultCopyLifetime
	}
	r := &Registry{store: s, outbox: outbox, catalogue: catalogue, policies: policies, settings: settings, now: now, settlements: s.NewSettlements(), announcements: s.NewAnnouncements()}
	r.inbox = s.NewInbox(func(ctx context.Context, tx pgx.Tx, keys []store.InboundKey) error {
		return outbox.Queue(ctx, tx, []Followup{InboundStored{Keys: keys}})
	})
	return r
}

// Run serves Receive until ctx ends, then finishes what was taken in.
func (r *Registry) Run(ctx context.Context) { r.inbox.Run(ctx) }

// Now is the time by the hub's clock, by which what is recorded is dated.
func (r *Registry) Now() time.Time { return r.now() }

// Command is a change of state. Commands are made by this package's types only.
type Command interface {
	apply(ctx context.Context, u *unit) error
}

// Record runs cmd in one transaction, with its history and what must follow.
func (r *Registry) Record(ctx context.Context, cmd Command) error {
	var u *unit
	err := r.store.InTx(ctx, func(tx *store.Tx) error {
		u = &unit{Registry: r, tx: tx, at: r.now().UTC().Truncate(time.Microsecond), correlation: connectors.Correlation(ctx), actor: actorOf(ctx)}
		if err := cmd.apply(ctx, u); err != nil {
			return err
		}
		if err := u.queueMails(ctx); err != nil {
			return err
		}
		if len(u.followups) == 0 {
			return nil
		}
		return r.outbox.Queue(ctx, tx.SQL, u.followups)
	})
	if err == nil && len(u.followups) > 0 {
		r.outbox.Committed(u.followups)
	}
	return err
}

// unit is one command's work: its transaction, its moment, what follows.
type unit struct {
	*Registry
	tx          *store.Tx
	at          time.Time
	actor       string
	correlation string
	followups   []Followup
	mails       []store.NewMail      // of the command, stored at its end
	decided     []habilitation.Event // of the decision being followed
}

func (u *unit) then(f Followup) { u.followups = append(u.followups, f) }

// write adds a line to a request's history.
func (u *unit) write(ctx context.Context, requestID int64, event, entityType, entityID, reason string, detail map[string]any) error {
	return u.tx.AppendHistory(ctx, requestID, store.Line{
		At: u.at, Actor: u.actor, Event: event, EntityType: entityType, EntityID: entityID,
		Reason: reason, Detail: detail, Correlation: u.correlation,
	})
}

type actorKey struct{}

// WithActor carries who acts: "person:12", "client:<id>", "job:<kind>", "operator:<name>".
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// hubActor acts where nobody else is named.
const hubActor = "hub"

func actorOf(ctx context.Context) string {
	if actor, ok := ctx.Value(actorKey{}).(string); ok {
		return actor
	}
	return hubActor
}

// StateError: the credential, link or event is not in a state that allows the
// command; another worker or a person was first. Nothing was done.
type StateError struct{ What, State string }

func (e *StateError) Error() string { return fmt.Sprintf("%s is %s", e.What, e.State) }

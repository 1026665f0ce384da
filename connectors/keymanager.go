package connectors

import (
	"context"
	"time"
)

// The hub's ids at a manager are deterministic (api-managers.md, 2.1): subject
// "dp-<request id>", credential "dp-<request id>-c<n>" where n counts issues and
// rotations and is never used again. Charset [a-z0-9-], 40 characters at most.

// Subject is whom a manager knows: one per request. Labels carry the DataPass
// ids for human search; Owner is the fingerprint that tells our objects from a
// stranger's under the same id.
type Subject struct {
	Ref         string            // "dp-1234"
	Name        string            // shown to people at the manager: organisation and title, no person's name
	Description string            // "DataPass D9001"
	Owner       string            // this hub's instance name, e.g. "passerelle-prod"
	Labels      map[string]string // datapass_id, siret, definition
}

// Grants is what the holder may use: the definition and its scopes. A
// connector's own settings say which plans, groups, policies or client scopes
// they map to; a scope without a mapping is Rejected, never dropped.
type Grants struct {
	Definition string
	Scopes     []string // sorted, unique
}

// Handle finds a credential again at its manager. It holds ids and hashes only,
// never the secret; the hub stores it as it is.
type Handle struct {
	Ref     string            `json:"ref"`               // our credential id
	Subject string            `json:"subject,omitempty"` // the provider's subject id, from EnsureSubject
	ID      string            `json:"id,omitempty"`      // the provider's credential id or hash
	Extra   map[string]string `json:"extra,omitempty"`   // what else this connector needs
	// Reference is what a provider that hands keys over itself calls this one
	// (Capabilities.HandsOver).
	Reference string `json:"reference,omitempty"`
}

// IssueRequest asks for one credential. Sending it again with the same Ref and
// Secret gives the same credential.
type IssueRequest struct {
	Subject   Subject
	SubjectID string // from EnsureSubject
	Ref       string // "dp-1234-c1"
	Public    string // the credential's public id (UUID): token_id at DataPass, jti of a built-in token
	Secret    Secret // ours, when Capabilities.CallerSecret; else empty
	Grants    Grants
	ExpiresAt time.Time // zero: no end at the manager
}

// Issued is a live credential. Secret is what the holder receives: ours, or the
// manager's own when it makes them (then the caller seals it before it
// acknowledges anything: it cannot be read a second time). There is none where
// the manager's people hand it over themselves (Capabilities.HandsOver).
type Issued struct {
	Handle    Handle
	Secret    Secret
	ExpiresAt time.Time // what the manager will enforce; zero when it enforces none
	Adopted   bool      // it was already there: an earlier call's answer was lost
}

// Overlap says what a rotation really does to the old credential.
type Overlap string

const (
	// OverlapUntil: both live until the moment in Rotation.OldUntil.
	OverlapUntil Overlap = "overlap"
	// OverlapFixed: the manager imposes the length; Rotation.OldUntil says which.
	OverlapFixed Overlap = "fixed"
	// OverlapNone: the old one dies when the new one is made.
	OverlapNone Overlap = "cutover"
)

// RotateRequest replaces Old by a new credential. Grace 0 ends the old at once.
type RotateRequest struct {
	IssueRequest
	Old   Handle
	Grace time.Duration
}

// Rotation is the outcome of a rotation.
type Rotation struct {
	Issued
	Overlap  Overlap
	OldUntil time.Time // zero when the old one is already dead
}

// Liveness is what an independent read says about a credential.
type Liveness string

const (
	Dead    Liveness = "dead"
	Alive   Liveness = "alive"
	Unknown Liveness = "unknown"
)

// Found is what the manager holds for a reference. It never contains a secret.
type Found struct {
	Handle    Handle
	Owner     string
	Scopes    []string
	ExpiresAt time.Time
	Live      Liveness
}

// GrantModel says to what a manager ties rights.
type GrantModel string

const (
	// GrantsOnSubject: groups or scopes of the subject; EnsureGrants is enough.
	GrantsOnSubject GrantModel = "subject"
	// GrantsOnCredential: subscriptions or policies tied to each key; Issue sets
	// them and EnsureGrants changes those of live credentials.
	GrantsOnCredential GrantModel = "credential"
	// GrantsAtIntrospection: the hub answers for the scope at each check.
	GrantsAtIntrospection GrantModel = "introspection"
)

// GraceModel says which overlap a manager can give at a rotation.
type GraceModel string

const (
	GraceNone  GraceModel = "none"
	GraceFixed GraceModel = "fixed"
	GraceAny   GraceModel = "any"
)

// Capabilities is what a connector declares about its manager. Pages and APIs
// offer only what it allows.
type Capabilities struct {
	CallerSecret    bool          `json:"caller_secret"`    // takes our value: generated and sealed before the call
	MultiSecret     bool          `json:"multi_secret"`     // two live credentials for one subject
	Grace           GraceModel    `json:"grace"`            // overlap at a rotation
	NativeExpiry    bool          `json:"native_expiry"`    // enforces ExpiresAt itself
	FixedExpiry     bool          `json:"fixed_expiry"`     // an end is written into the credential: it cannot be moved away
	SecretReadable  bool          `json:"secret_readable"`  // its administrators can read secrets
	HandsOver       bool          `json:"hands_over"`       // its people give the key to its holder: the hub never has it
	LookupByRef     bool          `json:"lookup_by_ref"`    // finds our objects by our ids
	List            bool          `json:"list"`             // implements Lister
	AsyncApproval   bool          `json:"async_approval"`   // a person acts there: Issue may answer Pending
	Suspend         bool          `json:"suspend"`          //
	RevocationBound time.Duration `json:"revocation_bound"` // longest time a revoked secret may still pass
	GrantModel      GrantModel    `json:"grant_model"`
}

// KeyManager opens, changes and closes access at one API manager. Every method
// is safe to repeat: it looks before it creates. Errors are *Error.
type KeyManager interface {
	Capabilities() Capabilities

	// EnsureSubject creates or adopts the subject and gives the provider's id
	// for it. The same Ref twice gives the same id; another Owner is a Conflict.
	EnsureSubject(ctx context.Context, s Subject) (string, error)

	// EnsureGrants makes the rights of the subject and of its live credentials
	// exactly g: adds what is missing, removes what is no longer granted. With
	// no live credential on a GrantsOnCredential manager it only checks that
	// everything mapped exists.
	EnsureGrants(ctx context.Context, subjectID string, live []Handle, g Grants) error

	// Issue makes the credential live.
	Issue(ctx context.Context, r IssueRequest) (Issued, error)

	// Rotate makes a new credential and ends the old one after the grace; its
	// answer says what is true, never a grace the manager did not give.
	Rotate(ctx context.Context, r RotateRequest) (Rotation, error)

	// Expire sets or shortens the end of a credential. An end that the manager
	// cannot honour is Rejected, never ignored.
	Expire(ctx context.Context, h Handle, at time.Time) error

	// Revoke ends a credential now. Revoking what is already gone succeeds.
	Revoke(ctx context.Context, h Handle) error

	// VerifyRevoked reads the credential back by another way than Revoke used.
	// Only Dead closes a revocation.
	VerifyRevoked(ctx context.Context, h Handle) (Liveness, error)

	// Lookup says what the manager holds for a handle (at least its Ref and
	// Subject); NotFound when it holds nothing.
	Lookup(ctx context.Context, h Handle) (Found, error)

	HealthChecker
}

// HealthChecker tells whether a partner can be used now: reachable and able to
// write. It never trusts a status alone where the partner's says nothing.
type HealthChecker interface {
	Health(ctx context.Context) (Health, error)
}

// Health is a partner's state as it says itself.
type Health struct {
	Version string
	Latency time.Duration
}

// Lister walks what a manager holds under our ids, for reconciliation.
type Lister interface {
	// List gives one page and the cursor of the next, "" at the end.
	List(ctx context.Context, cursor string) (page []Found, next string, err error)
}

// Checker compares a connector's settings with its manager: every mapped plan,
// group or policy must exist. One line per fault, for people.
type Checker interface {
	CheckConfig(ctx context.Context) (faults []string, err error)
}

// Planner says what an approval would do, without doing it.
type Planner interface {
	Plan(g Grants) (steps []string, err error)
}

package connectors

import (
	"context"
	"errors"
	"time"
)

// IdentityProvider tells who a citizen is: FranceConnect (franceconnect.md, 11).
//
// Exchange runs in the request's process, within the 30 s of a code: its answer
// holds a token that lives 60 s and is never stored.
type IdentityProvider interface {
	// Authorize gives the address to send her browser to. State and Nonce are 64 hex
	// characters, drawn and kept (hashed) by the caller.
	Authorize(ctx context.Context, a Authorization) (string, error)
	// Exchange turns a callback into who she is, everything verified. A code is sent
	// once: after a lost answer she starts again. Causes, for errors.Is:
	// ErrCancelled, ErrCodeSpent, ErrUnverified; else the class says whether she may
	// try again (Temporary) or whether somebody must look (Rejected, Unauthorized).
	Exchange(ctx context.Context, c Callback) (Citizen, error)
	// Logout gives the address that ends her session there.
	Logout(ctx context.Context, idToken Secret, state string) (string, error)
	// Reachable is false while it is known that nobody can be sent there. It does not
	// wait: it has that looked at again.
	Reachable() bool
	HealthChecker
}

// Causes that an IdentityProvider gives beside the class of its error.
var (
	// ErrCancelled: she came back without identifying herself. Nothing is wrong.
	ErrCancelled = errors.New("the citizen cancelled")
	// ErrCodeSpent: the code, or the token it gave, is unknown, used or too old. She
	// may start again.
	ErrCodeSpent = errors.New("the code cannot be exchanged")
	// ErrUnverified: an answer that is not what was asked for: signature, issuer,
	// audience, nonce, subject, missing claims. An alert; nothing of it is used.
	ErrUnverified = errors.New("the answer is not to be believed")
)

// UnverifiedError says what of an answer is not to be believed, in two labels
// fit for a metric; errors.Is finds ErrUnverified in it. It holds nothing of the
// answer.
type UnverifiedError struct {
	Part   string // "callback", "token", "id_token" or "userinfo"
	Reason string // e.g. "wrong nonce"
}

// Error gives both labels.
func (e *UnverifiedError) Error() string { return e.Part + ": " + e.Reason }

// Unwrap gives ErrUnverified.
func (e *UnverifiedError) Unwrap() error { return ErrUnverified }

// Authorization is one departure to the identity provider.
type Authorization struct {
	State, Nonce string
	Scopes       []string // data scopes beside identity: "cnaf_quotient_familial", "cnaf_allocataires", "cnaf_enfants", "cnaf_adresse"
}

// Callback is what the browser brought back, and the nonce that was sent.
type Callback struct {
	Code   Secret
	Issuer string // iss of the callback; "" when it had none, which is refused
	Error  string // error of the callback, e.g. "access_denied"; "" beside a code
	Nonce  string
}

// Citizen is who came back (FC-8): nothing else of the claims leaves the connector.
type Citizen struct {
	SubjectHash []byte // keyed hash of sub
	ACR         string
	Identity    PivotIdentity
	Token       Secret    // for one QuotientSource call, in memory only
	TokenAt     time.Time // the token's answer arrived: its age counts from here (FC-7)
	TokenBy     time.Time // no call starts after this (api-particulier.md, AP-2)
	IDToken     Secret    // for logout only
}

// QuotientSource gives a family's quotient familial: API Particulier
// (api-particulier.md, 10).
//
// ByFranceConnect makes one attempt: journeys own the budget and the retries.
// Errors: the class says what to do next, a *QuotientError beside it why.
type QuotientSource interface {
	ByFranceConnect(ctx context.Context, q QuotientQuestion) (QuotientAnswer, error)
	HealthChecker
}

// QuotientQuestion is one question about one family for one recipient.
type QuotientQuestion struct {
	Token     Secret    // Citizen.Token
	TokenBy   time.Time // Citizen.TokenBy: after it nothing is sent, the cause is QuotientToken
	Recipient string    // SIRET of the commune of the transaction
	Month     *Month    // nil: the current one
	Fresh     bool      // past the partner's cache, whose key is blind to the month
	// Scopes reduce the answer to what the commune's habilitation covers, whatever the token opens.
	// At least one of cnaf_quotient_familial, cnaf_allocataires, cnaf_enfants; the
	// address (cnaf_adresse) is never read.
	Scopes []string
}

// QuotientAnswer is what came, and what the record of the exchange keeps of it.
type QuotientAnswer struct {
	Family    Family
	RequestID string // X-Request-ID
	Cached    bool   // from the partner's cache of 24 h, whose key is blind to the month
}

// QuotientCause is why there is no quotient, as the table of api-particulier.md, 4
// sorts it: each has its own advice to the citizen.
type QuotientCause string

// The causes.
const (
	QuotientNoFile       QuotientCause = "no_file"      // person known, no allowance file (404); early in the month the one before may exist
	QuotientUnknownFund  QuotientCause = "unknown_fund" // attached to no fund (404 "non référencé")
	QuotientUnrecognised QuotientCause = "unrecognised" // nobody recognised (422)
	QuotientIdentity     QuotientCause = "identity"     // identity refused at the gate (422)
	QuotientToken        QuotientCause = "token"        // the token is dead: reconnect, never the same token again
	QuotientBusy         QuotientCause = "busy"         // the same call is in progress (409)
	QuotientQuota        QuotientCause = "quota"        // 429; Error.After says until when
	QuotientDown         QuotientCause = "down"         // provider down, slow or unreadable (502, 504, transport)
	QuotientMaintenance  QuotientCause = "maintenance"  // 503; Error.After says until when
	QuotientRights       QuotientCause = "rights"       // our right is refused (401, 403): an alert
	QuotientOurs         QuotientCause = "ours"         // our question is wrong (400, other 422): an alert
)

// QuotientError tells the cause, and the partner's code for logs only.
type QuotientError struct {
	Cause     QuotientCause
	Code      string // e.g. "35003"
	Provider  string // "CNAF", "MSA", "CNAF & MSA", "FranceConnect"...; "" when not told
	RequestID string // X-Request-ID
	Unlisted  bool   // the table does not know the code: decided on the status alone, worth an alert
	Err       error
}

// Error gives cause and code, nothing personal.
func (e *QuotientError) Error() string { return "quotient familial: " + string(e.Cause) + " " + e.Code }

// Unwrap gives the cause.
func (e *QuotientError) Unwrap() error { return e.Err }

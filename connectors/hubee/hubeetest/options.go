package hubeetest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Rules say which changes of a case's status are taken (hubee.md, 7).
type Rules string

const (
	// Tolerant takes what the workflow sheet tolerates besides the contract's.
	Tolerant Rules = "tolerant"
	// Strict takes the contract's changes only.
	Strict Rules = "strict"
)

// UnmarshalText refuses any other word.
func (r *Rules) UnmarshalText(text []byte) error {
	if *r = Rules(text); *r != Tolerant && *r != Strict {
		return fmt.Errorf("rules %q: %s or %s", text, Tolerant, Strict)
	}
	return nil
}

// Switches choose where hubee.md leaves two readings open, or where a test
// wants a slower or meaner partner. The zero value is what today's clients meet.
// Delays are on the partner's clock.
type Switches struct {
	Rules Rules `json:"rules" yaml:"rules"` // default Tolerant
	// EventLeavesCase: an event's caseNewStatus does not move the case by itself.
	EventLeavesCase bool `json:"event_leaves_case" yaml:"event_leaves_case"`
	// MaxEventsPerCase refuses the event after that many, for ever; 0: no limit.
	MaxEventsPerCase int `json:"max_events_per_case" yaml:"max_events_per_case"`
	// SIReadsAllProcesses lifts an SI credential's limit to its own process.
	SIReadsAllProcesses bool `json:"si_reads_all_processes" yaml:"si_reads_all_processes"`
	// DuplicateFolderRefused refuses a second folder of the same external id.
	DuplicateFolderRefused bool `json:"duplicate_folder_refused" yaml:"duplicate_folder_refused"`
	// CompletionNeedsFiles refuses HUBEE_COMPLETED while a file is waited for.
	CompletionNeedsFiles bool `json:"completion_needs_files" yaml:"completion_needs_files"`
	// GatewayWrapsRefusals answers a refused upload with the gateway's 500.
	GatewayWrapsRefusals bool `json:"gateway_wraps_refusals" yaml:"gateway_wraps_refusals"`
	// Gzip compresses answers for those who accept it.
	Gzip bool `json:"gzip" yaml:"gzip"`
	// BareToken answers the token endpoint with access_token alone.
	BareToken bool `json:"bare_token" yaml:"bare_token"`
	// NotifyAfter is the time from HUBEE_COMPLETED to the administration's
	// notification; HubEE promises less than 10 minutes.
	NotifyAfter Duration `json:"notify_after" yaml:"notify_after"`
	// AntivirusAfter is the time from an upload to its verdict.
	AntivirusAfter Duration `json:"antivirus_after" yaml:"antivirus_after"`
	// ActivateAfter makes a new subscription Actif after that time, as a person at
	// HubEE does, without a signal; 0: nobody does.
	ActivateAfter Duration `json:"activate_after" yaml:"activate_after"`
}

// Duration is written "1h30m".
type Duration time.Duration

// UnmarshalText reads "1h30m".
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// MarshalText writes "1h30m0s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Options set a HubEE. The zero value is one on a free port with the example set.
type Options struct {
	Addr string // "127.0.0.1:8090"; default a free port
	// Seed is what it holds at the start and after a reset; default DefaultSeed.
	Seed *Seed
	// NewID makes the ids of new objects, UUIDs; default random ones.
	NewID func() string
	// Shuffle is the seed of the order in which notifications are given.
	Shuffle uint64
	// MaxFile bounds one attachment, in bytes; default 1 GB (hubee.md, 10).
	MaxFile int64

	Clock     *partnertest.Clock
	Latency   func(*http.Request) time.Duration
	KeepCalls int
	Run       partnertest.Run
}

// DefaultMaxFile is HubEE's limit for one attachment, in bytes.
const DefaultMaxFile = 1 << 30

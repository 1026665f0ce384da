package apiparticuliertest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Numbering of the codes (api-particulier.md, 4).
type Numbering string

// The two numberings.
const (
	April     Numbering = "april"
	September Numbering = "september"
)

// Mode of a protection that is announced: nothing, counted, or refused.
type Mode string

// The modes.
const (
	Off      Mode = "off"
	Log      Mode = "log"
	Enforced Mode = "enforced"
)

// UnmarshalText refuses any other word.
func (n *Numbering) UnmarshalText(text []byte) error {
	if *n = Numbering(text); *n != April && *n != September {
		return fmt.Errorf("numbering %q: %s or %s", text, April, September)
	}
	return nil
}

// UnmarshalText refuses any other word.
func (m *Mode) UnmarshalText(text []byte) error {
	if *m = Mode(text); *m != Off && *m != Log && *m != Enforced {
		return fmt.Errorf("mode %q: %s, %s or %s", text, Off, Log, Enforced)
	}
	return nil
}

// Switches choose where api-particulier.md leaves two readings open, or where a
// test wants a meaner partner. What is zero has the value written beside it.
type Switches struct {
	Numbering Numbering `json:"numbering" yaml:"numbering"` // september
	// SourceNull writes "source":null, as staging does; production leaves it out.
	SourceNull bool `json:"source_null" yaml:"source_null"`
	// ExtraKeys adds keys that no client knows.
	ExtraKeys bool `json:"extra_keys" yaml:"extra_keys"`
	// LockFreed frees the 409 lock after a refused pre-check; by default it stays
	// for its whole minute.
	LockFreed bool `json:"lock_freed" yaml:"lock_freed"`
	// ProviderDelay is the time that the caisses take, in real time.
	ProviderDelay Duration `json:"provider_delay" yaml:"provider_delay"`
	// SlowDelay is what the slow person's caisse takes, in real time: 25s.
	SlowDelay Duration `json:"slow_delay" yaml:"slow_delay"`
	// FCPerMinute and FCPerHour limit FranceConnect calls of one address: 30 and
	// 600. Below zero: no limit.
	FCPerMinute int `json:"fc_per_minute" yaml:"fc_per_minute"`
	FCPerHour   int `json:"fc_per_hour" yaml:"fc_per_hour"`
	// KeyPerMinute limits the calls of one habilitation, all its keys together:
	// 250. Below zero: no limit.
	KeyPerMinute int `json:"key_per_minute" yaml:"key_per_minute"`
	// BanAfter bans an address after that many refusals in 5 minutes; 0: never.
	BanAfter int `json:"ban_after" yaml:"ban_after"`
	// IPList and DPoP are checked for the keys that have them: log.
	IPList Mode `json:"ip_list" yaml:"ip_list"`
	DPoP   Mode `json:"dpop" yaml:"dpop"`
	// Proofs answers X-Generate-Proof.
	Proofs bool `json:"proofs" yaml:"proofs"`
}

func (s Switches) withDefaults() Switches {
	setDefault(&s.Numbering, September)
	setDefault(&s.SlowDelay, Duration(25*time.Second))
	setDefault(&s.FCPerMinute, 30)
	setDefault(&s.FCPerHour, 600)
	setDefault(&s.KeyPerMinute, 250)
	setDefault(&s.IPList, Log)
	setDefault(&s.DPoP, Log)
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
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

// FranceConnect is where tokens are checked, and as whom.
type FranceConnect struct {
	CheckTokenURL string
	ClientID      string
	ClientSecret  string
}

// Options set an API Particulier. The zero value is one on a free port with the
// example set, whose FranceConnect tokens are the seed's own.
type Options struct {
	Addr string // "127.0.0.1:8092"; default a free port
	// Seed is what it holds at the start and after a reset; default DefaultSeed.
	Seed *Seed
	// FranceConnect checks tokens; nil: those of the seed are good, and no other.
	FranceConnect *FranceConnect

	Clock     *partnertest.Clock
	Latency   func(*http.Request) time.Duration
	KeepCalls int
	Run       partnertest.Run
}

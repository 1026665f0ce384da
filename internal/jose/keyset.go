package jose

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

const (
	// PublishMargin is added to the key set's max-age: a key is published that
	// long before it signs (tokens.md, 7.6).
	PublishMargin = time.Hour
	// RemoveMargin is added to the last expiry a key may have signed: it covers
	// clocks that differ and replicas that learn of a successor late.
	RemoveMargin = 10 * time.Minute
)

// SigningKey is one key pair of one purpose and its life, fixed when it is made:
//
//	CreatedAt      SignFrom              RetireAt                  RemoveAt
//	published ───► may sign ───────────► never signs again ──────► no token of it lives, unpublished
//
// A successor ends its signing earlier, and so its publication (KeySet). RetireAt
// is the hard end, reached only when no successor was made in time.
type SigningKey struct {
	KID       string
	Purpose   string // "access-token", "link": one pair for each, never shared
	Alg       Alg
	Public    PublicKey
	Private   PrivateKey // zero where only verification is needed
	CreatedAt time.Time
	SignFrom  time.Time
	RetireAt  time.Time
	RemoveAt  time.Time
}

// MaxLife is the longest life of a token that the key may sign: its key is
// published until that token's end.
func (k SigningKey) MaxLife() time.Duration { return k.RemoveAt.Sub(k.RetireAt) - RemoveMargin }

// KeySet holds the keys of one purpose by SignFrom, then KID. Its methods are
// pure: they say what is true at a moment.
type KeySet []SigningKey

// NewKeySet orders keys. ErrKey when a key's life makes no sense, when an id is
// there twice or when purposes are mixed.
func NewKeySet(keys []SigningKey) (KeySet, error) {
	set := KeySet(slices.Clone(keys))
	slices.SortFunc(set, func(a, b SigningKey) int {
		return cmp.Or(a.SignFrom.Compare(b.SignFrom), cmp.Compare(a.KID, b.KID))
	})
	seen := map[string]bool{}
	for _, k := range set {
		sound := k.KID == k.Public.KID() && k.Alg == k.Public.Alg() && (k.Private.IsZero() || k.Private.Public().Equal(k.Public)) &&
			!k.SignFrom.Before(k.CreatedAt) && k.RetireAt.After(k.SignFrom) && k.MaxLife() > 0
		if !sound || seen[k.KID] || k.Purpose != set[0].Purpose {
			return nil, fmt.Errorf("%w: %s in the set of %s", ErrKey, k.KID, set[0].Purpose)
		}
		seen[k.KID] = true
	}
	return set, nil
}

// Newest gives the key that signs last; false when there is none.
func (s KeySet) Newest() (SigningKey, bool) {
	if len(s) == 0 {
		return SigningKey{}, false
	}
	return s[len(s)-1], true
}

// Signing gives the key to sign with now: the newest whose time has come.
func (s KeySet) Signing(now time.Time) (SigningKey, bool) {
	for _, k := range slices.Backward(s) {
		if !k.SignFrom.After(now) && k.RetireAt.After(now) {
			return k, true
		}
	}
	return SigningKey{}, false
}

// publishedUntil gives the end of the last token that key i may have signed.
func (s KeySet) publishedUntil(i int) time.Time {
	end := s[i].RemoveAt
	if i+1 < len(s) {
		if early := s[i+1].SignFrom.Add(s[i].MaxLife() + RemoveMargin); early.Before(end) {
			end = early
		}
	}
	return end
}

// Published gives the keys of the JWKS at a moment: those that sign, will sign,
// or signed a token that may still live.
func (s KeySet) Published(now time.Time) []SigningKey {
	var keys []SigningKey
	for i, k := range s {
		if !k.CreatedAt.After(now) && s.publishedUntil(i).After(now) {
			keys = append(keys, k)
		}
	}
	return keys
}

// Removable gives the keys of which no token can live any more.
func (s KeySet) Removable(now time.Time) []SigningKey {
	var keys []SigningKey
	for i, k := range s {
		if !s.publishedUntil(i).After(now) {
			keys = append(keys, k)
		}
	}
	return keys
}

// Schedule says how the keys of a purpose follow each other.
type Schedule struct {
	Alg     Alg           // ES256 or EdDSA
	MaxAge  time.Duration // max-age of the published key set
	Period  time.Duration // a key signs that long before the next one does
	MaxLife time.Duration // longest life of a token
}

// Check says with ErrConfig what is wrong with the schedule.
func (s Schedule) Check() error {
	switch {
	case !s.Alg.ours():
		return fmt.Errorf("%w: the hub signs with ES256 or EdDSA, not %q", ErrConfig, string(s.Alg))
	case s.MaxAge < 0 || s.MaxLife <= 0:
		return fmt.Errorf("%w: max-age and the longest life of a token must be positive", ErrConfig)
	case s.Period < 2*s.lead():
		return fmt.Errorf("%w: a key must sign for at least %s, twice the time it is published before", ErrConfig, 2*s.lead())
	default:
		return nil
	}
}

// lead is how long a key is published before it signs.
func (s Schedule) lead() time.Duration { return s.MaxAge + PublishMargin }

// Next tells whether a key must be made now, and from when it signs. The next
// key is due a lead before the newest one's period ends, and at once when the
// newest has another algorithm or could not sign a token of the longest life.
// Where no key can sign now (the first one, or after a withdrawal) the new one
// signs at once: no verifier holds a set that would do better.
func (s Schedule) Next(set KeySet, now time.Time) (signFrom time.Time, due bool) {
	if _, ok := set.Signing(now); !ok {
		return now, true
	}
	newest, _ := set.Newest()
	earliest := now.Add(s.lead())
	if newest.Alg != s.Alg || newest.MaxLife() < s.MaxLife {
		return earliest, true
	}
	planned := newest.SignFrom.Add(s.Period)
	if earliest.Before(planned) {
		return time.Time{}, false
	}
	return earliest, true
}

// Make draws the key that Next asked for. It may sign for two periods, so that
// one rotation missed altogether stops nothing.
func (s Schedule) Make(purpose string, now, signFrom time.Time) (SigningKey, error) {
	if err := s.Check(); err != nil {
		return SigningKey{}, err
	}
	private, err := GenerateKey(s.Alg)
	if err != nil {
		return SigningKey{}, err
	}
	// The database keeps microseconds: what is made equals what is read back.
	now, signFrom = now.UTC().Truncate(time.Microsecond), signFrom.UTC().Truncate(time.Microsecond)
	retire := signFrom.Add(2 * s.Period)
	return SigningKey{
		KID: private.KID(), Purpose: purpose, Alg: s.Alg, Public: private.Public(), Private: private,
		CreatedAt: now, SignFrom: signFrom, RetireAt: retire, RemoveAt: retire.Add(s.MaxLife + RemoveMargin),
	}, nil
}

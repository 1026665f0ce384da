package jose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// KeyStore keeps signing keys, the private part sealed.
type KeyStore interface {
	// LoadSigningKeys gives all keys of a purpose.
	LoadSigningKeys(ctx context.Context, purpose string) ([]SigningKey, error)
	// InsertSigningKey keeps k if the keys of its purpose are still exactly those
	// named by known, in any order, and says whether it did: of two replicas that
	// rotate at once, one makes the key.
	InsertSigningKey(ctx context.Context, k SigningKey, known []string) (bool, error)
	// DeleteSigningKey forgets a key. Deleting one that is gone succeeds.
	DeleteSigningKey(ctx context.Context, purpose, kid string) error
}

const (
	// reloadAfter: how long a replica uses the keys it read. Far below
	// PublishMargin, so that each replica knows a key before it signs.
	reloadAfter = time.Minute
	// reloadUnknown: an id that is not known may have been made a moment ago by
	// another replica; looked up at most that often.
	reloadUnknown = 5 * time.Second
)

// Keys signs for one purpose with keys that live in a store shared by all
// replicas. It may be used by many goroutines.
type Keys struct {
	purpose  string
	schedule Schedule
	store    KeyStore
	now      func() time.Time

	mu       sync.Mutex
	set      KeySet
	loadedAt time.Time
}

// NewKeys gives the keys of a purpose; nothing is read yet. ErrConfig when the
// schedule is not sound.
func NewKeys(purpose string, schedule Schedule, store KeyStore, now func() time.Time) (*Keys, error) {
	if purpose == "" || store == nil || now == nil {
		return nil, fmt.Errorf("%w: keys need a purpose, a store and a clock", ErrConfig)
	}
	if err := schedule.Check(); err != nil {
		return nil, err
	}
	return &Keys{purpose: purpose, schedule: schedule, store: store, now: now}, nil
}

// MaxLife is the longest life of a token that may be signed.
func (k *Keys) MaxLife() time.Duration { return k.schedule.MaxLife }

// Signed is a token and the id of its key: when a key is disclosed, the tokens
// it signed are found by that id (tokens.md, 7.6).
type Signed struct {
	Token string
	KID   string
}

// Format prints the key's id only.
func (s Signed) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "token signed by %s", s.KID) }

// SignAccessToken signs an access token (type at+jwt).
func (k *Keys) SignAccessToken(ctx context.Context, t AccessToken) (Signed, error) {
	key, err := k.signing(ctx, t.ExpiresAt)
	if err != nil {
		return Signed{}, err
	}
	token, err := key.Private.SignAccessToken(t)
	return Signed{Token: token, KID: key.KID}, err
}

// Sign signs other claims of which exp is the expiry.
func (k *Keys) Sign(ctx context.Context, typ string, claims any, exp time.Time) (Signed, error) {
	key, err := k.signing(ctx, exp)
	if err != nil {
		return Signed{}, err
	}
	token, err := key.Private.Sign(typ, claims)
	return Signed{Token: token, KID: key.KID}, err
}

// SignDetached signs content that travels beside its signature. The key stays
// published for the schedule's MaxLife at least.
func (k *Keys) SignDetached(ctx context.Context, content []byte) (string, error) {
	key, err := k.signing(ctx, k.now())
	if err != nil {
		return "", err
	}
	return key.Private.SignDetached(content)
}

// Ready tells whether a token could be signed now: ErrNoSigningKey, or the
// store's error.
func (k *Keys) Ready(ctx context.Context) error {
	_, err := k.signing(ctx, k.now())
	return err
}

// signing gives the key to sign with. ErrLifetime when the token would outlive
// the key's publication: nobody could verify it then.
func (k *Keys) signing(ctx context.Context, exp time.Time) (SigningKey, error) {
	set, err := k.current(ctx, reloadAfter)
	if err != nil {
		return SigningKey{}, err
	}
	now := k.now()
	key, ok := set.Signing(now)
	if !ok || key.Private.IsZero() {
		return SigningKey{}, ErrNoSigningKey
	}
	if exp.After(now.Add(key.MaxLife())) {
		return SigningKey{}, ErrLifetime
	}
	return key, nil
}

// Key finds a published key, so that Keys is the KeySource of the hub's own tokens.
func (k *Keys) Key(ctx context.Context, kid string) (PublicKey, error) {
	for _, age := range []time.Duration{reloadAfter, reloadUnknown} {
		set, err := k.current(ctx, age)
		if err != nil {
			return PublicKey{}, err
		}
		for _, key := range set.Published(k.now()) {
			if key.KID == kid {
				return key.Public, nil
			}
		}
	}
	return PublicKey{}, ErrUnknownKey
}

// Refresh reads the keys again when they were read longer than maxAge ago.
// ErrKeysUnavailable when they cannot be.
func (k *Keys) Refresh(ctx context.Context, maxAge time.Duration) error {
	_, err := k.current(ctx, maxAge)
	return err
}

// Change is what Rotate did.
type Change struct {
	Added   string   // KID, or ""
	Removed []string // KIDs
}

// Rotate makes the next key when it is due and removes those of which no token
// lives. It is safe to repeat and to run on several replicas; an hourly job and
// every start call it.
func (k *Keys) Rotate(ctx context.Context) (Change, error) {
	var change Change
	set, err := k.current(ctx, 0)
	if err != nil {
		return change, err
	}
	now := k.now()
	if signFrom, due := k.schedule.Next(set, now); due {
		key, err := k.schedule.Make(k.purpose, now, signFrom)
		if err != nil {
			return change, err
		}
		known := make([]string, 0, len(set))
		for _, have := range set {
			known = append(known, have.KID)
		}
		inserted, err := k.store.InsertSigningKey(ctx, key, known)
		if err != nil {
			return change, fmt.Errorf("insert signing key: %w", err)
		}
		if inserted {
			change.Added = key.KID
		}
		if set, err = k.current(ctx, 0); err != nil {
			return change, err
		}
	}
	for _, old := range set.Removable(now) {
		if err := k.store.DeleteSigningKey(ctx, k.purpose, old.KID); err != nil {
			return change, fmt.Errorf("delete signing key: %w", err)
		}
		change.Removed = append(change.Removed, old.KID)
	}
	_, err = k.current(ctx, 0)
	return change, err
}

// Withdraw removes a disclosed key at once and makes another when none is left
// to sign. Other replicas follow within a minute. The tokens it signed are the
// caller's to find, by their key's id, and to rotate.
func (k *Keys) Withdraw(ctx context.Context, kid string) (Change, error) {
	if err := k.store.DeleteSigningKey(ctx, k.purpose, kid); err != nil {
		return Change{}, fmt.Errorf("delete signing key: %w", err)
	}
	change, err := k.Rotate(ctx)
	change.Removed = append([]string{kid}, change.Removed...)
	return change, err
}

// current gives the set, read again when what is held is older than maxAge.
func (k *Keys) current(ctx context.Context, maxAge time.Duration) (KeySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if !k.loadedAt.IsZero() && now.Sub(k.loadedAt) < maxAge {
		return k.set, nil
	}
	keys, err := k.store.LoadSigningKeys(ctx, k.purpose)
	if err != nil {
		return nil, errors.Join(ErrKeysUnavailable, err)
	}
	set, err := NewKeySet(keys)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(set, func(key SigningKey) bool { return key.Purpose != k.purpose }) {
		return nil, fmt.Errorf("%w: of another purpose than %s", ErrKey, k.purpose)
	}
	k.set, k.loadedAt = set, now
	return set, nil
}

package jose

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// memoryStore keeps keys as a database does: it writes the JWK and reads it
// back, with the microseconds of Postgres.
type memoryStore struct {
	mu   sync.Mutex
	rows map[string]row
	fail error
	// beforeInsert runs once, between what a rotation read and what it writes.
	beforeInsert func()
}

type row struct {
	key     SigningKey
	private []byte
}

func (m *memoryStore) LoadSigningKeys(_ context.Context, purpose string) ([]SigningKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	var keys []SigningKey
	for _, r := range m.rows {
		if r.key.Purpose != purpose {
			continue
		}
		private, err := ParsePrivateKey(r.private)
		if err != nil {
			return nil, err
		}
		k := r.key
		k.Private, k.Public = private, private.Public()
		keys = append(keys, k)
	}
	return keys, nil
}

func (m *memoryStore) InsertSigningKey(_ context.Context, k SigningKey, known []string) (bool, error) {
	if hook := m.beforeInsert; hook != nil {
		m.beforeInsert = nil
		hook()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	have := []string{}
	for kid, r := range m.rows {
		if r.key.Purpose == k.Purpose {
			have = append(have, kid)
		}
	}
	slices.Sort(have)
	if !slices.Equal(have, slices.Sorted(slices.Values(known))) {
		return false, nil
	}
	private, err := k.Private.JWK()
	if err != nil {
		return false, err
	}
	for _, at := range []*time.Time{&k.CreatedAt, &k.SignFrom, &k.RetireAt, &k.RemoveAt} {
		*at = at.Truncate(time.Microsecond)
	}
	if m.rows == nil {
		m.rows = map[string]row{}
	}
	m.rows[k.KID] = row{k, private}
	return true, nil
}

func (m *memoryStore) DeleteSigningKey(_ context.Context, _, kid string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, kid)
	return nil
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: now.Add(123 * time.Nanosecond)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newTestKeys(t *testing.T, store KeyStore, c *clock) *Keys {
	t.Helper()
	k, err := NewKeys("access-token", testSchedule, store, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rotate(t *testing.T, k *Keys) Change {
	t.Helper()
	change, err := k.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return change
}

func tokenFor(c *clock, life time.Duration) AccessToken {
	return AccessToken{ID: "id", Issuer: issuer, Audience: audience, Subject: "dp-1", ClientID: "dp-1", IssuedAt: c.now(), ExpiresAt: c.now().Add(life)}
}

func TestKeysRotateAndVerifiersFollow(t *testing.T) {
	c, store := newClock(), &memoryStore{}
	keys := newTestKeys(t, store, c)
	if err := keys.Ready(t.Context()); !errors.Is(err, ErrNoSigningKey) {
		t.Fatalf("before the first rotation: %v", err)
	}
	first := rotate(t, keys).Added
	if again := rotate(t, keys); again.Added != "" || len(again.Removed) != 0 {
		t.Fatalf("a second rotation does %v", again)
	}

	old, err := keys.SignAccessToken(t.Context(), tokenFor(c, testSchedule.MaxLife))
	if err != nil || old.KID != first {
		t.Fatalf("signed by %s, %v", old.KID, err)
	}
	c.pass(testSchedule.Period - testSchedule.lead())
	second := rotate(t, keys).Added
	if second == "" || second == first {
		t.Fatalf("the next key is %q", second)
	}
	if diff := cmp.Diff([]string{first, second}, publishedKIDs(t, keys)); diff != "" {
		t.Error("while the next one waits", diff)
	}
	last, err := keys.SignAccessToken(t.Context(), tokenFor(c, testSchedule.MaxLife))
	if err != nil || last.KID != first {
		t.Fatalf("while the next one waits, %s signs, %v", last.KID, err)
	}

	c.pass(testSchedule.lead())
	fresh, err := keys.SignAccessToken(t.Context(), tokenFor(c, time.Hour))
	if err != nil || fresh.KID != second {
		t.Fatalf("when its time has come, %s signs, %v", fresh.KID, err)
	}
	v := Verifier{Issuer: issuer, Audience: audience, Algs: []Alg{EdDSA}, Keys: keys, Now: c.now}
	for _, token := range []string{last.Token, fresh.Token} {
		if _, err := v.VerifyAccessToken(t.Context(), token); err != nil {
			t.Error(err)
		}
	}

	c.pass(testSchedule.MaxLife + RemoveMargin)
	change := rotate(t, keys)
	if diff := cmp.Diff(Change{Removed: []string{first}}, change); diff != "" {
		t.Error("when the old one's last token has ended", diff)
	}
	if diff := cmp.Diff([]string{second}, publishedKIDs(t, keys)); diff != "" {
		t.Error(diff)
	}
}

func publishedKIDs(t *testing.T, keys ...*Keys) []string {
	t.Helper()
	doc, err := Publish(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
			D   string `json:"d"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(doc.Body, &set); err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, k := range set.Keys {
		if k.D != "" {
			t.Fatal("a private key is published")
		}
		out = append(out, k.KID)
	}
	return out
}

func TestATokenThatWouldOutliveItsKeyIsNotSigned(t *testing.T) {
	c := newClock()
	keys := newTestKeys(t, &memoryStore{}, c)
	rotate(t, keys)
	_, err := keys.SignAccessToken(t.Context(), tokenFor(c, testSchedule.MaxLife+time.Second))
	wantFault(t, err, ErrLifetime)
	_, err = keys.Sign(t.Context(), "link+jwt", object{"a": 1}, c.now().Add(testSchedule.MaxLife+time.Second))
	wantFault(t, err, ErrLifetime)
	signed, err := keys.Sign(t.Context(), "link+jwt", object{"a": 1}, c.now().Add(time.Hour))
	if err != nil || signed.Token == "" {
		t.Error(err)
	}
}

func TestTwoReplicasThatRotateAtOnceMakeOneKey(t *testing.T) {
	c, store := newClock(), &memoryStore{}
	a, b := newTestKeys(t, store, c), newTestKeys(t, store, c)
	var byB Change
	store.beforeInsert = func() { byB = rotate(t, b) }
	byA := rotate(t, a)
	if byA.Added != "" || byB.Added == "" || len(store.rows) != 1 {
		t.Fatalf("a made %q, b made %q, %d keys", byA.Added, byB.Added, len(store.rows))
	}
	signed, err := a.SignAccessToken(t.Context(), tokenFor(c, time.Hour))
	if err != nil || signed.KID != byB.Added {
		t.Errorf("a signs with %q, %v", signed.KID, err)
	}
}

func TestAReplicaFindsAKeyThatAnotherMadeAMomentAgo(t *testing.T) {
	c, store := newClock(), &memoryStore{}
	a, b := newTestKeys(t, store, c), newTestKeys(t, store, c)
	if _, err := b.Key(t.Context(), "unknown"); !errors.Is(err, ErrUnknownKey) {
		t.Fatal(err)
	}
	kid := rotate(t, a).Added
	if _, err := b.Key(t.Context(), kid); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("b asked the store again within %s: %v", reloadUnknown, err)
	}
	c.pass(reloadUnknown)
	if _, err := b.Key(t.Context(), kid); err != nil {
		t.Error(err)
	}
}

func TestAWithdrawnKeyDiesAtOnceAndSigningGoesOn(t *testing.T) {
	c, store := newClock(), &memoryStore{}
	here, there := newTestKeys(t, store, c), newTestKeys(t, store, c)
	disclosed := rotate(t, here).Added
	stolen, err := there.SignAccessToken(t.Context(), tokenFor(c, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	change, err := here.Withdraw(t.Context(), disclosed)
	if err != nil || change.Added == "" || !slices.Contains(change.Removed, disclosed) {
		t.Fatalf("%v, %v", change, err)
	}
	signed, err := here.SignAccessToken(t.Context(), tokenFor(c, time.Hour))
	if err != nil || signed.KID != change.Added {
		t.Fatalf("signs with %s, %v", signed.KID, err)
	}
	c.pass(reloadAfter)
	for name, keys := range map[string]*Keys{"the replica that withdrew it": here, "the other one": there} {
		v := Verifier{Issuer: issuer, Audience: audience, Algs: []Alg{EdDSA}, Keys: keys, Now: c.now}
		if _, err := v.VerifyAccessToken(t.Context(), stolen.Token); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := v.VerifyAccessToken(t.Context(), signed.Token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithoutItsStoreNothingIsSaidOfAToken(t *testing.T) {
	c, store := newClock(), &memoryStore{}
	keys := newTestKeys(t, store, c)
	rotate(t, keys)
	c.pass(reloadAfter)
	cause := errors.New("connection refused")
	store.fail = cause
	_, err := keys.Key(t.Context(), "any")
	wantFault(t, err, ErrKeysUnavailable)
	if _, err := keys.Rotate(t.Context()); !errors.Is(err, cause) {
		t.Error(err)
	}
	if _, err := Publish(t.Context(), keys); !errors.Is(err, ErrKeysUnavailable) {
		t.Error(err)
	}
}

func TestPurposesNeverShareAKey(t *testing.T) {
	c, store := newClock(), &memoryStore{}
	access := newTestKeys(t, store, c)
	link, err := NewKeys("link", testSchedule, store, c.now)
	if err != nil {
		t.Fatal(err)
	}
	a, l := rotate(t, access).Added, rotate(t, link).Added
	signed, err := link.SignAccessToken(t.Context(), tokenFor(c, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	v := Verifier{Issuer: issuer, Audience: audience, Algs: []Alg{EdDSA}, Keys: access, Now: c.now}
	_, err = v.VerifyAccessToken(t.Context(), signed.Token)
	wantFault(t, err, ErrUnknownKey)
	if diff := cmp.Diff([]string{a, l}, publishedKIDs(t, access, link)); diff != "" {
		t.Error(diff)
	}
	none, err := Publish(t.Context())
	if err != nil || string(none.Body) != `{"keys":[]}` {
		t.Errorf("%s, %v", none.Body, err)
	}
}

func TestTheETagChangesWithTheSet(t *testing.T) {
	c, store := newClock(), &memoryStore{}
	keys := newTestKeys(t, store, c)
	rotate(t, keys)
	before, err := Publish(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	same, err := Publish(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	c.pass(testSchedule.Period)
	rotate(t, keys)
	after, err := Publish(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	if before.ETag != same.ETag || before.ETag == after.ETag || before.MaxAge != testSchedule.MaxAge {
		t.Errorf("%s, %s, %s, max-age %s", before.ETag, same.ETag, after.ETag, before.MaxAge)
	}
}

func TestKeysNeedAllTheyAreMadeOf(t *testing.T) {
	c := newClock()
	for name, make := range map[string]func() (*Keys, error){
		"no purpose":      func() (*Keys, error) { return NewKeys("", testSchedule, &memoryStore{}, c.now) },
		"no store":        func() (*Keys, error) { return NewKeys("p", testSchedule, nil, c.now) },
		"no clock":        func() (*Keys, error) { return NewKeys("p", testSchedule, &memoryStore{}, nil) },
		"unsafe schedule": func() (*Keys, error) { return NewKeys("p", Schedule{}, &memoryStore{}, c.now) },
	} {
		if _, err := make(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

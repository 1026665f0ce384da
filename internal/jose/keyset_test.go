package jose

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var testSchedule = Schedule{Alg: EdDSA, MaxAge: 10 * time.Minute, Period: 30 * 24 * time.Hour, MaxLife: 7 * 24 * time.Hour}

// timeline gives a key by the offsets of its life from now, in hours.
func timeline(t testing.TB, kid string, created, sign, retire, remove float64) SigningKey {
	t.Helper()
	k := mustKey(t, EdDSA)
	k.public.kid = kid
	at := func(h float64) time.Time { return now.Add(time.Duration(h * float64(time.Hour))) }
	return SigningKey{
		KID: kid, Purpose: "access-token", Alg: EdDSA, Public: k.public, Private: k,
		CreatedAt: at(created), SignFrom: at(sign), RetireAt: at(retire), RemoveAt: at(remove).Add(RemoveMargin),
	}
}

func kids(keys []SigningKey) []string {
	out := []string{}
	for _, k := range keys {
		out = append(out, k.KID)
	}
	return out
}

func TestTheNewestKeyWhoseTimeHasComeSigns(t *testing.T) {
	for name, tt := range map[string]struct {
		keys      []SigningKey
		signing   string
		published []string
		removable []string
	}{
		"no key": {nil, "", []string{}, []string{}},
		"one key": {
			[]SigningKey{timeline(t, "a", -10, -10, 90, 190)},
			"a",
			[]string{"a"},
			[]string{},
		},
		"the next is published and waits": {
			[]SigningKey{timeline(t, "next", -1, 1, 101, 201), timeline(t, "a", -10, -10, 90, 190)},
			"a",
			[]string{"a", "next"},
			[]string{},
		},
		"the next signs, the old one is kept while its tokens live": {
			[]SigningKey{timeline(t, "old", -120, -110, 90, 190), timeline(t, "next", -100, -99, 101, 201)},
			"next",
			[]string{"old", "next"},
			[]string{},
		},
		"the old one's last token has ended": {
			[]SigningKey{timeline(t, "old", -220, -210, 90, 190), timeline(t, "next", -110, -101, 101, 201)},
			"next",
			[]string{"next"},
			[]string{"old"},
		},
		"a key past its hard end signs nothing more": {
			[]SigningKey{timeline(t, "late", -200, -190, -1, 99)},
			"",
			[]string{"late"},
			[]string{},
		},
		"a key past its removal": {
			[]SigningKey{timeline(t, "late", -300, -290, -150, -50)},
			"",
			[]string{},
			[]string{"late"},
		},
		"two made in one instant: each replica takes the same": {
			[]SigningKey{timeline(t, "b", 0, 0, 90, 190), timeline(t, "a", 0, 0, 90, 190)},
			"b",
			[]string{"a", "b"},
			[]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := NewKeySet(tt.keys)
			if err != nil {
				t.Fatal(err)
			}
			signing, _ := set.Signing(now)
			if signing.KID != tt.signing {
				t.Errorf("%q signs, want %q", signing.KID, tt.signing)
			}
			if diff := cmp.Diff(tt.published, kids(set.Published(now))); diff != "" {
				t.Error("published", diff)
			}
			if diff := cmp.Diff(tt.removable, kids(set.Removable(now))); diff != "" {
				t.Error("removable", diff)
			}
		})
	}
}

func TestASetThatMakesNoSenseIsRefused(t *testing.T) {
	good := timeline(t, "a", 0, 0, 10, 20)
	for name, spoil := range map[string]func(*SigningKey){
		"signs before it exists":           func(k *SigningKey) { k.SignFrom = k.CreatedAt.Add(-1) },
		"retires before it signs":          func(k *SigningKey) { k.RetireAt = k.SignFrom },
		"removed while its tokens live":    func(k *SigningKey) { k.RemoveAt = k.RetireAt.Add(RemoveMargin) },
		"an id that is not its key's":      func(k *SigningKey) { k.KID = "b" },
		"an algorithm that is not its own": func(k *SigningKey) { k.Alg = ES256 },
		"a private part of another key":    func(k *SigningKey) { k.Private = mustKey(t, EdDSA) },
		"no public part":                   func(k *SigningKey) { k.Public = PublicKey{} },
	} {
		bad := good
		spoil(&bad)
		if _, err := NewKeySet([]SigningKey{bad}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	other := timeline(t, "b", 0, 0, 10, 20)
	other.Purpose = "link"
	if _, err := NewKeySet([]SigningKey{good, other}); err == nil {
		t.Error("two purposes in one set: accepted")
	}
	if _, err := NewKeySet([]SigningKey{good, good}); err == nil {
		t.Error("one id twice: accepted")
	}
	publicOnly := good
	publicOnly.Private = PrivateKey{}
	if _, err := NewKeySet([]SigningKey{publicOnly}); err != nil {
		t.Errorf("a set for verification only: %v", err)
	}
}

func TestWhenTheNextKeyIsMade(t *testing.T) {
	lead := testSchedule.MaxAge + PublishMargin
	first, err := testSchedule.Make("access-token", now, now)
	if err != nil {
		t.Fatal(err)
	}
	set := KeySet{first}
	for name, tt := range map[string]struct {
		schedule Schedule
		set      KeySet
		at       time.Time
		want     time.Time // zero: not due
	}{
		"the first signs at once":                   {testSchedule, nil, now, now},
		"nothing to do the day after":               {testSchedule, set, now.Add(24 * time.Hour), time.Time{}},
		"just before the lead":                      {testSchedule, set, now.Add(testSchedule.Period - lead - 1), time.Time{}},
		"a lead before the period ends":             {testSchedule, set, now.Add(testSchedule.Period - lead), now.Add(testSchedule.Period)},
		"late: the lead is kept all the same":       {testSchedule, set, now.Add(testSchedule.Period + time.Hour), now.Add(testSchedule.Period + time.Hour + lead)},
		"two periods missed: nothing signs, so now": {testSchedule, set, now.Add(2 * testSchedule.Period), now.Add(2 * testSchedule.Period)},
		"tokens are to live longer":                 {Schedule{EdDSA, testSchedule.MaxAge, testSchedule.Period, testSchedule.MaxLife + 1}, set, now.Add(1), now.Add(1 + lead)},
		"another algorithm is wanted":               {Schedule{ES256, testSchedule.MaxAge, testSchedule.Period, testSchedule.MaxLife}, set, now.Add(1), now.Add(1 + lead)},
	} {
		t.Run(name, func(t *testing.T) {
			got, due := tt.schedule.Next(tt.set, tt.at)
			if due == tt.want.IsZero() || !got.Equal(tt.want) {
				t.Errorf("due %v, signs from %v, want %v", due, got, tt.want)
			}
		})
	}
}

func TestASchedulesBounds(t *testing.T) {
	if err := testSchedule.Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Schedule){
		"RSA for the hub's own tokens": func(s *Schedule) { s.Alg = RS256 },
		"no algorithm":                 func(s *Schedule) { s.Alg = "" },
		"tokens of no life":            func(s *Schedule) { s.MaxLife = 0 },
		"negative max-age":             func(s *Schedule) { s.MaxAge = -1 },
		"a period shorter than 2 h 20": func(s *Schedule) { s.Period = 2*time.Hour + 19*time.Minute },
	} {
		bad := testSchedule
		spoil(&bad)
		if err := bad.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The promise of tokens.md, 7.6, whatever the hours at which the rotation job
// runs, and with a verifier that keeps a key set for exactly its max-age: the
// key of a token is in the verifier's set from the first signature to the
// token's end, except for keys that had to sign at once.
func TestACachingVerifierKnowsTheKeyOfEveryLivingToken(t *testing.T) {
	pool := make([]PrivateKey, 40)
	for i := range pool {
		pool[i] = mustKey(t, EdDSA)
	}
	rapid.Check(t, func(t *rapid.T) {
		schedule := Schedule{
			Alg:     EdDSA,
			MaxAge:  time.Duration(rapid.IntRange(0, 24*60).Draw(t, "max-age (min)")) * time.Minute,
			MaxLife: time.Duration(rapid.IntRange(1, 60*24).Draw(t, "life (h)")) * time.Hour,
		}
		schedule.Period = 2*schedule.lead() + time.Duration(rapid.IntRange(0, 30*24).Draw(t, "period (h)"))*time.Hour

		var set KeySet
		urgent := map[string]bool{}
		clock, made := now, 0
		var verifierSet map[string]bool // what a verifier fetched
		var fetchedAt time.Time
		type signed struct {
			kid string
			exp time.Time
		}
		var living []signed

		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			clock = clock.Add(time.Duration(rapid.IntRange(1, int(schedule.Period/time.Minute)).Draw(t, "minutes")) * time.Minute)

			if rapid.Bool().Draw(t, "the rotation job runs") {
				if signFrom, due := schedule.Next(set, clock); due && made < len(pool) {
					k := pool[made]
					k.public.kid = fmt.Sprint(made)
					made++
					retire := signFrom.Add(2 * schedule.Period)
					key := SigningKey{
						KID: k.KID(), Purpose: "p", Alg: EdDSA, Public: k.public, Private: k, CreatedAt: clock, SignFrom: signFrom,
						RetireAt: retire, RemoveAt: retire.Add(schedule.MaxLife + RemoveMargin),
					}
					urgent[key.KID] = signFrom.Equal(clock)
					var err error
					if set, err = NewKeySet(append(set, key)); err != nil {
						t.Fatal(err)
					}
				}
				for _, gone := range set.Removable(clock) {
					kept := KeySet{}
					for _, k := range set {
						if k.KID != gone.KID {
							kept = append(kept, k)
						}
					}
					set = kept
				}
			}

			if rapid.Bool().Draw(t, "a verifier fetches") || clock.Sub(fetchedAt) >= schedule.MaxAge {
				verifierSet, fetchedAt = map[string]bool{}, clock
				for _, k := range set.Published(clock) {
					verifierSet[k.KID] = true
				}
			}

			if key, ok := set.Signing(clock); ok {
				living = append(living, signed{key.KID, clock.Add(key.MaxLife())})
				if !urgent[key.KID] && clock.Sub(key.CreatedAt) < schedule.MaxAge+PublishMargin {
					t.Fatalf("key %s signs %s after its publication", key.KID, clock.Sub(key.CreatedAt))
				}
			}
			for _, s := range living {
				if s.exp.After(clock) && !urgent[s.kid] && !verifierSet[s.kid] {
					t.Fatalf("a token of key %s lives and its key is not in the verifier's set", s.kid)
				}
			}
		}
	})
}

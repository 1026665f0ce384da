package gravitee

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
)

func TestACredentialsLife(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{PropagationDelay: 5 * time.Second}, func(c *Config) {})
	h.config.Probe = h.srv.GatewayURL() + graviteetest.DemoPath + "/ping"
	ctx := t.Context()
	h.subject()
	if err := h.EnsureGrants(ctx, h.app, nil, grants("base", "further")); err != nil {
		t.Fatal(err)
	}
	first := h.issued("base", "further")
	h.srv.Advance(6 * time.Second)
	h.passes(key1, true)
	h.counts(1, 2, 2)
	if first.Adopted || first.Secret.Reveal() != key1 || !first.ExpiresAt.IsZero() {
		t.Errorf("issued %+v", first)
	}

	rotated, err := h.Rotate(ctx, connectors.RotateRequest{
		IssueRequest: h.request("dp-9001-c2", key2, "base", "further"), Old: first.Handle, Grace: 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	until := h.srv.Now().Add(24 * time.Hour)
	if rotated.Overlap != connectors.OverlapUntil || !rotated.OldUntil.Equal(until) {
		t.Errorf("overlap %s until %s, want %s", rotated.Overlap, rotated.OldUntil, until)
	}
	h.srv.Advance(24*time.Hour - time.Second)
	h.passes(key1, true)
	h.passes(key2, true)
	h.srv.Advance(2 * time.Second)
	h.passes(key1, false)

	found, err := h.Lookup(ctx, rotated.Handle)
	if err != nil {
		t.Fatal(err)
	}
	want := connectors.Found{Handle: rotated.Handle, Owner: owner, Scopes: []string{"base", "further"}, Live: connectors.Alive}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}

	end := h.srv.Now().Add(time.Hour)
	if err := h.Expire(ctx, rotated.Handle, end); err != nil {
		t.Fatal(err)
	}
	if found, _ := h.Lookup(ctx, rotated.Handle); !found.ExpiresAt.Equal(end) {
		t.Errorf("ends %s, want %s", found.ExpiresAt, end)
	}
	if live, err := h.VerifyRevoked(ctx, rotated.Handle); err != nil || live != connectors.Alive {
		t.Errorf("before its revocation: %s %v", live, err)
	}
	if err := h.Revoke(ctx, rotated.Handle); err != nil {
		t.Fatal(err)
	}
	if live, err := h.VerifyRevoked(ctx, rotated.Handle); err != nil || live != connectors.Alive {
		t.Errorf("before the gateway knows: %s %v", live, err)
	}
	h.srv.Advance(h.Capabilities().RevocationBound)
	if live, err := h.VerifyRevoked(ctx, rotated.Handle); err != nil || live != connectors.Dead {
		t.Errorf("after the bound: %s %v", live, err)
	}
	h.passes(key2, false)
	h.counts(1, 0, 0)
	if err := h.Revoke(ctx, rotated.Handle); err != nil {
		t.Errorf("revoked twice: %v", err)
	}
	if live, err := h.VerifyRevoked(ctx, first.Handle); err != nil || live != connectors.Dead {
		t.Errorf("the first credential: %s %v", live, err)
	}
	if rest := h.memory.keys(); len(rest) != 0 {
		t.Errorf("records left: %v", rest)
	}
}

func TestAHandleHoldsNoSecret(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{})
	text, err := json.Marshal(h.issued("base", "further"))
	if err != nil || strings.Contains(string(text), key1) || !strings.Contains(string(text), `"secret":"[redacted]"`) && !strings.Contains(string(text), `"Secret":"[redacted]"`) {
		t.Errorf("%s %v", text, err)
	}
	for _, key := range h.memory.keys() {
		if strings.Contains(key+string(h.memory.rows[key]), key1) {
			t.Errorf("the ledger holds the value: %s", key)
		}
	}
}

func TestTheApplicationCarriesReferenceOwnerAndLabels(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{}).subject()
	app := h.srv.Applications()[0]
	if app.ClientID != "dp-9001" || app.Name != "Commune de Valfleury - restauration scolaire [dp-9001]" ||
		app.Description != "DataPass 9001 [hub=passerelle-test datapass_id=9001 siret=21380999900013]" || app.APIKeyMode != "EXCLUSIVE" {
		t.Errorf("%+v", app)
	}
}

func TestASubjectIsAdoptedOnlyWhenItIsOurs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		app   graviteetest.Application
		names bool // the manager's search reads names only
		class connectors.Class
	}{
		"ours, found by its name":                     {graviteetest.Application{Name: "x [dp-9001]", Description: "y [hub=passerelle-test]", ClientID: "dp-9001"}, true, ""},
		"ours, renamed by a person":                   {graviteetest.Application{Name: "Renommée", Description: "y [hub=passerelle-test a=b]", ClientID: "dp-9001"}, true, ""},
		"another hub's":                               {graviteetest.Application{Name: "x [dp-9001]", Description: "y [hub=passerelle-prod]", ClientID: "dp-9001"}, false, connectors.Conflict},
		"a stranger's":                                {graviteetest.Application{Name: "x", Description: "DataPass 9001", ClientID: "dp-9001"}, false, connectors.Conflict},
		"a mark that is not at the end is no mark":    {graviteetest.Application{Name: "x", Description: "[hub=passerelle-test] copied", ClientID: "dp-9001"}, false, connectors.Conflict},
		"a neighbour's reference begins like our own": {graviteetest.Application{Name: "x [dp-90012]", Description: "y [hub=passerelle-test]", ClientID: "dp-90012"}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, graviteetest.Options{SearchNamesOnly: c.names})
			made, err := h.srv.AddApplication(c.app)
			if err != nil {
				t.Fatal(err)
			}
			id, err := h.EnsureSubject(t.Context(), subject())
			switch {
			case c.class != "":
				wantClass(t, err, c.class)
			case err != nil:
				t.Fatal(err)
			case (id == made.ID) != (c.app.ClientID == "dp-9001"):
				t.Errorf("adopted %s, there was %s with clientId %s", id, made.ID, c.app.ClientID)
			}
			again, err2 := h.EnsureSubject(t.Context(), subject())
			if again != id || (err2 == nil) != (err == nil) {
				t.Errorf("again %s %v, before %s %v", again, err2, id, err)
			}
		})
	}
}

func TestTwoApplicationsFromARaceAreOneSubject(t *testing.T) {
	t.Parallel()
	var h *hub
	raced := false
	h = start(t, graviteetest.Options{BetweenCheckAndInsert: func() {
		if !raced {
			raced = true
			if _, err := h.srv.AddApplication(graviteetest.Application{ClientID: "dp-9001", Name: "x [dp-9001]", Description: "[hub=passerelle-test]"}); err != nil {
				t.Error(err)
			}
		}
	}})
	if _, err := h.EnsureSubject(t.Context(), subject()); err != nil {
		t.Fatal(err)
	}
	if n := len(h.srv.ApplicationsByClientID("dp-9001")); n != 2 {
		t.Fatalf("%d applications after the race", n)
	}
	first, err := h.EnsureSubject(t.Context(), subject())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.EnsureSubject(t.Context(), subject()); again != first || err != nil {
		t.Errorf("%s then %s, %v", first, again, err)
	}
}

func TestTwoCredentialsOfOneSubjectDoNotTouchEachOther(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{})
	first := h.issued("base")
	due := h.srv.Now().Add(10 * time.Minute)
	if err := h.Expire(t.Context(), first.Handle, due); err != nil {
		t.Fatal(err)
	}
	second, err := h.Issue(t.Context(), h.request("dp-9001-c2", key2, "base"))
	if err != nil || second.Adopted {
		t.Fatalf("%+v %v", second, err)
	}
	h.counts(1, 1, 2)
	if end := h.key(key1).ExpireAt; end == nil || !end.Equal(due) {
		t.Errorf("the first ends %v, it was due %s", end, due)
	}
	third, err := h.Issue(t.Context(), h.request("dp-9001-c3", key3, "base"))
	if err != nil {
		t.Fatal(err)
	}
	if end := h.key(key2).ExpireAt; end != nil {
		t.Errorf("the second had no end, it ends %v now", end)
	}
	if err := h.Revoke(t.Context(), second.Handle); err != nil {
		t.Fatal(err)
	}
	h.passes(key1, true)
	h.passes(key2, false)
	h.passes(key3, true)
	h.counts(1, 1, 2)
	if live, err := h.VerifyRevoked(t.Context(), third.Handle); err != nil || live != connectors.Alive {
		t.Errorf("%s %v", live, err)
	}
}

func TestARotationNeverLengthensTheOldKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		due     time.Duration // the old key's own end; 0: none
		grace   time.Duration
		overlap connectors.Overlap
		until   time.Duration // 0: dead
	}{
		"a grace longer than the manager's two hours":   {0, 72 * time.Hour, connectors.OverlapUntil, 72 * time.Hour},
		"a grace shorter than the manager's two hours":  {0, 10 * time.Minute, connectors.OverlapUntil, 10 * time.Minute},
		"a key due before the grace and the two hours":  {5 * time.Minute, time.Hour, connectors.OverlapUntil, 5 * time.Minute},
		"a key due after the grace":                     {48 * time.Hour, time.Hour, connectors.OverlapUntil, time.Hour},
		"no grace ends it at once":                      {0, 0, connectors.OverlapNone, 0},
		"no grace ends a key that was due later anyway": {5 * time.Minute, 0, connectors.OverlapNone, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, graviteetest.Options{})
			first := h.issued("base", "further")
			if c.due > 0 {
				if err := h.Expire(t.Context(), first.Handle, january.Add(c.due)); err != nil {
					t.Fatal(err)
				}
			}
			request := connectors.RotateRequest{IssueRequest: h.request("dp-9001-c2", key2, "base", "further"), Old: first.Handle, Grace: c.grace}
			for range 2 { // the second time changes nothing
				got, err := h.Rotate(t.Context(), request)
				if err != nil {
					t.Fatal(err)
				}
				var until time.Time
				if c.until > 0 {
					until = january.Add(c.until)
				}
				if got.Overlap != c.overlap || !got.OldUntil.Equal(until) {
					t.Errorf("%s until %s, want %s until %s", got.Overlap, got.OldUntil, c.overlap, until)
				}
				h.passes(key1, c.until > 0)
				h.passes(key2, true)
			}
			for _, key := range h.srv.Keys() {
				if key.Value == key1 && c.until > 0 && !key.ExpireAt.Equal(january.Add(c.until)) {
					t.Errorf("on %v the old key ends %s", key.Subscriptions, key.ExpireAt)
				}
			}
			h.srv.Advance(c.until + time.Second)
			h.passes(key1, false)
		})
	}
}

func TestAnEndIsHonouredOrRefused(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{}).subject()
	r := h.request("dp-9001-c1", key1, "base")
	r.ExpiresAt = january.Add(time.Hour + 123456*time.Microsecond)
	issued, err := h.Issue(t.Context(), r)
	if err != nil || !issued.ExpiresAt.Equal(r.ExpiresAt.Truncate(time.Millisecond)) {
		t.Fatalf("ends %s, %v", issued.ExpiresAt, err)
	}
	later := january.Add(48 * time.Hour)
	if err := h.Expire(t.Context(), issued.Handle, later); err != nil || !h.key(key1).ExpireAt.Equal(later) {
		t.Errorf("prolonged: %v", err)
	}
	wantClass(t, h.Expire(t.Context(), issued.Handle, time.Time{}), connectors.Rejected)

	// The subscription's own end clamps in silence.
	sub := h.srv.Subscriptions()[0]
	end := january.Add(24 * time.Hour)
	_, err = h.do(t.Context(), call{
		op: "test", method: "PUT", route: v2 + "/apis/{api}/subscriptions/{sub}",
		params: map[string]string{"api": sub.API, "sub": sub.ID}, in: map[string]time.Time{"endingAt": end},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantClass(t, h.Expire(t.Context(), issued.Handle, later), connectors.Rejected)
	r2 := h.request("dp-9001-c2", key2, "base")
	r2.ExpiresAt = later
	_, err = h.Issue(t.Context(), r2)
	wantClass(t, err, connectors.Rejected)
	r2.ExpiresAt = time.Time{}
	if issued, err := h.Issue(t.Context(), r2); err != nil || !issued.ExpiresAt.Equal(end) {
		t.Errorf("without an end of ours it ends with the subscription: %s %v", issued.ExpiresAt, err)
	}

	if err := h.Expire(t.Context(), issued.Handle, january.Add(-time.Hour)); err != nil {
		t.Errorf("an end that has passed is a revocation: %v", err)
	}
	h.passes(key1, false)
	if err := h.Expire(t.Context(), issued.Handle, january); err != nil {
		t.Errorf("again: %v", err)
	}
	wantClass(t, h.Expire(t.Context(), issued.Handle, january.Add(time.Hour)), connectors.Rejected)
	r3 := h.request("dp-9001-c3", key3, "base")
	r3.ExpiresAt = january
	_, err = h.Issue(t.Context(), r3)
	wantClass(t, err, connectors.Rejected)
}

func TestGrantsOfLiveCredentialsAreMadeWhatTheyMustBe(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{})
	first := h.issued("base")
	second, err := h.Issue(t.Context(), h.request("dp-9001-c2", key2, "base"))
	if err != nil {
		t.Fatal(err)
	}
	due := january.Add(30 * 24 * time.Hour)
	if err := h.Expire(t.Context(), second.Handle, due); err != nil {
		t.Fatal(err)
	}
	live := []connectors.Handle{first.Handle, second.Handle}
	for range 2 {
		if err := h.EnsureGrants(t.Context(), h.app, live, grants("base", "further")); err != nil {
			t.Fatal(err)
		}
		h.counts(1, 2, 4)
	}
	for _, key := range h.srv.Keys() {
		switch {
		case key.Value == key1 && key.ExpireAt != nil:
			t.Errorf("the first credential ends %s", key.ExpireAt)
		case key.Value == key2 && (key.ExpireAt == nil || !key.ExpireAt.Equal(due)):
			t.Errorf("the second credential ends %v, not %s", key.ExpireAt, due)
		}
	}
	if err := h.EnsureGrants(t.Context(), h.app, live, grants("base")); err != nil {
		t.Fatal(err)
	}
	h.counts(1, 2, 2) // one is paused: closed, it could not take the same values again
	if err := h.EnsureGrants(t.Context(), h.app, live, grants("base", "further")); err != nil {
		t.Fatal(err)
	}
	h.counts(1, 2, 4)
	if err := h.EnsureGrants(t.Context(), h.app, live, grants("base")); err != nil {
		t.Fatal(err)
	}
	if err := h.memory.Delete(t.Context(), "paused/"+h.srv.Subscriptions()[1].ID); err != nil {
		t.Fatal(err)
	}
	// What a person has paused is not ours to resume.
	wantClass(t, h.EnsureGrants(t.Context(), h.app, live, grants("base", "further")), connectors.Conflict)

	// The settings name another plan of the same API: the subscription moves, keys and all.
	moved := h.config
	moved.Grants = map[string]Grant{"api_demo": {API: graviteetest.DemoAPI, Plan: planAlt, AllScopes: true}}
	other := h.open(moved)
	if err := other.EnsureGrants(t.Context(), h.app, live, grants("base")); err != nil {
		t.Fatal(err)
	}
	h.counts(1, 2, 2)
	if plan := h.srv.Subscriptions()[0].Plan; plan != planAlt {
		t.Errorf("the subscription is to %s", plan)
	}
}

func TestListWalksWhatIsOurs(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{})
	issued := h.issued("base", "further")
	for _, app := range []graviteetest.Application{
		{ClientID: "dp-1", Name: "another hub's", Description: "[hub=passerelle-prod]"},
		{ClientID: "portal", Name: "a stranger's"},
	} {
		if _, err := h.srv.AddApplication(app); err != nil {
			t.Fatal(err)
		}
	}
	empty := 0
	for i := range 25 {
		s := subject()
		s.Ref = "dp-8" + string(rune('a'+i))
		if _, err := h.EnsureSubject(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	var all []connectors.Found
	cursor, pages := "", 0
	for {
		page, next, err := h.List(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		pages++
		if cursor = next; cursor == "" {
			break
		}
	}
	for _, found := range all {
		if found.Owner != owner {
			t.Errorf("listed a stranger's: %+v", found)
		}
		if found.Live == connectors.Dead {
			empty++
			continue
		}
		want := connectors.Found{Handle: issued.Handle, Owner: owner, Scopes: []string{"base", "further"}, Live: connectors.Alive}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Error(diff)
		}
	}
	if len(all) != 26 || empty != 25 || pages != 2 {
		t.Errorf("%d found, %d without a key, in %d pages", len(all), empty, pages)
	}
}

package registry_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func testPolicy() registry.DeliveryPolicy {
	return registry.DeliveryPolicy{
		Schedule: []time.Duration{10 * time.Second, time.Minute, time.Hour}, MaxAge: 48 * time.Hour, RetryAfterCap: 2 * time.Hour,
		HoldFor: 30 * time.Minute, BreakAfter: 3, Rest: 10 * time.Second, MaxRest: time.Minute, DisableAfter: 5 * 24 * time.Hour,
	}
}

func answered(status int, header ...string) connectors.DeliveryResult {
	r := connectors.DeliveryResult{Status: status, Header: map[string]string{}}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header[header[i]] = header[i+1]
	}
	return r
}

func withBody(r connectors.DeliveryResult, body string) connectors.DeliveryResult {
	r.Body = []byte(body)
	return r
}

func TestWhatATryMeans(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	standard, datapass, ordered := store.Lane{Format: store.FormatStandard}, store.Lane{Format: store.FormatDataPass}, store.Lane{Format: store.FormatStandard, Ordered: true}
	first := store.Due{Type: "token.issued", CreatedAt: now, NextAt: now}
	tried := func(attempts int, since time.Duration) store.Due {
		d := first
		d.Attempts, d.FirstTryAt, d.CreatedAt = attempts, now.Add(-since), now.Add(-since)
		return d
	}
	approve := store.Due{Type: "approve", HabilitationID: 7, CreatedAt: now}
	replay := tried(3, time.Hour)
	replay.Rank = store.Replay
	cases := []struct {
		name   string
		lane   store.Lane
		due    store.Due
		result connectors.DeliveryResult
		draw   float64
		want   registry.Verdict
	}{
		{"200 is a success in both formats", datapass, first, answered(200), .5, registry.Verdict{Outcome: store.Delivered}},
		{"204 too", datapass, first, answered(204), .5, registry.Verdict{Outcome: store.Delivered}},
		{"202 is a success for Standard Webhooks", standard, first, answered(202), .5, registry.Verdict{Outcome: store.Delivered}},
		{"202 is a failure for DataPass", datapass, first, answered(202), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(10 * time.Second)}},
		{"a redirect is a failure", standard, first, answered(302), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(10 * time.Second)}},
		{"no answer is tried again like a bad one", standard, first, connectors.DeliveryResult{ErrorClass: "refused"}, .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(10 * time.Second)}},
		{"a timeout asks for fewer at once", standard, first, connectors.DeliveryResult{ErrorClass: "timeout"}, .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(10 * time.Second), Throttled: true}},
		{"retries are spread by a fifth, down", standard, first, answered(500), 0, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(8 * time.Second)}},
		{"and up", standard, first, answered(500), 1, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(12 * time.Second)}},
		{"the second wait is longer", standard, tried(1, 10*time.Second), answered(500), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(time.Minute)}},
		{"after the last try it is given up", standard, tried(3, time.Hour), answered(500), .5, registry.Verdict{Outcome: store.Abandoned, NextAt: now, Reason: registry.ReasonTries}},
		{"what would be too old is given up", standard, tried(2, 47*time.Hour+30*time.Minute), answered(500), .5, registry.Verdict{Outcome: store.Abandoned, NextAt: now, Reason: registry.ReasonAge}},
		{"Retry-After is honoured", standard, first, answered(500, "Retry-After", "120"), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(2 * time.Minute)}},
		{"a date too", standard, first, answered(500, "Retry-After", now.Add(90*time.Second).Format(http.TimeFormat)), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(90 * time.Second)}},
		{"up to a cap", standard, first, answered(500, "Retry-After", "999999999"), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(2 * time.Hour)}},
		{"one shorter than the schedule changes nothing", standard, first, answered(500, "Retry-After", "1"), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(10 * time.Second)}},
		{"one that cannot be read is none", standard, first, answered(500, "Retry-After", "soon"), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(10 * time.Second)}},
		{"429 rests the whole endpoint", standard, first, answered(429, "Retry-After", "60"), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(time.Minute), Throttled: true, RestFor: time.Minute}},
		{"503 too", standard, first, answered(503, "Retry-After", "60"), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(time.Minute), Throttled: true, RestFor: time.Minute}},
		{"410 disables the endpoint; the message stays", standard, first, answered(410), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(10 * time.Second), Disable: registry.ReasonGone}},
		{"the receiver may ask to be disabled", standard, first, answered(200, "Webhook-Delivery", "disable"), .5, registry.Verdict{Outcome: store.Delivered, Disable: registry.ReasonAsked}},
		{"the receiver may end a message", standard, first, answered(422, "Webhook-Delivery", "abort-message"), .5, registry.Verdict{Outcome: store.Abandoned, NextAt: now, Reason: registry.ReasonAbort}},
		{"another wish is none", standard, first, answered(422, "Webhook-Delivery", "whatever"), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(10 * time.Second)}},
		{"an ordered one is tried for the last time when its time is over", ordered, tried(2, 25*time.Minute), answered(500), .5, registry.Verdict{Outcome: store.Failed, NextAt: now.Add(5 * time.Minute)}},
		{"then it is given up, and its receiver told", ordered, tried(2, 30*time.Minute), answered(500), .5, registry.Verdict{Outcome: store.Abandoned, NextAt: now, Reason: registry.ReasonHeld, Gap: true}},
		{"a replayed one leaves no gap", ordered, replay, answered(500), .5, registry.Verdict{Outcome: store.Abandoned, NextAt: now, Reason: registry.ReasonTries}},
		{"token_id of an approve is kept", datapass, approve, withBody(answered(200), `{"token_id":" abc "}`), .5, registry.Verdict{Outcome: store.Delivered, TokenID: "abc"}},
		{"a number is one too", datapass, approve, withBody(answered(200), `{"token_id":12}`), .5, registry.Verdict{Outcome: store.Delivered, TokenID: "12"}},
		{"of another event it is not", datapass, first, withBody(answered(200), `{"token_id":"abc"}`), .5, registry.Verdict{Outcome: store.Delivered}},
		{"an array is tolerated", datapass, approve, withBody(answered(200), `[1]`), .5, registry.Verdict{Outcome: store.Delivered}},
		{"a null is none", datapass, approve, withBody(answered(200), `{"token_id":null}`), .5, registry.Verdict{Outcome: store.Delivered}},
		{"one that is too long is none", datapass, approve, withBody(answered(200), `{"token_id":"`+strings.Repeat("x", 300)+`"}`), .5, registry.Verdict{Outcome: store.Delivered}},
		{"one with control characters is none", datapass, approve, withBody(answered(200), `{"token_id":"a\u0000b"}`), .5, registry.Verdict{Outcome: store.Delivered}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, testPolicy().Judge(c.lane, c.due, c.result, now, c.draw), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestAnEndpointRestsAfterFailuresInARowLongerEachTimeAndASuccessEndsIt(t *testing.T) {
	p, now := testPolicy(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	fail := registry.Verdict{Outcome: store.Failed}
	h := store.Health{}
	for i := range 2 {
		h = p.After(h, fail, answered(500), now, .5)
		if !h.RestUntil.IsZero() {
			t.Fatalf("it rests after %d failures", i+1)
		}
	}
	var rests []time.Duration
	for range 5 {
		h = p.After(h, fail, answered(500), now, .5)
		rests = append(rests, h.RestUntil.Sub(now))
		// What was in flight meanwhile fails too, and does not count as a probe.
		h = p.After(h, fail, answered(500), now, .5)
		if h.RestUntil.Sub(now) != rests[len(rests)-1] {
			t.Fatal("a failure beside the one that opened the breaker makes the rest longer")
		}
		now = h.RestUntil
	}
	if diff := cmp.Diff([]time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute}, rests); diff != "" {
		t.Error(diff)
	}
	if h.FailingSince.After(now.Add(-3*time.Minute)) || h.LastError == "" {
		t.Errorf("the failing time is not that of the first failure: %+v", h)
	}
	h = p.After(h, registry.Verdict{Outcome: store.Delivered}, answered(200), now, .5)
	if want := (store.Health{LastOKAt: now, LastStatus: 200, LastFailedAt: h.LastFailedAt}); !cmp.Equal(want, h) {
		t.Errorf("a success leaves %s", cmp.Diff(want, h))
	}
}

func TestARetryIsNeverInThePastNorBeyondWhatIsAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, now := testPolicy(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		age := time.Duration(rapid.Int64Range(0, int64(60*time.Hour)).Draw(t, "age"))
		d := store.Due{
			Attempts: rapid.IntRange(0, 6).Draw(t, "attempts"), CreatedAt: now.Add(-age), Rank: store.Rank(rapid.IntRange(0, 2).Draw(t, "rank")),
		}
		if d.Attempts > 0 {
			d.FirstTryAt = d.CreatedAt
		}
		l := store.Lane{Format: rapid.SampledFrom([]string{store.FormatDataPass, store.FormatStandard}).Draw(t, "format"), Ordered: rapid.Bool().Draw(t, "ordered")}
		result := answered(rapid.IntRange(0, 599).Draw(t, "status"), "Retry-After", rapid.StringMatching(`[0-9]{0,12}|-[0-9]|[a-z ]{0,9}`).Draw(t, "after"))
		v := p.Judge(l, d, result, now, rapid.Float64Range(0, 1).Draw(t, "draw"))
		switch v.Outcome {
		case store.Delivered, store.Abandoned:
		case store.Failed:
			if v.NextAt.Before(now) || v.NextAt.Sub(d.CreatedAt) > p.MaxAge || d.Attempts >= len(p.Schedule) {
				t.Fatalf("retry %v from now, %v after its begin, after %d tries", v.NextAt.Sub(now), v.NextAt.Sub(d.CreatedAt), d.Attempts+1)
			}
		default:
			t.Fatalf("outcome %q", v.Outcome)
		}
	})
}

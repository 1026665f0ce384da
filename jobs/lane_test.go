package jobs

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func TestAnEventIsDeliveredSignedInBothDialectsAndItsTryRecorded(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.endpoint(func(e *store.NewEndpoint) { e.Headers = map[string]string{"X-Own": "ours"} })
	id := y.tell("d", "s", 1)
	y.drained()
	got := y.receiver.ByID(id.String())
	if len(got) != 1 || !got[0].Valid {
		t.Fatalf("%d deliveries: %+v", len(got), got)
	}
	h := got[0].Header
	for name, want := range map[string]string{"X-Own": "ours", "Webhook-Attempt": "1", "Webhook-Sequence": "1", "X-App-Environment": "sandbox"} {
		if h.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, h.Get(name), want)
		}
	}
	if diff := cmp.Diff([]string{"delivered 200"}, y.tries()); diff != "" {
		t.Error(diff)
	}
	var answer, remote string
	if err := y.pool.QueryRow(t.Context(), `select answer, remote from attempt`).Scan(&answer, &remote); err != nil {
		t.Fatal(err)
	}
	if answer != "{}" || !strings.HasPrefix(y.at, "http://"+remote) {
		t.Errorf("answer %q from %q", answer, remote)
	}
}

func TestAFailingMessageIsTriedAgainUnderTheSameIDThenGivenUp(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.endpoint(nil)
	y.receiver.SetAnswer("", webhooktest.Answer{Status: 500})
	id := y.tell("d", "s", 1)
	for i, wait := range []time.Duration{12 * time.Second, 72 * time.Second, 12 * time.Minute} {
		y.untilAttempts(i + 1)
		y.advance(wait)
	}
	y.untilAttempts(4)
	y.drained()
	if diff := cmp.Diff([]string{"failed 500", "failed 500", "failed 500", "abandoned 500"}, y.tries()); diff != "" {
		t.Error(diff)
	}
	got := y.receiver.Deliveries()
	for i, d := range got {
		if d.ID != id.String() || d.Attempt != i+1 || !d.Valid || string(d.Body) != string(got[0].Body) {
			t.Errorf("try %d: id %s attempt %d valid %v %v", i+1, d.ID, d.Attempt, d.Valid, d.Faults)
		}
	}
	if n := y.count(`select count(*) from delivery where abandoned_at is not null and reason = $1 and attempts = 4`, registry.ReasonTries); n != 1 {
		t.Error("the message is not kept as given up\n" + y.picture())
	}
	y.advance(24 * time.Hour)
	time.Sleep(100 * time.Millisecond)
	if n := y.attempts(); n != 4 {
		t.Errorf("%d tries after it was given up", n)
	}
}

func TestNothingIsSentBeforeItsTime(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.endpoint(nil)
	y.receiver.Next("", webhooktest.Answer{Status: 500})
	y.tell("d", "s", 1)
	y.untilAttempts(1)
	y.advance(7 * time.Second) // less than four fifths of ten
	time.Sleep(200 * time.Millisecond)
	if n := y.attempts(); n != 1 {
		t.Fatalf("%d tries, the second before its time", n)
	}
	y.advance(6 * time.Second)
	y.drained()
}

func TestEveryWayToFailOnTheWireIsTriedAgain(t *testing.T) {
	t.Parallel()
	route := partnertest.Route("")
	cases := []struct {
		name  string
		class string
		fault partnertest.Fault
	}{
		{"the connection is reset before the work", "reset", partnertest.ResetBefore(route)},
		{"the answer is lost after the work", "reset", partnertest.ResetAfter(route)},
		{"half an answer", "reset", partnertest.HalfBody(route)},
		{"no answer within the limit", "timeout", partnertest.Hang(route)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, nil)
			y.endpoint(nil)
			y.receiver.Inject(c.fault.For(1))
			id := y.tell("d", "s", 1)
			y.untilAttempts(1)
			y.advance(13 * time.Second)
			y.drained()
			if diff := cmp.Diff([]string{"failed " + c.class, "delivered 200"}, y.tries()); diff != "" {
				t.Error(diff)
			}
			if n := len(y.receiver.ByID(id.String())); n < 1 {
				t.Error("it never arrived")
			}
		})
	}
}

func TestAReceiverThatIsNotThereIsTriedAgain(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	gone, err := webhooktest.New(webhooktest.Options{Dialect: webhooktest.WithoutChecking})
	if err != nil {
		t.Fatal(err)
	}
	at, err := gone.Start("")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	y.endpoint(func(e *store.NewEndpoint) { e.URL = at })
	y.tell("d", "s", 1)
	y.untilAttempts(1)
	if diff := cmp.Diff([]string{"failed refused"}, y.tries()); diff != "" {
		t.Error(diff)
	}
}

// What a stranger's server may do to us: bounded in time and size, recorded,
// tried again where nothing was answered.
func TestStrangeAnswersDoNoHarm(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		how  webhooktest.Misbehaviour
		want string
	}{
		{"an answer that streams for ever is a success, cut", webhooktest.Misbehaviour{Kind: webhooktest.StreamForever}, "delivered 200"},
		{"a gzip bomb is not unpacked", webhooktest.Misbehaviour{Kind: webhooktest.GzipBomb}, "delivered 200"},
		{"an answer a byte at a time ends at the limit", webhooktest.Misbehaviour{Kind: webhooktest.Drip, Every: 50 * time.Millisecond}, "failed timeout"},
		{"half an answer is none", webhooktest.Misbehaviour{Kind: webhooktest.HalfBody}, "failed reset"},
		{"endless headers are refused", webhooktest.Misbehaviour{Kind: webhooktest.HugeHeader}, "failed too_large"},
		{"a redirect is not followed", webhooktest.Misbehaviour{Kind: webhooktest.Redirect, Location: "/elsewhere"}, "failed 307"},
		{"nor one to a private address", webhooktest.Misbehaviour{Kind: webhooktest.Redirect, Location: "http://169.254.169.254/latest/meta-data"}, "failed 307"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, nil)
			y.endpoint(nil)
			y.receiver.Misbehave(c.how)
			y.tell("d", "s", 1)
			y.untilAttempts(1)
			if diff := cmp.Diff([]string{c.want}, y.tries()); diff != "" {
				t.Error(diff)
			}
			if n := y.count(`select coalesce(max(length(answer)), 0) from attempt`); n > 10_000 {
				t.Errorf("%d characters of the answer are kept", n)
			}
			if n := len(y.receiver.Deliveries()); n != 1 {
				t.Errorf("%d requests: a redirect was followed", n)
			}
		})
	}
}

func TestAddressesThatAreNotPublicAreNeverDialled(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://10.0.0.1/", "https://169.254.169.254/", "https://[::ffff:192.168.1.1]/", "https://[::1]/", "https://user:pass@example.org/", "ftp://example.org/"} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, nil)
			y.endpoint(func(e *store.NewEndpoint) { e.URL = url })
			y.tell("d", "s", 1)
			y.untilAttempts(1)
			if got := y.tries(); len(got) != 1 || got[0] != "failed blocked" && got[0] != "failed invalid_url" {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestABadCertificateIsRefused(t *testing.T) {
	t.Parallel()
	y := newYardOf(t, 20, 20*time.Second, nil) // a handshake on a loaded machine takes its time
	at, err := y.receiver.StartTLS("", webhooktest.SelfSigned)
	if err != nil {
		t.Fatal(err)
	}
	y.endpoint(func(e *store.NewEndpoint) { e.URL = at })
	y.tell("d", "s", 1)
	y.untilAttempts(1)
	if diff := cmp.Diff([]string{"failed tls"}, y.tries()); diff != "" {
		t.Error(diff)
	}
	if n := len(y.receiver.Deliveries()); n != 0 {
		t.Errorf("%d deliveries over a connection that proves nothing", n)
	}
}

func TestGone410DisablesTheEndpointAndTellsItsOwnersAndTheOthers(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	gone := y.endpoint(nil)
	y.endpoint(func(e *store.NewEndpoint) { e.URL, e.Events = y.at+"/b", []string{registry.EventEndpointDisabled} })
	y.receiver.SetAnswer("/a", webhooktest.Answer{Status: http.StatusGone})
	y.tell("d", "s", 1)
	y.until("disabled", func() bool {
		return y.count(`select count(*) from endpoint where not enabled and disabled_reason = $1`, registry.ReasonGone) == 1
	})
	y.tell("d", "s", 2)
	y.until("the other is told", func() bool {
		return slices.ContainsFunc(y.receiver.Deliveries(), func(d webhooktest.Delivery) bool { return d.Path == "/b" && d.Event == registry.EventEndpointDisabled })
	})
	if n := y.count(`select count(*) from mail where template = $1`, registry.LetterEndpointDisabled); n != 1 {
		t.Errorf("%d mails to the ops, want 1", n)
	}
	y.advance(time.Hour)
	time.Sleep(100 * time.Millisecond)
	if n := y.count(`select count(*) from attempt where endpoint_id = $1`, gone); n != 1 {
		t.Errorf("%d tries at a disabled endpoint", n)
	}
	if n := y.count(`select count(*) from delivery where endpoint_id = $1 and abandoned_at is null`, gone); n != 1 {
		t.Error("what waited for it is gone")
	}
}

func TestABreakerStopsSendingProbesAndResumesByItself(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(p *registry.DeliveryPolicy) {
		p.BreakAfter = 3
		p.Schedule = slices.Repeat([]time.Duration{time.Second}, 50)
	})
	id := y.endpoint(func(e *store.NewEndpoint) { e.MaxInFlight = 1 })
	y.receiver.SetAnswer("", webhooktest.Answer{Status: 500})
	for n := range 20 {
		y.tell("d", "s"+strconv.Itoa(n), 1)
	}
	y.untilAttempts(3)
	y.until("the lane has ended", func() bool { return y.process.outbox.Waker().lanes() == 0 })
	y.advance(5 * time.Second)
	time.Sleep(200 * time.Millisecond)
	if n := y.attempts(); n != 3 {
		t.Fatalf("%d tries while the endpoint rests\n%s", n, y.picture())
	}
	y.advance(10 * time.Second)
	y.untilAttempts(4)
	y.until("the lane has ended", func() bool { return y.process.outbox.Waker().lanes() == 0 })
	if n := y.attempts(); n != 4 {
		t.Fatalf("%d tries, want one probe", n-3)
	}
	if h := y.health(id); h.Rests != 2 || h.Failures != 4 {
		t.Errorf("after the probe: %+v", h)
	}
	y.receiver.SetAnswer("", webhooktest.Answer{})
	y.advance(30 * time.Second)
	y.drained()
	if got := y.receiver.Totals(); got.Unique != 20 {
		t.Errorf("%d messages arrived, want all 20", got.Unique)
	}
	y.until("healthy", func() bool {
		h := y.health(id)
		return h.Failures == 0 && h.RestUntil.IsZero() && h.FailingSince.IsZero()
	})
}

func TestRetryAfterRestsTheWholeEndpoint(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.endpoint(func(e *store.NewEndpoint) { e.MaxInFlight = 1 })
	y.receiver.Next("", webhooktest.Answer{Status: 429, RetryAfter: 10 * time.Minute})
	y.tell("d", "a", 1)
	y.untilAttempts(1)
	y.tell("d", "b", 1)
	y.advance(5 * time.Minute)
	time.Sleep(200 * time.Millisecond)
	if n := y.attempts(); n != 1 {
		t.Fatalf("%d tries although the receiver asked for ten minutes", n)
	}
	y.advance(6 * time.Minute)
	y.drained()
}

func TestAnEndpointThatFailsForFiveDaysIsDisabledItsOwnersToldBeforeAndComesBackAfterATest(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(p *registry.DeliveryPolicy) {
		p.Schedule, p.MaxAge = slices.Repeat([]time.Duration{12 * time.Hour}, 20), 240*time.Hour
	})
	id := y.endpoint(nil)
	y.receiver.SetAnswer("", webhooktest.Answer{Status: 503})
	y.tell("d", "s", 1)
	for n := 1; y.count(`select count(*) from endpoint where enabled`) == 1; n++ {
		if n > 12 {
			t.Fatal("it is still enabled after six days")
		}
		y.untilAttempts(n)
		if n == 3 && y.count(`select count(*) from mail where template = $1`, registry.LetterEndpointFailing) != 1 {
			t.Error("nobody was told that it fails")
		}
		y.advance(14*time.Hour + 24*time.Minute)
	}
	y.until("told", func() bool {
		return y.count(`select count(*) from mail where template = $1`, registry.LetterEndpointDisabled) == 1
	})
	if n := y.count(`select count(*) from mail where template = $1`, registry.LetterEndpointFailing); n != 1 {
		t.Errorf("%d mails that it fails, want 1", n)
	}

	// It comes back: tested first, with a fresh start, and gets what waited.
	operator := registry.EndpointTarget{Caller: registry.Subscriber{Operator: true}, ID: id}
	if err := y.registry.Record(t.Context(), &registry.EnableEndpoint{EndpointTarget: operator}); err == nil {
		t.Error("enabled without a test")
	}
	w := y.process.workers.Webhooks
	tester := &registry.Tester{Registry: y.registry, Deliverer: w.Deliverer, Sign: w.Sign, Timeout: w.Timeout}
	y.receiver.SetAnswer("", webhooktest.Answer{})
	y.advance(time.Hour)
	target := operator
	if result, err := tester.Test(t.Context(), &target); err != nil || !result.Passed {
		t.Fatalf("%+v %v", result, err)
	}
	before := y.receiver.Totals().Unique
	if err := y.registry.Record(t.Context(), &registry.EnableEndpoint{EndpointTarget: operator}); err != nil {
		t.Fatal(err)
	}
	y.advance(15 * time.Hour)
	y.drained()
	if h := y.health(id); h.Failures != 0 || !h.FailingSince.IsZero() {
		t.Errorf("after its return: %+v", h)
	}
	if y.receiver.Totals().Unique == before && y.count(`select count(*) from attempt where outcome = 'delivered'`) != 1 {
		t.Error("what waited did not arrive")
	}
}

func TestTokenIDsAnsweredToAnApproveAreKept(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	id := y.endpoint(func(e *store.NewEndpoint) { e.Format = store.FormatDataPass })
	request, habilitation := y.habilitation()
	y.receiver.Next("", webhooktest.Answer{TokenID: "token-1"}, webhooktest.Answer{TokenID: "token-2"})
	h := happeningFor("d", "", 1)
	h.Type, h.Request, h.Habilitation = "approve", request, habilitation
	for n := 1; n <= 2; n++ {
		if _, err := y.registry.Tell(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		y.untilAttempts(n)
	}
	y.drained()
	if n := y.count(`select count(*) from endpoint_token where endpoint_id = $1 and habilitation_id = $2 and token_id = 'token-2'`, id, habilitation); n != 1 {
		t.Error("the last token_id is not kept\n" + y.picture())
	}
}

// habilitation gives a request with one.
func (y *yard) habilitation() (request, habilitation int64) {
	y.t.Helper()
	err := y.pool.QueryRow(y.t.Context(), `
		with o as (insert into organization (name) values ('o') returning id), p as (insert into person (email) values ('p@e.example') returning id),
		r as (insert into request (origin, public_id, definition, form, state, organization_id, applicant_id, created_at)
			select 'native', gen_random_uuid(), 'd', 'f', 'validated', o.id, p.id, now() from o, p returning id),
		h as (insert into habilitation (request_id, definition, state, organization, applicant, created_at)
			select id, 'd', 'active', '{}', '{}', now() from r returning id, request_id)
		select request_id, id from h`).Scan(&request, &habilitation)
	if err != nil {
		y.t.Fatal(err)
	}
	return request, habilitation
}

func TestALostWakeUpIsFoundByTheSweep(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.endpoint(nil)
	// The process dies between the commit and the wake-up: nobody is told.
	err := y.store.InTx(t.Context(), func(tx *store.Tx) error {
		return tx.PublishEvent(t.Context(), store.Event{
			ID: store.EventID(y.clock.Now()), Type: "token.issued", Definition: "d", Subject: "s", Body: []byte(`{}`), OccurredAt: y.clock.Now(),
		}, func([]int64) {})
	})
	if err != nil {
		t.Fatal(err)
	}
	y.drained() // within the sweep's five seconds
}

func TestAMessageWhoseBodyIsPurgedIsGivenUpWithTheReason(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.endpoint(nil)
	y.receiver.SetAnswer("", webhooktest.Answer{Status: 500})
	y.tell("d", "s", 1)
	y.untilAttempts(1)
	if _, err := y.store.PurgeEvents(t.Context(), y.clock.Now().Add(time.Second), 10); err != nil {
		t.Fatal(err)
	}
	y.advance(13 * time.Second)
	y.until("given up", func() bool {
		return y.count(`select count(*) from delivery where reason = $1`, registry.ReasonPurged) == 1
	})
	if n := len(y.receiver.Deliveries()); n != 1 {
		t.Errorf("%d deliveries, one of them without a body", n)
	}
}

func TestFirstTriesGoBeforeRetriesAndRetriesBeforeReplays(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	id := y.endpoint(func(e *store.NewEndpoint) { e.MaxInFlight = 1 })
	if _, err := y.pool.Exec(t.Context(), `update endpoint set enabled = false`); err != nil {
		t.Fatal(err)
	}
	at := y.clock.Now()
	for i, rank := range []int{2, 1, 0, 2, 1, 0} {
		_, err := y.pool.Exec(t.Context(), `
			with e as (insert into event (id, type, subject, seq, body, occurred_at) values ($1, 'token.issued', 's' || $2, 1, json_build_object('data', json_build_object('subject', 'rank', 'seq', $3::int)), $4) returning id)
			insert into delivery (endpoint_id, event_id, rank, next_at, subject, seq, ordered, created_at) select $5, id, $3, $4, 's' || $2, 1, false, $4 from e`,
			store.EventID(at), strconv.Itoa(i), rank, at.Add(time.Duration(-i)*time.Second), id)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := y.pool.Exec(t.Context(), `update endpoint set enabled = true`); err != nil {
		t.Fatal(err)
	}
	y.look()
	y.drained()
	var ranks []int64
	for _, d := range y.receiver.Deliveries() {
		ranks = append(ranks, d.Order)
	}
	if diff := cmp.Diff([]int64{0, 0, 1, 1, 2, 2}, ranks); diff != "" {
		t.Error(diff)
	}
}

func TestOneThatHangsDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	hanging := y.endpoint(func(e *store.NewEndpoint) { e.Definition, e.URL = "hang", y.at+"/hang" })
	y.endpoint(nil)
	release := make(chan struct{})
	defer close(release)
	y.receiver.AnswerWith("/hang", func(webhooktest.Delivery) webhooktest.Answer {
		<-release
		return webhooktest.Answer{}
	})
	for n := range 20 {
		y.tell("hang", strconv.Itoa(n), 1)
	}
	y.until("it hangs", func() bool { return len(y.receiver.Deliveries()) >= 5 })
	for n := range 50 {
		y.tell("d", strconv.Itoa(n), 1)
	}
	y.until("the healthy one has all", func() bool { return y.count(`select count(*) from attempt where endpoint_id <> $1`, hanging) == 50 })
	if n := len(slices.DeleteFunc(y.receiver.Deliveries(), func(d webhooktest.Delivery) bool { return d.Path != "/hang" })); n > 10 {
		t.Errorf("%d deliveries at once to an endpoint that takes 5", n)
	}
}

func TestWhatWaitsStaysWhileItsEndpointIsDisabledAndLeavesOnceEnabled(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	id := y.endpoint(nil)
	y.receiver.SetAnswer("", webhooktest.Answer{Status: 503})
	failed := y.tell("d", "a", 1)
	y.untilAttempts(1)
	operator := registry.EndpointTarget{Caller: registry.Subscriber{Operator: true}, ID: id}
	if err := y.registry.Record(t.Context(), &registry.StopEndpoint{EndpointTarget: operator}); err != nil {
		t.Fatal(err)
	}
	waits := y.count(`select count(*) from delivery`)
	y.receiver.SetAnswer("", webhooktest.Answer{Status: 200})
	for range 4 { // its retry is due several times over
		y.advance(10 * time.Minute)
		time.Sleep(50 * time.Millisecond)
	}
	if n := y.attempts(); n != 1 {
		t.Fatalf("%d tries at a disabled endpoint", n)
	}
	if n := y.count(`select count(*) from delivery`); n != waits {
		t.Fatalf("%d deliveries are there, %d before", n, waits)
	}
	if err := y.registry.Record(t.Context(), &registry.EnableEndpoint{EndpointTarget: operator, Untested: true}); err != nil {
		t.Fatal(err)
	}
	after := y.tell("d", "b", 1)
	y.advance(10 * time.Minute)
	y.drained()
	got := map[string]int{}
	for _, d := range y.receiver.Deliveries() {
		got[d.ID]++
	}
	if got[failed.String()] != 2 || got[after.String()] != 1 {
		t.Errorf("%s arrived %d times, %s %d times", failed, got[failed.String()], after, got[after.String()])
	}
}

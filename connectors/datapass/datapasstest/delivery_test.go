package datapasstest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// receiver answers what it is told and keeps what it got.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   string
	got    []received
}

type received struct {
	header http.Header
	body   []byte
	query  string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK, body: "{}"}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, received{req.Header.Clone(), body, req.URL.RawQuery})
		if r.status >= 300 && r.status < 400 {
			w.Header().Set("Location", "/ailleurs")
		}
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, r.body)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int, body string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.body = status, body
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// signed recomputes the signature without this package's code.
func (m received) signed(secret string) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(m.body)
	return m.header.Get("X-Hub-Signature-256") == "sha256="+hex.EncodeToString(mac.Sum(nil))
}

func TestAWebhookLeavesAsDataPassSendsIt(t *testing.T) {
	t.Parallel()
	p, r := newPlay(t), newReceiver(t)
	sub := p.AddSubscription(Subscription{
		Definition: "api_particulier", URL: r.URL + "/hook?source=datapass&x=1", Events: []EventName{EventSubmit},
	})
	id := p.create(APIParticulier()).ID
	p.steps(id, EventSubmit)
	got := r.all()
	if len(got) != 1 {
		t.Fatalf("want one webhook (create is not subscribed), got %d", len(got))
	}
	want := http.Header{
		"Content-Type": {"application/json"}, "X-App-Environment": {"sandbox"}, "User-Agent": {"Faraday v2.14.3"},
		"X-Hub-Signature-256": {got[0].header.Get("X-Hub-Signature-256")},
		"Content-Length":      {got[0].header.Get("Content-Length")},
	}
	if diff := cmp.Diff(want, got[0].header); diff != "" {
		t.Errorf("headers:\n%s", diff)
	}
	if !got[0].signed(sub.Secret) || got[0].query != "source=datapass&x=1" || len(sub.Secret) != 64 {
		t.Errorf("signature or query string: %q", got[0].query)
	}
}

func TestWhatAnAnswerMakesOfADelivery(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		status   int
		body     string
		state    DeliveryState
		provider string
	}{
		"200 with an object is a success":             {200, `{}`, Delivered, ""},
		"200 with a token_id names the provider's id": {200, `{"token_id":"f00d"}`, Delivered, "f00d"},
		"201 counts too":                              {201, `{"token_id":"f00d"}`, Delivered, "f00d"},
		"204 without a body is a success":             {204, ``, Delivered, ""},
		"a blank token_id names nothing":              {200, `{"token_id":" "}`, Delivered, ""},
		"a body that is not JSON is fine":             {200, `merci`, Delivered, ""},
		"an array kills the job":                      {200, `[1]`, Broken, ""},
		"a bare number kills the job":                 {200, `12`, Broken, ""},
		"202 is a failure":                            {202, `{"token_id":"f00d"}`, Waiting, ""},
		"a redirect is a failure":                     {302, ``, Waiting, ""},
		"422 is a failure":                            {422, `{}`, Waiting, ""},
		"500 is a failure, whatever its token_id":     {500, `{"token_id":"f00d"}`, Waiting, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, r := newPlay(t), newReceiver(t)
			sub := p.AddSubscription(Subscription{Definition: "api_particulier", URL: r.URL, Events: []EventName{EventSubmit}})
			id := p.create(APIParticulier()).ID
			r.answer(c.status, c.body)
			got := p.must(p.Submit(t.Context(), id))
			if len(got) != 1 || got[0].State != c.state || got[0].Last.Status != c.status {
				t.Fatalf("%+v", got)
			}
			if provider := p.get(id).ExternalProviderID; provider != c.provider {
				t.Errorf("external_provider_id is %q", provider)
			}
			attempts := p.Attempts(sub.ID)
			if len(attempts) != 1 || attempts[0].Status != c.status || attempts[0].ResponseBody != c.body {
				t.Errorf("attempts: %+v", attempts)
			}
			if len(r.all()) != 1 {
				t.Errorf("the redirect was followed")
			}
		})
	}
}

func TestRetriesAreByteIdenticalAndWithoutEnd(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, r := newPlay(t), newReceiver(t)
	sub := p.AddSubscription(Subscription{Definition: "api_particulier", URL: r.URL, Events: []EventName{EventSubmit}})
	id := p.create(APIParticulier()).ID
	r.answer(503, "")
	first := p.must(p.Submit(ctx, id))[0]
	if due := first.NextAt.Sub(p.Now()); due != 3*time.Second {
		t.Errorf("the second try is due in %s", due)
	}
	if got := p.RetryDue(ctx); len(got) != 0 {
		t.Errorf("sent again before its time: %+v", got)
	}
	p.Advance(3 * time.Second)
	again := p.RetryDue(ctx)
	if len(again) != 1 || again[0].Failures != 2 || again[0].NextAt.Sub(p.Now()) != 18*time.Second {
		t.Fatalf("%+v", again)
	}
	if _, err := p.Disable(sub.ID); err != nil {
		t.Fatal(err)
	}
	r.answer(200, `{"token_id":"abc"}`)
	p.Advance(time.Hour)
	if last := p.Retry(ctx); len(last) != 1 || last[0].State != Delivered {
		t.Fatalf("a disabled subscription's deliveries still leave: %+v", last)
	}
	if got := p.Retry(ctx); len(got) != 0 {
		t.Errorf("a delivered event is sent again: %+v", got)
	}
	got := r.all()
	for _, m := range got[1:] {
		if string(m.body) != string(got[0].body) || !m.signed(sub.Secret) {
			t.Error("a retry differs from the first try")
		}
	}
	if len(got) != 3 || p.get(id).ExternalProviderID != "abc" || len(p.Attempts(sub.ID)) != 3 {
		t.Errorf("%d tries, %d attempts", len(got), len(p.Attempts(sub.ID)))
	}
}

func TestARunningDataPassRetriesByItself(t *testing.T) {
	t.Parallel()
	p, r := newPlay(t), newReceiver(t)
	p.AddSubscription(Subscription{Definition: "api_particulier", URL: r.URL, Events: []EventName{EventSubmit}})
	id := p.create(APIParticulier()).ID
	r.answer(503, "")
	p.steps(id, EventSubmit)
	r.answer(200, "{}")
	p.Advance(3 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.RetryForEver(ctx, time.Millisecond)
	}()
	for p.Deliveries()[0].State != Delivered {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
}

func TestTransportErrorsAreLostWithoutTrace(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, r := newPlay(t), newReceiver(t)
	sub := p.AddSubscription(Subscription{Definition: "api_particulier", URL: r.URL, Events: []EventName{EventSubmit}})
	id := p.create(APIParticulier()).ID
	r.Close()
	got := p.must(p.Submit(ctx, id))
	if len(got) != 1 || got[0].State != Lost || got[0].Last.Err == nil {
		t.Fatalf("%+v", got)
	}
	if len(p.Attempts(sub.ID)) != 0 || len(p.Retry(ctx)) != 0 {
		t.Error("a lost delivery left an attempt or is sent again")
	}
}

func TestReplaySendsTheStoredPayloadWithTodaysSecret(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, r := newPlay(t), newReceiver(t)
	sub := p.AddSubscription(Subscription{Definition: "api_particulier", URL: r.URL, Events: []EventName{EventSubmit}})
	id := p.create(APIParticulier()).ID
	p.steps(id, EventSubmit, EventApprove)
	changed, err := p.RegenerateSecret(sub.ID)
	if err != nil || changed.Secret == sub.Secret || !changed.Enabled {
		t.Fatalf("%+v %v", changed, err)
	}
	if _, err := p.Disable(sub.ID); err != nil {
		t.Fatal(err)
	}
	r.answer(200, `{"token_id":"ignored"}`)
	exchange, err := p.Replay(ctx, p.Attempts(sub.ID)[0].ID)
	if err != nil || !exchange.Passed() {
		t.Fatalf("%+v %v", exchange, err)
	}
	got := r.all()
	if len(got) != 2 || string(got[0].body) != string(got[1].body) || !got[1].signed(changed.Secret) {
		t.Errorf("the replay is not the first body under the new secret")
	}
	if p.get(id).ExternalProviderID != "" || len(p.Attempts(sub.ID)) != 2 {
		t.Error("a replay's token_id is kept, or it left no attempt")
	}
}

func TestSubscribingTestsTheURL(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, r := newPlay(t), newReceiver(t)
	p.clock.Freeze(parisTime(t, "2026-08-06T10:30:00.000+02:00"))

	sub := p.Subscribe(ctx, "api_particulier", r.URL, EventApprove)
	if !sub.Validated || sub.Enabled || string(r.all()[0].body) != string(testdata(t, "webhook-test.wire")) || !r.all()[0].signed(sub.Secret) {
		t.Fatalf("%+v", sub)
	}
	r.answer(500, "")
	if _, err := p.Enable(ctx, sub.ID); err == nil {
		t.Error("enabled although the test fails")
	}
	r.answer(204, "")
	if enabled, err := p.Enable(ctx, sub.ID); err != nil || !enabled.Enabled {
		t.Errorf("%+v %v", enabled, err)
	}
	if len(p.Attempts(sub.ID)) != 0 {
		t.Error("a test is stored as an attempt")
	}
	r.answer(400, "")
	if bad := p.Subscribe(ctx, "api_particulier", r.URL, EventApprove); bad.Validated {
		t.Error("validated although the test fails")
	}
	if kept, err := p.ChangeURL(ctx, sub.ID, r.URL+"/other"); err == nil || kept.URL != r.URL {
		t.Errorf("%+v %v", kept, err)
	}
}

func TestHeldEventsLeaveWhenAsked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, r := newPlay(t), newReceiver(t)
	p.AddSubscription(Subscription{Definition: "api_particulier", URL: r.URL, Events: []EventName{EventApprove}})
	ids, err := p.FileInvented(ctx, 0, 200)
	if err != nil {
		t.Fatal(err)
	}
	p.Hold(true)
	for _, id := range ids {
		p.steps(id, EventApprove)
	}
	if len(r.all()) != 0 {
		t.Fatal("a held event left")
	}
	sentNow := p.SendQueued(ctx, 8)
	seen := map[int64]bool{}
	for _, m := range r.all() {
		seen[decode(t, m.body).ModelID] = true
	}
	if len(sentNow) != 200 || len(seen) != 200 || len(p.SendQueued(ctx, 1)) != 0 {
		t.Errorf("%d sent, %d received", len(sentNow), len(seen))
	}
	// A worker lost after its POST sends again.
	if again, err := p.Send(ctx, sentNow[0].ID); err != nil || again.State != Delivered || len(r.all()) != 201 {
		t.Errorf("%+v %v", again, err)
	}
}

func TestAnyBytesCanBeSent(t *testing.T) {
	t.Parallel()
	p, r := newPlay(t), newReceiver(t)
	sub := p.AddSubscription(Subscription{Definition: "api_particulier", URL: r.URL})
	if _, err := p.SendRaw(t.Context(), sub.ID, Raw{Body: []byte(`{"event":`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SendRaw(t.Context(), sub.ID, Raw{
		Body: []byte("x"), Header: http.Header{"X-Hub-Signature-256": nil, "Content-Type": {"text/plain"}},
	}); err != nil {
		t.Fatal(err)
	}
	got := r.all()
	if !got[0].signed(sub.Secret) || string(got[0].body) != `{"event":` {
		t.Error("the first one is not signed as given")
	}
	if _, has := got[1].header["X-Hub-Signature-256"]; has || got[1].header.Get("Content-Type") != "text/plain" {
		t.Errorf("%v", got[1].header)
	}
}

func TestTheControlSurfacePlaysARequest(t *testing.T) {
	t.Parallel()
	p, r := newPlay(t), newReceiver(t)
	base, err := p.Start("")
	if err != nil {
		t.Fatal(err)
	}
	post := func(path, body string, want int) string {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base+path, strings.NewReader(body))
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != want {
			t.Errorf("%s: %d %s", path, answer.StatusCode, text)
		}
		return string(text)
	}
	post("/_admin/subscriptions", `{"definition":"api_particulier","url":"`+r.URL+`","events":["approve"]}`, 200)
	post("/_admin/requests", `{"sample":"api_particulier"}`, 200)
	post("/_admin/requests/49001/approve", ``, 409)
	post("/_admin/requests/49001/submit", ``, 200)
	post("/_admin/requests/49001/approve", `{"message":"Bienvenue"}`, 200)
	post("/_admin/requests/1/submit", ``, 404)
	post("/_admin/requests", `{"invented":3}`, 200)
	post("/_admin/requests", `{"sampel":"x"}`, 400)
	if got := r.all(); len(got) != 1 || decode(t, got[0].body).Event != "approve" {
		t.Errorf("%d webhooks", len(got))
	}
}

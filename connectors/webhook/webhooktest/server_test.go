package webhooktest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const testSecret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

var testNow = time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)

func newServer(t *testing.T, opts Options) (*Server, string) {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = partnertest.NewFrozenClock(testNow)
	}
	if opts.Secrets == nil {
		opts.Secrets = []string{testSecret}
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	base, err := s.Start("")
	if err != nil {
		t.Fatal(err)
	}
	return s, base
}

// signed is a delivery under both dialects, written by hand.
func signed(ctx context.Context, url, id, body string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	mac := func(key, message string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(message))
		return h.Sum(nil)
	}
	key, _ := hex.DecodeString(testSecret)
	stamp := fmt.Sprint(testNow.Unix())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac(testSecret, body)))
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", stamp)
	req.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac(string(key), id+"."+stamp+"."+body)))
	req.Header.Set("webhook-attempt", "2")
	return req
}

// plain follows no redirect and decodes no gzip.
func plain() *http.Client {
	return &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func post(t *testing.T, url, id, body string) (int, string, http.Header) {
	t.Helper()
	answer, err := plain().Do(signed(t.Context(), url, id, body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

func TestDeliveriesAreVerifiedAndRecorded(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{})
	const body = `{"event":"approve","fired_at":1782136022,"model_id":49002,"data":{"id":49002}}`
	if status, text, _ := post(t, base+"/hooks?x=1", "evt_1", body); status != 200 || text != "{}" {
		t.Errorf("%d %s", status, text)
	}
	if status, _, _ := post(t, base+"/hooks?x=1", "evt_1", body); status != 200 {
		t.Errorf("a repeat is acknowledged: %d", status)
	}
	forged := signed(t.Context(), base+"/hooks", "evt_2", body)
	forged.Header.Set("X-Hub-Signature-256", "sha256=00")
	answer, err := plain().Do(forged)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 401 {
		t.Errorf("a forged one got %d", answer.StatusCode)
	}
	if diff := cmp.Diff(Totals{Received: 3, Invalid: 1, Unique: 1, Repeats: 1}, s.Totals()); diff != "" {
		t.Error(diff)
	}
	got := s.ByID("evt_1")[0]
	want := Delivery{
		Seq: 1, At: testNow, Path: "/hooks", Query: "x=1", ID: "evt_1", Attempt: 2, Event: "approve", Subject: "49002",
		Order: 1782136022, HasOrder: true, Valid: true, Header: got.Header, Body: []byte(body),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if bad := s.Invalid(); len(bad) != 1 || len(bad[0].Faults) != 1 || bad[0].ID != "evt_2" {
		t.Errorf("%+v", bad)
	}
}

func TestADeliveryOfDataPassIsKnownByItsBody(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{Dialect: DataPassOnly})
	for _, body := range []string{`{"event":"submit"}`, `{"event":"submit"}`, `{"event":"approve"}`} {
		req := signed(t.Context(), base, "", body)
		req.Header.Del("webhook-id")
		answer, err := plain().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	if diff := cmp.Diff(Totals{Received: 3, Unique: 2, Repeats: 1}, s.Totals()); diff != "" {
		t.Error(diff)
	}
}

func TestRotationOfSecrets(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{})
	if err := s.SetSecrets("whsec_////////////////////////////////"); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := post(t, base, "evt_1", "{}"); status != 401 {
		t.Errorf("an old secret still passes: %d", status)
	}
	if err := s.SetSecrets("whsec_////////////////////////////////", testSecret); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := post(t, base, "evt_1", "{}"); status != 200 {
		t.Errorf("one of two secrets: %d", status)
	}
	if err := s.SetSecrets("whsec_!"); err == nil {
		t.Error("a secret that is none is taken")
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{})
	s.SetAnswer("/token", Answer{TokenID: "5f0e"})
	s.SetAnswer("", Answer{Status: 204})
	s.Next("/busy", Answer{Status: 503, RetryAfter: 1500 * time.Millisecond}, Answer{Status: 410, Delivery: "disable"})
	s.AnswerWith("/echo", func(d Delivery) Answer { return Answer{Body: `"` + d.ID + `"`} })
	cases := []struct {
		path, body string
		status     int
		header     map[string]string
	}{
		{"/token", `{"token_id":"5f0e"}`, 200, map[string]string{"Content-Type": "application/json"}},
		{"/busy", "", 503, map[string]string{"Retry-After": "2"}},
		{"/busy", "", 410, map[string]string{"Webhook-Delivery": "disable", "Retry-After": ""}},
		{"/busy", "", 204, nil},
		{"/echo", `"evt_1"`, 200, nil},
	}
	for _, c := range cases {
		status, body, header := post(t, base+c.path, "evt_1", "{}")
		if status != c.status || body != c.body {
			t.Errorf("%s: %d %q", c.path, status, body)
		}
		for name, want := range c.header {
			if header.Get(name) != want {
				t.Errorf("%s: %s is %q", c.path, name, header.Get(name))
			}
		}
	}
	s.AnswerWith("", nil)
	if status, body, _ := post(t, base, "evt_1", "{}"); status != 200 || body != "{}" {
		t.Errorf("%d %q", status, body)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
	answer, err := plain().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 405 {
		t.Errorf("GET got %d", answer.StatusCode)
	}
}

func TestPlaceOf(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		body, subject string
		order         int64
		ok            bool
	}{
		"DataPass's body":            {`{"model_id":12,"fired_at":34,"data":{"id":12}}`, "12", 34, true},
		"a subject and its sequence": {`{"type":"x","subject":"dp-12","seq":3,"fired_at":99}`, "dp-12", 3, true},
		"both in the data":           {`{"type":"x","data":{"subject":"dp-12","sequence":3}}`, "dp-12", 3, true},
		"no order":                   {`{"subject":"dp-12"}`, "dp-12", 0, false},
		"no subject":                 {`{"seq":3}`, "", 3, false},
		"data that is no object":     {`{"subject":"a","seq":1,"data":[1]}`, "a", 1, true},
		"no JSON":                    {`bonjour`, "", 0, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject, order, ok := PlaceOf([]byte(c.body))
			if subject != c.subject || order != c.order || ok != c.ok {
				t.Errorf("%q %d %t", subject, order, ok)
			}
		})
	}
}

func TestOrderIsOfFirstArrivalsOfOneSubject(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{})
	for i, event := range []string{
		`{"type":"a","subject":"1","seq":1}`, `{"type":"b","subject":"2","seq":5}`, `{"type":"c","subject":"1","seq":3}`,
		`{"type":"b","subject":"2","seq":6}`, `{"type":"d","subject":"1","seq":2}`, `{"type":"e","subject":"1","seq":4}`,
	} {
		post(t, base, fmt.Sprintf("evt_%d", i), event)
	}
	post(t, base, "evt_1", `{"type":"b","subject":"2","seq":5}`) // a repeat may come late
	if diff := cmp.Diff([]string{"/, subject 1: d (2) came after c (3)"}, s.Disorder()); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, d := range s.Of("1") {
		got = append(got, d.Event)
	}
	if diff := cmp.Diff([]string{"a", "c", "d", "e"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheLogIsBoundedAndCountsGoOn(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{Keep: 10})
	for i := range 25 {
		post(t, base, fmt.Sprintf("evt_%d", i), "{}")
	}
	if kept := s.Deliveries(); len(kept) > 10 || kept[len(kept)-1].Seq != 25 || s.Totals().Unique != 25 {
		t.Errorf("%d kept, %+v", len(kept), s.Totals())
	}
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{})
	done := make(chan error, 1)
	go func() {
		done <- s.Wait(t.Context(), func(list []Delivery) bool { return len(list) == 2 })
	}()
	post(t, base, "evt_1", "{}")
	post(t, base, "evt_2", "{}")
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Wait(ctx, func([]Delivery) bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := s.WaitUnique(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestTheControlSurface(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{})
	admin := func(method, path, body string, want int) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		answer, err := plain().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s %s: %d %s", method, path, answer.StatusCode, text)
		}
	}
	admin("POST", "/_admin/answers", `{"path":"/x","answer":{"status":503}}`, 204)
	if status, _, _ := post(t, base+"/x", "evt_1", "{}"); status != 503 {
		t.Errorf("%d", status)
	}
	admin("POST", "/_admin/misbehave", `{"kind":"redirect","location":"/y"}`, 204)
	if status, _, _ := post(t, base+"/x", "evt_1", "{}"); status != 307 {
		t.Errorf("%d", status)
	}
	admin("DELETE", "/_admin/misbehave", "", 204)
	admin("POST", "/_admin/misbehave", `{"kind":"explode"}`, 400)
	admin("POST", "/_admin/misbehave", `{"kind":"drip"}`, 400)
	admin("POST", "/_admin/secrets", `["whsec_!"]`, 400)
	admin("POST", "/_admin/lean", `true`, 204)
	post(t, base, "evt_9", "{}")
	if s.Totals().Unique != 2 {
		t.Errorf("%+v", s.Totals())
	}
	admin("GET", "/_admin/state", "", 200)
	admin("POST", "/_admin/reset", "", 204)
}

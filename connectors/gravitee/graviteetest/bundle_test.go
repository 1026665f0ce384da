package graviteetest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	v1         = "/management/organizations/DEFAULT/environments/DEFAULT"
	v2         = "/management/v2/organizations/DEFAULT/environments/DEFAULT"
	automation = "/automation/organizations/DEFAULT/environments/DEFAULT"
	subs       = v2 + "/apis/" + graviteetest.DemoAPI + "/subscriptions"

	oldKey = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	newKey = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

type bundle struct {
	*graviteetest.Server
	t *testing.T
}

// start runs a simulator whose clock stands still at january.
func start(t *testing.T, opts graviteetest.Options) *bundle {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = partnertest.NewFrozenClock(january)
	}
	srv, err := graviteetest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return &bundle{srv, t}
}

// result is an answer; Get walks its JSON with a path like "data.0.id".
type result struct {
	t      *testing.T
	Status int
	Header http.Header
	Text   string
}

func (r result) get(path string) any {
	r.t.Helper()
	var at any
	if err := json.Unmarshal([]byte(r.Text), &at); err != nil {
		r.t.Fatalf("%d %q: %v", r.Status, r.Text, err)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch value := at.(type) {
		case map[string]any:
			at = value[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(value) {
				return nil
			}
			at = value[i]
		default:
			return nil
		}
	}
	return at
}

func (r result) str(path string) string {
	r.t.Helper()
	text, _ := r.get(path).(string)
	return text
}

func (r result) at(path string) time.Time {
	r.t.Helper()
	at, err := time.Parse(time.RFC3339Nano, r.str(path))
	if err != nil {
		r.t.Fatalf("%s in %s: %v", path, r.Text, err)
	}
	return at
}

// want fails the test unless the status is this one.
func (r result) want(status int) result {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("got %d %s, want %d", r.Status, r.Text, status)
	}
	return r
}

// refused checks status and technicalCode.
func (r result) refused(status int, code string) result {
	r.t.Helper()
	if r.Status != status || r.str("technicalCode") != code {
		r.t.Errorf("got %d %s, want %d %s", r.Status, r.Text, status, code)
	}
	return r
}

func (b *bundle) send(url, method string, header http.Header, body any) result {
	b.t.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, url, reader)
	if err != nil {
		b.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return result{b.t, answer.StatusCode, answer.Header, string(text)}
}

func (b *bundle) bearer() http.Header {
	return http.Header{"Authorization": {"Bearer " + b.Token()}}
}

// call speaks to the management listener.
func (b *bundle) call(method, path string, body any) result {
	b.t.Helper()
	return b.send(b.ManagementURL()+path, method, b.bearer(), body)
}

type object map[string]any

func (b *bundle) application(ref string) string {
	b.t.Helper()
	return b.call("POST", v1+"/applications", object{
		"name": "Commune de Valfleury", "description": "DataPass 9001", "clientId": ref, "api_key_mode": "EXCLUSIVE",
	}).want(201).str("id")
}

// subscribe makes an accepted subscription of a new application with a key of ours.
func (b *bundle) subscribe(ref, key string) (sub, keyID string) {
	b.t.Helper()
	body := object{"applicationId": b.application(ref), "planId": graviteetest.DemoPlan}
	if key != "" {
		body["customApiKey"] = key
	}
	sub = b.call("POST", subs, body).want(201).str("id")
	return sub, b.keys(sub).str("data.0.id")
}

func (b *bundle) keys(sub string) result {
	b.t.Helper()
	return b.call("GET", subs+"/"+sub+"/api-keys", nil).want(200)
}

// gateway calls the demo API with a key.
func (b *bundle) gateway(key string) int {
	b.t.Helper()
	return b.send(b.GatewayURL()+graviteetest.DemoPath+"/v1/qf", "GET", http.Header{"X-Gravitee-Api-Key": {key}}, nil).Status
}

// lives checks a key on both gateways: the HTTP one and Probe.
func (b *bundle) lives(key string, want bool) {
	b.t.Helper()
	status := 401
	if want {
		status = 200
	}
	probe, _ := b.Probe(key)
	if got := b.gateway(key); got != status || probe != status {
		b.t.Errorf("gateway %d, probe %d, want %d", got, probe, status)
	}
}

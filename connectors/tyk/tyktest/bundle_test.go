package tyktest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
)

const (
	custom = "datapass9001k1"
	hashed = "be302e24a9c41644"
	token  = "eyJvcmciOiJkZWZhdWx0IiwiaWQiOiJkYXRhcGFzczkwMDFrMSIsImgiOiJtdXJtdXI2NCJ9"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

type bundle struct {
	*tyktest.Server
	t *testing.T
}

// start runs a simulator whose clock stands still at january.
func start(t *testing.T, opts tyktest.Options) *bundle {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = partnertest.NewFrozenClock(january)
	}
	srv, err := tyktest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return &bundle{srv, t}
}

type object map[string]any

// result is an answer; get walks its JSON with a path like "keys.0".
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

// want fails the test unless the status is this one.
func (r result) want(status int) result {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("got %d %s, want %d", r.Status, r.Text, status)
	}
	return r
}

// is checks one value of the answer.
func (r result) is(path string, want any) result {
	r.t.Helper()
	if diff := cmp.Diff(want, r.get(path)); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	return r
}

// refused checks status and message of the control API, and that it is JSON.
func (r result) refused(status int, message string) result {
	r.t.Helper()
	r.want(status).is("status", "error").is("message", message)
	if media := r.Header.Get("Content-Type"); media != "application/json" {
		r.t.Errorf("content type %q", media)
	}
	return r
}

func (b *bundle) send(method, address string, header http.Header, body string) result {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
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

// call speaks to the control API.
func (b *bundle) call(method, path string, body any) result {
	b.t.Helper()
	header := http.Header{"X-Tyk-Authorization": {b.Secret()}}
	if body == nil {
		return b.send(method, b.ControlURL()+path, header, "")
	}
	text, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.send(method, b.ControlURL()+path, header, string(text))
}

// key is the body of a key that the policy opens.
func key(changes ...func(object)) object {
	body := object{
		"alias": "dp-9001", "org_id": "default", "apply_policies": []string{"api-particulier"}, "expires": 1900000000,
		"meta_data": object{"hub_ref": "dp-9001-c1"}, "tags": []string{"dp-9001"},
	}
	for _, change := range changes {
		change(body)
	}
	return body
}

func with(name string, value any) func(object) { return func(body object) { body[name] = value } }

func without(names ...string) func(object) {
	return func(body object) {
		for _, name := range names {
			delete(body, name)
		}
	}
}

// add makes the custom key of the samples.
func (b *bundle) add(changes ...func(object)) result {
	b.t.Helper()
	return b.call("POST", "/tyk/keys/"+custom, key(changes...)).want(200)
}

func (b *bundle) put(changes ...func(object)) result {
	b.t.Helper()
	return b.call("PUT", "/tyk/keys/"+token+"?suppress_reset=1", key(changes...))
}

// proxied calls an API with a key in one of its forms.
func (b *bundle) proxied(path, presented string) result {
	b.t.Helper()
	header := http.Header{}
	if presented != "" {
		header.Set("X-Api-Key", presented)
	}
	return b.send("GET", b.ProxyURL()+path, header, "")
}

// answers checks a form of a key at the proxy.
func (b *bundle) answers(presented string, status int, message string) {
	b.t.Helper()
	got := b.proxied("/dgfip/v1/qf", presented)
	if got.Status != status || message != "" && got.str("error") != message {
		b.t.Errorf("got %d %s, want %d %s", got.Status, got.Text, status, message)
	}
}

const (
	expired    = "Key has expired, please renew"
	inactive   = "Key is inactive, please renew"
	disallowed = "Access to this API has been disallowed"
)

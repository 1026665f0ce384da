package kongtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	oldKey = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	newKey = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"

	oldID = "00000000-0000-4000-8000-000000000031"
	newID = "00000000-0000-4000-8000-000000000032"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

type bundle struct {
	*kongtest.Server
	t *testing.T
}

// start runs a simulator whose clock stands still at january.
func start(t *testing.T, opts kongtest.Options) *bundle {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = partnertest.NewFrozenClock(january)
	}
	srv, err := kongtest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return &bundle{srv, t}
}

type object map[string]any

// result is an answer; get walks its JSON with a path like "data.0.id".
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

// body compares the whole JSON answer.
func (r result) body(want string) result {
	r.t.Helper()
	var got, wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		r.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(r.Text), &got); err != nil {
		r.t.Fatalf("%d %q: %v", r.Status, r.Text, err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		r.t.Errorf("body (-want +got):\n%s", diff)
	}
	if media := r.Header.Get("Content-Type"); !strings.HasPrefix(media, "application/json") {
		r.t.Errorf("content type %q", media)
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

func (b *bundle) send(method, url string, header http.Header, body io.Reader) result {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, url, body)
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

// call speaks JSON to the admin API.
func (b *bundle) call(method, path string, body any) result {
	b.t.Helper()
	if body == nil {
		return b.send(method, b.AdminURL()+path, nil, nil)
	}
	text, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.send(method, b.AdminURL()+path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(text))
}

// written sends a body of any type.
func (b *bundle) written(method, path, contentType, body string) result {
	b.t.Helper()
	header := http.Header{}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	return b.send(method, b.AdminURL()+path, header, strings.NewReader(body))
}

// consumer makes dp-9001 with the group dgfip, and gives its id.
func (b *bundle) consumer() string {
	b.t.Helper()
	id := b.call("PUT", "/consumers/dp-9001", object{"custom_id": "dp-9001", "tags": []string{"hub", "datapass-9001"}}).
		want(200).str("id")
	b.call("PUT", "/consumers/dp-9001/acls/dgfip", object{}).want(200)
	return id
}

func (b *bundle) issue(id, key string) result {
	b.t.Helper()
	return b.call("PUT", "/consumers/dp-9001/key-auth/"+id, object{"key": key}).want(200)
}

func (b *bundle) proxied(path, key string) result {
	b.t.Helper()
	header := http.Header{}
	if key != "" {
		header.Set("apikey", key)
	}
	return b.send("GET", b.ProxyURL()+path, header, nil)
}

// answers checks a key on both proxies: the HTTP one and Probe.
func (b *bundle) answers(key string, want int) {
	b.t.Helper()
	probe, _ := b.Probe(key)
	if got := b.proxied("/dgfip/v1/qf", key).Status; got != want || probe != want {
		b.t.Errorf("proxy %d, probe %d, want %d", got, probe, want)
	}
}

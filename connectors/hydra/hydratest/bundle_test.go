package hydratest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	oldSecret = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	newSecret = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"
	api       = "https://api.example.test"
	client    = "/admin/clients/dp-9001"
	rotate    = client + "/secrets/rotate"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

type bundle struct {
	*hydratest.Server
	t *testing.T
}

// start runs a simulator whose clock stands still at january.
func start(t *testing.T, opts hydratest.Options) *bundle {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = partnertest.NewFrozenClock(january)
	}
	srv, err := hydratest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return &bundle{srv, t}
}

type object map[string]any

// result is an answer; get walks its JSON with a path like "0.client_id".
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

// call speaks JSON to the admin API.
func (b *bundle) call(method, path string, body any) result {
	b.t.Helper()
	header := http.Header{"Accept": {"application/json"}}
	if body == nil {
		return b.send(method, b.AdminURL()+path, header, "")
	}
	text, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	header.Set("Content-Type", "application/json")
	return b.send(method, b.AdminURL()+path, header, string(text))
}

// create makes dp-9001 with a secret of ours.
func (b *bundle) create() {
	b.t.Helper()
	b.call("POST", "/admin/clients", object{
		"client_id": "dp-9001", "client_name": "Commune de Valfleury", "owner": "datapass:9001",
		"grant_types": []string{"client_credentials"}, "response_types": []string{},
		"token_endpoint_auth_method": "client_secret_basic", "scope": "dgfip cnaf", "audience": []string{api},
		"metadata": object{"hub_ref": "dp-9001"}, "access_token_strategy": "jwt",
		"client_credentials_grant_access_token_lifespan": "1h", "client_secret": oldSecret,
	}).want(201)
}

func (b *bundle) form(address, id, secret string, pairs ...string) result {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		req.SetBasicAuth(id, secret)
	}
	return b.send("POST", address, req.Header, values.Encode())
}

// token asks for one with the audience that the client is allowed.
func (b *bundle) token(secret string, pairs ...string) result {
	b.t.Helper()
	return b.form(b.PublicURL()+"/oauth2/token", "dp-9001", secret, append([]string{"grant_type", "client_credentials"}, pairs...)...)
}

// active asks introspection.
func (b *bundle) active(token string) bool {
	b.t.Helper()
	active, _ := b.form(b.AdminURL()+"/admin/oauth2/introspect", "", "", "token", token).want(200).get("active").(bool)
	return active
}

// opens checks a secret at the token endpoint and with both probes.
func (b *bundle) opens(secret string, want bool) {
	b.t.Helper()
	status := 401
	if want {
		status = 200
	}
	probe, _ := b.Probe(secret)
	probeClient, _ := b.ProbeClient("dp-9001", secret)
	if got := b.token(secret).Status; got != status || probe != status || probeClient != status {
		b.t.Errorf("token endpoint %d, probes %d and %d, want %d", got, probe, probeClient, status)
	}
}

func (b *bundle) setSecret(secret string) result {
	b.t.Helper()
	return b.call("PATCH", client, []object{{"op": "replace", "path": "/client_secret", "value": secret}})
}

type rawKey = json.RawMessage

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

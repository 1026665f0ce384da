package keycloaktest_test

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

	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	oldSecret = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	newSecret = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"

	sampleID = "0d6f1b2a-7777-4888-8999-0000aaaabbbb"
	client   = "/clients/" + sampleID
	secret   = client + "/client-secret"
	rotated  = secret + "/rotated"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

type bundle struct {
	*keycloaktest.Server
	t     *testing.T
	token string // of the admin client
}

// start runs a simulator whose clock stands still at january.
func start(t *testing.T, opts keycloaktest.Options) *bundle {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = partnertest.NewFrozenClock(january)
	}
	srv, err := keycloaktest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	b := &bundle{Server: srv, t: t}
	b.authenticate()
	return b
}

// authenticate asks for a token of the admin client.
func (b *bundle) authenticate() {
	b.t.Helper()
	b.token = b.ask(b.AdminClient(), b.AdminSecret()).want(200).str("access_token")
}

type object map[string]any

// result is an answer; get walks its JSON with a path like "0.clientId".
type result struct {
	t      *testing.T
	Status int
	Header http.Header
	Text   string
}

func (r result) get(path ...string) any {
	r.t.Helper()
	var at any
	if err := json.Unmarshal([]byte(r.Text), &at); err != nil {
		r.t.Fatalf("%d %q: %v", r.Status, r.Text, err)
	}
	for _, name := range path {
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
	text, _ := r.get(strings.Split(path, ".")...).(string)
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
	if diff := cmp.Diff(want, r.get(strings.Split(path, ".")...)); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	return r
}

// body compares the whole JSON answer, and that it says so.
func (r result) body(want string) result {
	r.t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		r.t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, r.get()); diff != "" {
		r.t.Errorf("body (-want +got):\n%s", diff)
	}
	if media := r.Header.Get("Content-Type"); !strings.HasPrefix(media, "application/json") {
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

// call speaks to the realm's admin API.
func (b *bundle) call(method, path string, body any) result {
	b.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + b.token}}
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

// dp9001 is the client of the samples.
func dp9001() object {
	return object{
		"id": sampleID, "clientId": "dp-9001", "name": "Commune de Valfleury", "enabled": true, "protocol": "openid-connect",
		"publicClient": false, "serviceAccountsEnabled": true, "standardFlowEnabled": false, "secret": oldSecret,
		"attributes": object{"hub_ref": "dp-9001"}, "optionalClientScopes": []string{"dgfip", "cnaf"},
	}
}

func (b *bundle) create() {
	b.t.Helper()
	b.call("POST", "/clients", dp9001()).want(201)
}

func (b *bundle) form(path string, pairs ...string) result {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return b.send("POST", b.Issuer()+"/protocol/openid-connect"+path, header, values.Encode())
}

// ask asks for a token.
func (b *bundle) ask(clientID, secret string, pairs ...string) result {
	b.t.Helper()
	all := append([]string{"grant_type", "client_credentials", "client_id", clientID, "client_secret", secret}, pairs...)
	return b.form("/token", all...)
}

// opens checks a secret at the token endpoint and with both probes.
func (b *bundle) opens(secret string, want bool) {
	b.t.Helper()
	status := 401
	if want {
		status = 200
	}
	got := b.ask("dp-9001", secret).Status
	probe, _ := b.Probe(secret)
	probeClient, _ := b.ProbeClient("dp-9001", secret)
	if got != status || probe != status || probeClient != status {
		b.t.Errorf("token endpoint %d, probes %d and %d, want %d", got, probe, probeClient, status)
	}
}

func (b *bundle) active(token string) bool {
	b.t.Helper()
	answer := b.form("/token/introspect", "client_id", b.AdminClient(), "client_secret", b.AdminSecret(), "token", token).want(200)
	active, _ := answer.get("active").(bool)
	return active
}

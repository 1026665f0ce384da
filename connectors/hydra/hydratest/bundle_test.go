package hydratest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

const (
	oldSecret = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	newSecret = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"
	api       = "https://api.example.test"
	client    = "/admin/clients/dp-9001"
	rotate    = client + "/secrets/rotate"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

type object = answer.Object

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

// call speaks JSON to the admin API.
func (b *bundle) call(method, path string, body any) answer.Answer {
	b.t.Helper()
	header := http.Header{"Accept": {"application/json"}}
	return answer.ToJSON(b.t, method, b.AdminURL()+path, header, body)
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
	}).Want(201)
}

func (b *bundle) form(address, id, secret string, pairs ...string) answer.Answer {
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
	return answer.To(b.t, "POST", address, req.Header, values.Encode())
}

// token asks for one with the audience that the client is allowed.
func (b *bundle) token(secret string, pairs ...string) answer.Answer {
	b.t.Helper()
	return b.form(b.PublicURL()+"/oauth2/token", "dp-9001", secret, append([]string{"grant_type", "client_credentials"}, pairs...)...)
}

// active asks introspection.
func (b *bundle) active(token string) bool {
	b.t.Helper()
	active, _ := b.form(b.AdminURL()+"/admin/oauth2/introspect", "", "", "token", token).Want(200).Get("active").(bool)
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

func (b *bundle) setSecret(secret string) answer.Answer {
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

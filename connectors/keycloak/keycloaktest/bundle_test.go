package keycloaktest_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
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

type object = answer.Object

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
	b.token = b.ask(b.AdminClient(), b.AdminSecret()).Want(200).Str("access_token")
}

// call speaks to the realm's admin API.
func (b *bundle) call(method, path string, body any) answer.Answer {
	b.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + b.token}}
	return answer.ToJSON(b.t, method, b.AdminURL()+path, header, body)
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
	b.call("POST", "/clients", dp9001()).Want(201)
}

func (b *bundle) form(path string, pairs ...string) answer.Answer {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return answer.To(b.t, "POST", b.Issuer()+"/protocol/openid-connect"+path, header, values.Encode())
}

// ask asks for a token.
func (b *bundle) ask(clientID, secret string, pairs ...string) answer.Answer {
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
	reply := b.form("/token/introspect", "client_id", b.AdminClient(), "client_secret", b.AdminSecret(), "token", token).Want(200)
	active, _ := reply.Get("active").(bool)
	return active
}

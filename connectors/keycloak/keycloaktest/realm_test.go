package keycloaktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// published looks a key up in the realm's key set.
type published struct{ *bundle }

func (p published) Key(_ context.Context, kid string) (jose.PublicKey, error) {
	var doc struct{ Keys []json.RawMessage }
	text := answer.To(p.t, "GET", p.Issuer()+"/protocol/openid-connect/certs", nil, "").Want(200).Text
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		p.t.Fatal(err)
	}
	for _, key := range doc.Keys {
		if public, err := jose.ParsePublicKey(key); err == nil && public.KID() == kid {
			return public, nil
		}
	}
	return jose.PublicKey{}, jose.ErrUnknownKey
}

func (b *bundle) verify(token string) (jose.Claims, error) {
	b.t.Helper()
	return jose.Verifier{
		Issuer: b.Issuer(), Audience: "account", Algs: []jose.Alg{jose.RS256}, Keys: published{b}, Now: b.Now,
	}.Verify(b.t.Context(), token)
}

func TestTokensAreSignedWithRS256AndVerifiedByTheRealmsKeys(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	reply := b.ask("dp-9001", oldSecret, "scope", "dgfip").Want(200)
	reply.Is("token_type", "Bearer").Is("expires_in", 300.0).Is("refresh_expires_in", 0.0).Is("scope", "dgfip").Is("not-before-policy", 0.0)
	claims, err := b.verify(reply.Str("access_token"))
	if err != nil {
		t.Fatal(err)
	}
	if claims.ClientID != "dp-9001" || claims.AuthorizedParty != "dp-9001" || claims.Scope != "dgfip" ||
		!claims.ExpiresAt.Equal(january.Add(5*time.Minute)) || claims.Subject == "" {
		t.Errorf("client %s, azp %s, scope %s, exp %s", claims.ClientID, claims.AuthorizedParty, claims.Scope, claims.ExpiresAt)
	}
	discovery := answer.To(b.t, "GET", b.Issuer()+"/.well-known/openid-configuration", nil, "").Want(200)
	discovery.Is("issuer", b.Issuer()).Is("token_endpoint", b.TokenURL())
	answer.To(b.t, "GET", b.Issuer(), nil, "").Want(200).Is("realm", "agents")
}

func TestAStolenTokenLivesUntilItsEnd(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	token := b.ask("dp-9001", oldSecret).Want(200).Str("access_token")
	b.call("POST", secret, nil).Want(200)
	b.call("POST", client+"/push-revocation", nil).Want(200)
	if !b.active(token) {
		t.Error("a new secret or push-revocation ended it")
	}
	b.call("DELETE", client, nil).Want(204)
	if _, err := b.verify(token); err != nil {
		t.Errorf("no more believed: %v", err)
	}
	b.Advance(5*time.Minute - time.Second)
	if status, _ := b.ProbeToken(token); status != 200 {
		t.Errorf("before its end: %d", status)
	}
	b.Advance(time.Second)
	if status, _ := b.ProbeToken(token); status != 401 {
		t.Errorf("at its end: %d", status)
	}
	if _, err := b.verify(token); err == nil {
		t.Error("believed at its end")
	}
}

func TestTheTokenEndpointRefusesInItsOwnWords(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	ours := []string{"client_id", "dp-9001", "client_secret", oldSecret}
	for _, tt := range []struct {
		name   string
		form   []string
		status int
		code   string
	}{
		{"an unknown client", []string{"grant_type", "client_credentials", "client_id", "nope", "client_secret", "x"}, 401, "invalid_client"},
		{"a wrong secret", []string{"grant_type", "client_credentials", "client_id", "dp-9001", "client_secret", "x"}, 401, "unauthorized_client"},
		{"no secret", []string{"grant_type", "client_credentials", "client_id", "dp-9001"}, 401, "unauthorized_client"},
		{"no client", []string{"grant_type", "client_credentials"}, 400, "invalid_client"},
		{"no grant", ours, 400, "invalid_request"},
		{"another grant", append([]string{"grant_type", "weird"}, ours...), 400, "unsupported_grant_type"},
		{"an unknown scope", append([]string{"grant_type", "client_credentials", "scope", "nope"}, ours...), 400, "invalid_scope"},
	} {
		t.Run(tt.name, func(t *testing.T) { b.form("/token", tt.form...).Want(tt.status).Is("error", tt.code) })
	}
	answer.To(b.t, "GET", b.TokenURL(), nil, "").Want(405)
}

func TestAClientMayUseBasic(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.TokenURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("dp-9001", oldSecret)
	answer.To(b.t, "POST", b.TokenURL(), req.Header, "grant_type=client_credentials").Want(200)
}

func TestATokenIsIntrospectedAndRevoked(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	token := b.ask("dp-9001", oldSecret, "scope", "dgfip").Want(200).Str("access_token")
	credentials := []string{"client_id", "dp-9001", "client_secret", oldSecret}
	admin := []string{"client_id", b.AdminClient(), "client_secret", b.AdminSecret(), "token", token}
	b.form("/token/introspect", append(credentials, "token", token)...).Want(200).Is("active", true).Is("scope", "dgfip").Is("client_id", "dp-9001")
	b.form("/token/introspect", append(credentials, "token", "nope")...).Want(200).Body(`{"active":false}`)
	b.form("/token/introspect", credentials...).Want(400)
	b.form("/token/introspect", "token", token).Want(400).Is("error", "invalid_client")
	b.form("/revoke", admin...).Want(200) // another client's: nothing happens
	if !b.active(token) {
		t.Error("another client ended it")
	}
	b.form("/revoke", credentials...).Want(400)
	b.form("/revoke", "client_id", "dp-9001", "client_secret", "x", "token", token).Want(401)
	b.form("/revoke", append(credentials, "token", token)...).Want(200)
	if b.active(token) {
		t.Error("active after its revocation")
	}
	if status, _ := b.ProbeToken(token); status != 200 {
		t.Errorf("an offline check sees the revocation: %d", status)
	}
}

func TestAClientMayHaveATokenLifeOfItsOwn(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	b.call("PUT", client, object{"attributes": object{"access.token.lifespan": "30"}}).Want(204)
	b.ask("dp-9001", oldSecret).Want(200).Is("expires_in", 30.0)
}

func TestTheTokenEndpointLearnsChangesAfterThePropagationDelay(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{PropagationDelay: 5 * time.Second})
	b.create()
	b.opens(oldSecret, false)
	b.Advance(5 * time.Second)
	b.opens(oldSecret, true)
	b.call("DELETE", client, nil).Want(204)
	b.opens(oldSecret, true)
	b.Advance(5 * time.Second)
	b.opens(oldSecret, false)
	b.SetPropagationDelay(0)
	b.create()
	b.opens(oldSecret, true)
}

func TestAResetBringsBackTheSeed(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{PropagationDelay: time.Hour})
	seed := b.Snapshot()
	b.create()
	b.SetRotation(&keycloaktest.RotationPolicy{})
	b.SetAdminSecret("another-secret")
	b.Reset()
	if diff := cmp.Diff(seed, b.Snapshot()); diff != "" {
		t.Error(diff)
	}
	b.call("GET", "/clients", nil).Want(401)
	b.authenticate()
	b.call("GET", client, nil).Want(404)
}

func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{
		Clock: partnertest.NewClock(), PropagationDelay: time.Microsecond, AdminTokenLifespan: time.Hour,
		Rotation: &keycloaktest.RotationPolicy{},
	})
	var clients sync.WaitGroup
	for n := range 6 {
		clients.Go(func() {
			id := fmt.Sprintf("dp-%d", n)
			for range 4 {
				b.call("POST", "/clients", object{
					"id": id, "clientId": id, "secret": id + "-secret", "serviceAccountsEnabled": true, "attributes": object{"hub_ref": id},
				}).Want(201)
				b.ask(id, id+"-secret")
				b.call("POST", "/clients/"+id+"/client-secret", nil).Want(200)
				b.call("PUT", "/clients/"+id, object{"name": id}).Want(204)
				b.call("GET", "/clients?q=hub_ref:"+id, nil).Want(200)
				b.Snapshot()
				b.Probe(id + "-secret")
				b.call("DELETE", "/clients/"+id, nil).Want(204)
			}
		})
	}
	clients.Wait()
	if counts := b.Counts(); counts != (keycloaktest.Counts{}) {
		t.Errorf("%+v", counts)
	}
}

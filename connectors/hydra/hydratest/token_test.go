package hydratest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// verify believes a token with the published key set alone.
func (b *bundle) verify(token string) (jose.Claims, error) {
	b.t.Helper()
	keys := fetched{b}
	return jose.Verifier{
		Issuer: b.Issuer(), Audience: api, Algs: []jose.Alg{jose.RS256}, Keys: keys, Now: b.Now,
	}.Verify(b.t.Context(), token)
}

// fetched looks a key up in the key set, as it is now.
type fetched struct{ *bundle }

func (f fetched) Key(_ context.Context, kid string) (jose.PublicKey, error) {
	set := answer.To(f.t, "GET", f.PublicURL()+"/.well-known/jwks.json", nil, "").Want(200)
	var doc struct{ Keys []rawKey }
	unmarshal(f.t, set.Text, &doc)
	for _, key := range doc.Keys {
		if public, err := jose.ParsePublicKey(key); err == nil && public.KID() == kid {
			return public, nil
		}
	}
	return jose.PublicKey{}, jose.ErrUnknownKey
}

func TestTokensAreSignedWithRS256AndVerifiedByTheKeySet(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	reply := b.token(oldSecret, "scope", "dgfip", "audience", api).Want(200)
	reply.Is("token_type", "bearer").Is("scope", "dgfip").Is("expires_in", 3600.0)
	for name, want := range map[string]string{"Cache-Control": "no-store", "Content-Type": "application/json;charset=UTF-8"} {
		if got := reply.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	claims, err := b.verify(reply.Str("access_token"))
	if err != nil {
		t.Fatal(err)
	}
	var extra struct {
		Scopes []string       `json:"scp"`
		Extra  map[string]any `json:"ext"`
	}
	if err := claims.Decode(&extra); err != nil {
		t.Fatal(err)
	}
	if claims.Subject != "dp-9001" || claims.ClientID != "dp-9001" || claims.ID == "" ||
		!claims.ExpiresAt.Equal(january.Add(time.Hour)) || strings.Join(extra.Scopes, " ") != "dgfip" || extra.Extra == nil {
		t.Errorf("subject %s, exp %s, scp %v", claims.Subject, claims.ExpiresAt, extra.Scopes)
	}
	discovery := answer.To(b.t, "GET", b.PublicURL()+"/.well-known/openid-configuration", nil, "").Want(200)
	discovery.Is("issuer", b.Issuer()).Is("jwks_uri", b.PublicURL()+"/.well-known/jwks.json").
		Is("token_endpoint", b.PublicURL()+"/oauth2/token")
}

func TestAnOfflineCheckSeesNoRevocation(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	for _, tt := range []struct {
		name   string
		revoke func(token string)
	}{
		{"revoked by its client", func(token string) {
			b.form(b.PublicURL()+"/oauth2/revoke", "dp-9001", oldSecret, "token", token).Want(200)
		}},
		{"all tokens deleted", func(string) { b.call("DELETE", "/admin/oauth2/tokens?client_id=dp-9001", nil).Want(204) }},
		{"the client deleted", func(string) { b.call("DELETE", client, nil).Want(204) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := b.token(oldSecret, "audience", api).Want(200).Str("access_token")
			if !b.active(token) {
				t.Fatal("inactive at once")
			}
			tt.revoke(token)
			if b.active(token) {
				t.Error("still active")
			}
			if _, err := b.verify(token); err != nil {
				t.Errorf("the signature is no more believed: %v", err)
			}
			if status, _ := b.ProbeToken(token); status != 200 {
				t.Errorf("probe: %d", status)
			}
		})
	}
}

func TestAClientMadeAgainDoesNotReviveTheTokensOfTheFirst(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	token := b.token(oldSecret, "audience", api).Want(200).Str("access_token")
	b.call("DELETE", client, nil).Want(204)
	b.create()
	if b.active(token) {
		t.Error("active again")
	}
	if counts := b.Counts(); counts.Tokens != 0 {
		t.Errorf("%+v", counts)
	}
}

func TestATokenDiesAtItsEnd(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	token := b.token(oldSecret, "audience", api).Want(200).Str("access_token")
	b.Advance(time.Hour - time.Second)
	if status, _ := b.ProbeToken(token); status != 200 || !b.active(token) {
		t.Errorf("before its end: %d", status)
	}
	b.Advance(time.Second)
	if status, _ := b.ProbeToken(token); status != 401 || b.active(token) {
		t.Errorf("at its end: %d", status)
	}
}

func TestAClientWithoutStrategyGetsOpaqueTokens(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	b.call("PATCH", client, []object{{"op": "replace", "path": "/access_token_strategy", "value": "opaque"}}).Want(200)
	token := b.token(oldSecret).Want(200).Str("access_token")
	if !strings.HasPrefix(token, "ory_at_") || !b.active(token) {
		t.Errorf("token %.8s…, active %v", token, b.active(token))
	}
	if status, _ := b.ProbeToken(token); status != 401 {
		t.Errorf("an opaque token is believed offline: %d", status)
	}
}

func TestANewSigningKeyStandsBesideTheOldOne(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	before := b.token(oldSecret, "audience", api).Want(200).Str("access_token")
	b.RotateSigningKey()
	after := b.token(oldSecret, "audience", api).Want(200).Str("access_token")
	first, err := b.verify(before)
	if err != nil {
		t.Error(err)
	}
	second, err := b.verify(after)
	if err != nil || first.KID == second.KID {
		t.Errorf("%v, keys %s and %s", err, first.KID, second.KID)
	}
}

func TestThePublicSideLearnsChangesAfterThePropagationDelay(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{PropagationDelay: 5 * time.Second})
	b.create()
	b.opens(oldSecret, false)
	b.Advance(5 * time.Second)
	b.opens(oldSecret, true)
	b.setSecret(newSecret).Want(200)
	b.opens(oldSecret, true)
	b.Advance(5 * time.Second)
	b.opens(oldSecret, false)
	b.SetPropagationDelay(0)
	b.call("DELETE", client, nil).Want(204)
	b.opens(newSecret, false)
}

func TestAProbeOfASecretLooksAtEveryClientThatHadIt(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	grants := []string{"client_credentials"}
	if err := b.AddClient(hydratest.Client{ID: "another", Secret: oldSecret, GrantTypes: grants}); err != nil {
		t.Fatal(err)
	}
	b.call("DELETE", client, nil).Want(204)
	if status, _ := b.Probe(oldSecret); status != 200 {
		t.Errorf("held by another client: %d", status)
	}
	b.call("DELETE", "/admin/clients/another", nil).Want(204)
	status, body := b.Probe(oldSecret)
	if status != 401 || !strings.HasPrefix(body, `{"error":"invalid_client"`) {
		t.Errorf("held by none: %d %s", status, body)
	}
	if status, _ := b.ProbeClient("nope", oldSecret); status != 401 {
		t.Errorf("an unknown client: %d", status)
	}
}

func TestAResetBringsBackTheSeed(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	b.token(oldSecret).Want(200)
	if diff := cmp.Diff(hydratest.Counts{Clients: 1, Secrets: 1, Tokens: 1}, b.Counts()); diff != "" {
		t.Error(diff)
	}
	b.SetVersion(hydratest.VersionRotating)
	b.Reset()
	want := hydratest.Snapshot{Version: hydratest.Version230, Clients: []hydratest.Client{}}
	if diff := cmp.Diff(want, b.Snapshot()); diff != "" {
		t.Error(diff)
	}
	b.opens(oldSecret, false)
}

func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{Clock: partnertest.NewClock(), Strategy: hydratest.StrategyJWT, PropagationDelay: time.Microsecond})
	var clients sync.WaitGroup
	for n := range 6 {
		clients.Go(func() {
			id := fmt.Sprintf("dp-%d", n)
			for range 4 {
				b.call("POST", "/admin/clients", object{"client_id": id, "client_secret": id + "-secret", "grant_types": []string{"client_credentials"}}).Want(201)
				b.call("GET", "/admin/clients?owner=&page_size=2", nil).Want(200)
				reply := b.form(b.PublicURL()+"/oauth2/token", id, id+"-secret", "grant_type", "client_credentials")
				if reply.Status == http.StatusOK {
					b.active(reply.Str("access_token"))
				}
				b.Snapshot()
				b.Probe(id + "-secret")
				b.call("PUT", "/admin/clients/"+id, object{"owner": id}).Want(200)
				b.call("DELETE", "/admin/clients/"+id, nil).Want(204)
			}
		})
	}
	clients.Wait()
	if counts := b.Counts(); counts != (hydratest.Counts{}) {
		t.Errorf("%+v", counts)
	}
}

// The token endpoint takes the current secret and, in a release that rotates, at
// most the five before it since the last one of ours.
func TestTheTokenEndpointTakesExactlyTheLiveSecrets(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{Version: hydratest.VersionRotating})
	rapid.Check(t, func(rt *rapid.T) {
		b.Reset()
		b.create()
		live, dead := []string{oldSecret}, map[string]bool{}
		replace := func(secrets ...string) {
			for _, secret := range live {
				dead[secret] = true
			}
			for _, secret := range secrets {
				delete(dead, secret)
			}
			live = secrets
		}
		for i := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0, 1:
				secret := b.call("POST", rotate, nil).Want(200).Str("client_secret")
				replace(append([]string{secret}, live[:min(len(live), 5)]...)...)
			case 2:
				b.call("DELETE", rotate, nil).Want(200)
				replace(live[0])
			case 3:
				secret := fmt.Sprintf("secret-%d", i)
				b.setSecret(secret).Want(200)
				replace(secret)
			case 4:
				b.call("PUT", client, object{"grant_types": []string{"client_credentials"}}).Want(200)
			}
			for _, secret := range live {
				if status, _ := b.ProbeClient("dp-9001", secret); status != 200 {
					rt.Fatalf("a live secret: %d", status)
				}
			}
			for secret := range dead {
				if status, _ := b.ProbeClient("dp-9001", secret); status != 401 {
					rt.Fatalf("a dead secret: %d", status)
				}
			}
		}
	})
}

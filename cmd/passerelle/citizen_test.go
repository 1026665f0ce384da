package main

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/apiparticulier/apiparticuliertest"
	"github.com/passerelle-hub/passerelle/connectors/franceconnect/franceconnecttest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// The token of the one opens the other, from the settings to a family.
func TestACitizensTokenOpensHerFamilysQuotient(t *testing.T) {
	t.Parallel()
	clock := partnertest.NewFrozenClock(time.Date(2026, 10, 15, 8, 10, 0, 0, time.UTC))
	seed, err := franceconnecttest.DefaultSeed()
	if err != nil {
		t.Fatal(err)
	}
	seed.Auto = "fontanel"
	people, err := franceconnecttest.Start(franceconnecttest.Options{Clock: clock, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = people.Close() })
	families, err := apiparticuliertest.Start(apiparticuliertest.Options{Clock: clock, FranceConnect: &apiparticuliertest.FranceConnect{
		CheckTokenURL: people.CheckTokenURL(), ClientID: seed.DataProviders[0].ID, ClientSecret: seed.DataProviders[0].Secret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = families.Close() })

	h := &hub{config: config.Default(), log: zerolog.Nop(), clock: (&store.Store{}).NewClock(clock.Now)}
	if p, err := h.openIdentityProvider(); p != nil || err != nil {
		t.Errorf("without settings: %v %v", p, err)
	}
	if q, err := h.openQuotientSource(); q != nil || err != nil {
		t.Errorf("without settings: %v %v", q, err)
	}
	c := h.config
	c.Hub.PublicURL = "http://127.0.0.1:8080" // as declared at the simulator
	key := base64.StdEncoding.EncodeToString([]byte("a-sealing-key-of-a-test-32-bytes"))
	c.Sealing = config.Sealing{Active: "a", Keys: []config.SealingKey{{ID: "a", Key: connectors.NewSecret(key)}}}
	c.FranceConnect.Issuer, c.FranceConnect.ClientID = people.Issuer(), seed.Clients[0].ID
	c.FranceConnect.ClientSecrets = []connectors.Secret{connectors.NewSecret(seed.Clients[0].Secrets[0])}
	c.APIParticulier.URL = families.URL()
	if h.identity, err = h.openIdentityProvider(); err != nil {
		t.Fatal(err)
	}
	if h.quotients, err = h.openQuotientSource(); err != nil {
		t.Fatal(err)
	}

	scopes := []string{"cnaf_quotient_familial", "cnaf_enfants"}
	nonce := strings.Repeat("a1", 32)
	address, err := h.identity.Authorize(t.Context(), connectors.Authorization{State: strings.Repeat("b2", 32), Nonce: nonce, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Path != callbackPath {
		t.Fatalf("%s %v %v", resp.Status, back, err)
	}
	who, err := h.identity.Exchange(t.Context(), connectors.Callback{
		Code: connectors.NewSecret(back.Query().Get("code")), Issuer: back.Query().Get("iss"), Nonce: nonce,
	})
	if err != nil {
		t.Fatal(err)
	}
	if who.Identity.FamilyName != "FONTANEL" || len(who.SubjectHash) == 0 {
		t.Errorf("%+v", who)
	}
	question := connectors.QuotientQuestion{Token: who.Token, TokenBy: who.TokenBy, Recipient: "21040107100019", Scopes: scopes}
	got, err := h.quotients.ByFranceConnect(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	if q := got.Family.Quotient; q == nil || q.Value == nil || *q.Value != 642 || len(got.Family.Enfants) != 2 || got.Family.Allocataires != nil {
		t.Errorf("%+v", got.Family)
	}
	if calls := families.Calls("GET /v3/dss/quotient_familial/france_connect"); len(calls) != 1 || !strings.HasPrefix(calls[0].Header.Get("User-Agent"), "Passerelle/") {
		t.Errorf("%+v", calls)
	}
}

package auth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const (
	issuerURL = "https://identite.example"
	audience  = "passerelle"
	siret     = "21380999900013"
	otherTown = "21350998700011"
)

// identityProvider signs tokens and publishes its keys over HTTP.
type identityProvider struct {
	t    *testing.T
	key  jose.PrivateKey
	jwks *httptest.Server
}

// trusting gives the site an issuer of people's tokens.
func (s *site) trusting(trustEmail bool) *identityProvider {
	s.t.Helper()
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &identityProvider{t: s.t, key: key}
	public, err := key.Public().JWK()
	if err != nil {
		s.t.Fatal(err)
	}
	p.jwks = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"keys":[` + string(public) + `]}`))
	}))
	s.t.Cleanup(p.jwks.Close)
	keys, err := jose.NewRemoteKeys(jose.RemoteConfig{URL: p.jwks.URL, Client: p.jwks.Client(), Now: s.now})
	if err != nil {
		s.t.Fatal(err)
	}
	s.callers.Issuers = append(s.callers.Issuers, auth.Issuer{
		TrustEmail: trustEmail,
		Verifier: jose.Verifier{
			Issuer: issuerURL, Audience: audience, Keys: keys, Algs: []jose.Alg{jose.ES256}, Types: []string{"", "jwt", "at+jwt"},
			Required: []string{"sub", "email"}, MaxLife: 24 * time.Hour, Now: s.now,
		},
	})
	return p
}

// sign gives a token for Jeanne, with changes: nil removes a claim.
func (p *identityProvider) sign(changes map[string]any) string {
	p.t.Helper()
	claims := map[string]any{
		"iss": issuerURL, "aud": audience, "sub": "sujet-1", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"email": "Jeanne.Morvan@valbrise-sur-ormes.example", "email_verified": true, "given_name": "Jeanne", "usual_name": "Morvan", "siret": siret,
	}
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	value, err := p.key.Sign("JWT", claims)
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

func TestAPersonComesWithTheTokenOfAConfiguredIssuer(t *testing.T) {
	s := newSite(t)
	p := s.trusting(false)
	first, err := s.identify(p.sign(nil))
	if err != nil {
		t.Fatal(err)
	}
	if first.Machine() || first.Person.Email != "jeanne.morvan@valbrise-sur-ormes.example" || first.Person.FamilyName != "Morvan" ||
		first.Organization.SIRET != siret || !first.Verified || !first.Has(auth.ScopeWriteAuthorizations) {
		t.Errorf("%+v", first)
	}
	s.record(&registry.ChangeRoles{Email: first.Person.Email, Grant: []string{"dinum:*:instructor"}})
	second, err := s.identify(p.sign(map[string]any{"email": "jeanne@ailleurs.example"}))
	if err != nil {
		t.Fatal(err)
	}
	if second.Person.ID != first.Person.ID || !second.Roles.Has(habilitation.RoleInstructor, "dinum", "api_entreprise") {
		t.Errorf("the subject tells who she is, not her address of the day: %+v", second)
	}
	want := habilitation.Viewer{
		Actor: habilitation.Actor{Person: first.Person.ID, Organization: first.Organization.ID, Roles: second.Roles},
		Email: first.Person.Email, SIRET: siret, Verified: true,
	}
	if diff := cmp.Diff(want, second.Viewer()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := s.count(`select count(*) from person`); n != 1 {
		t.Errorf("%d people", n)
	}
}

func TestATokenThatIsNotBelievedGivesNobody(t *testing.T) {
	s := newSite(t)
	p := s.trusting(false)
	stranger := &identityProvider{t: t}
	var err error
	if stranger.key, err = jose.GenerateKey(jose.ES256); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token string
		want  auth.Reason
	}{
		"expired":                           {p.sign(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), auth.Expired},
		"of another issuer":                 {p.sign(map[string]any{"iss": "https://autre.example"}), auth.Unknown},
		"for another audience":              {p.sign(map[string]any{"aud": "autre"}), auth.Unknown},
		"signed by a stranger":              {stranger.sign(nil), auth.Unknown},
		"without a subject":                 {p.sign(map[string]any{"sub": nil}), auth.Unknown},
		"without an address":                {p.sign(map[string]any{"email": nil}), auth.Unknown},
		"with what is no address":           {p.sign(map[string]any{"email": "jeanne"}), auth.Unknown},
		"with an address of the wrong type": {p.sign(map[string]any{"email": 3}), auth.Unknown},
		"that lives a year":                 {p.sign(map[string]any{"exp": time.Now().AddDate(1, 0, 0).Unix()}), auth.Unknown},
		"not valid yet":                     {p.sign(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), auth.Unknown},
		"with an address nobody verified":   {p.sign(map[string]any{"email_verified": false}), auth.Unverified},
		"that says nothing of its address":  {p.sign(map[string]any{"email_verified": nil}), auth.Unverified},
		"with a SIRET that is none":         {p.sign(map[string]any{"siret": "12345678901234"}), auth.OtherOrganization},
		"unsigned":                          {"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", auth.Unknown},
	} {
		if _, err := s.identify(c.token); !denied(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if n := s.count(`select count(*) from person`); n != 0 {
		t.Errorf("%d people were made", n)
	}
}

func TestAnIssuerThatVerifiesEveryAddressNeedNotSaySo(t *testing.T) {
	s := newSite(t)
	p := s.trusting(true)
	if _, err := s.identify(p.sign(map[string]any{"email_verified": nil})); err != nil {
		t.Error(err)
	}
	if _, err := s.identify(p.sign(map[string]any{"email_verified": false, "sub": "autre"})); !denied(err, auth.Unverified) {
		t.Errorf("it says that the address is not verified: %v", err)
	}
}

func TestAReusedAddressDoesNotInheritRoles(t *testing.T) {
	s := newSite(t)
	p := s.trusting(false)
	s.person("jeanne.morvan@valbrise-sur-ormes.example", "dinum:*:manager")
	first, err := s.identify(p.sign(nil))
	if err != nil || !first.Roles.Has(habilitation.RoleManager, "dinum", "api_entreprise") {
		t.Fatalf("%+v %v", first, err)
	}
	if _, err := s.identify(p.sign(map[string]any{"sub": "sujet-2"})); !denied(err, auth.OtherSubject) {
		t.Errorf("another account took her place: %v", err)
	}
	s.record(&registry.ForgetIdentity{PersonID: first.Person.ID})
	second, err := s.identify(p.sign(map[string]any{"sub": "sujet-2"}))
	if err != nil || second.Person.ID != first.Person.ID {
		t.Errorf("%+v %v", second, err)
	}
}

func TestAPersonActsForOneOfHerOrganisations(t *testing.T) {
	s := newSite(t)
	p := s.trusting(false)
	jeanne, err := s.identify(p.sign(nil))
	if err != nil {
		t.Fatal(err)
	}
	err = s.store.InTx(t.Context(), func(tx *store.Tx) error {
		o, err := tx.EnsureOrganization(t.Context(), otherTown)
		if err != nil {
			return err
		}
		return tx.Link(t.Context(), jeanne.Person.ID, o.ID, false)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		claim    any
		header   string
		siret    string
		verified bool
		denied   auth.Reason
	}{
		"the one her token names":      {siret, "", siret, true, ""},
		"none, when she has several":   {nil, "", "", false, ""},
		"the one she chooses":          {nil, otherTown, otherTown, false, ""},
		"her choice over the token's":  {siret, otherTown, otherTown, false, ""},
		"not one that is not hers":     {siret, "13002526500013", "", false, auth.OtherOrganization},
		"verified by the token's word": {otherTown, "", otherTown, true, ""},
	} {
		if name == "verified by the token's word" {
			continue // last: it changes the link
		}
		caller, err := s.identify(p.sign(map[string]any{"siret": c.claim}), auth.OrganizationHeader, c.header)
		if c.denied != "" {
			if !denied(err, c.denied) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || caller.Organization.SIRET != c.siret || caller.Verified != c.verified {
			t.Errorf("%s: %+v %v", name, caller.Organization, err)
		}
	}
	caller, err := s.identify(p.sign(map[string]any{"siret": otherTown}))
	if err != nil || caller.Organization.SIRET != otherTown || !caller.Verified {
		t.Errorf("the issuer's word verifies the link: %+v %v", caller, err)
	}
}

func TestAnIssuerWhoseKeysCannotBeReadIsOurFault(t *testing.T) {
	s := newSite(t)
	p := s.trusting(false)
	p.jwks.Close()
	_, err := s.identify(p.sign(nil))
	if problem := auth.Translate(err); problem == nil || problem.Status != http.StatusServiceUnavailable {
		t.Errorf("%v: %v", err, problem)
	}
}

// RFC 6750, 3.1: no error code where no token was given.
func TestAChallengeSaysWhetherAValueWasThere(t *testing.T) {
	missing, unknown := &auth.Denial{Reason: auth.Missing}, &auth.Denial{Reason: auth.Unknown}
	if got := missing.Challenge(); strings.Contains(got, "error") {
		t.Error(got)
	}
	if got := unknown.Challenge(); !strings.Contains(got, `error="invalid_token"`) {
		t.Error(got)
	}
	if missing.Detail() != unknown.Detail() || missing.Problem().Detail == unknown.Problem().Detail {
		t.Error("DataPass's API says the same of both, the hub's own does not")
	}
}

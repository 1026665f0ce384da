package auth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Issuer vouches for people.
type Issuer struct {
	Verifier jose.Verifier
	// TrustEmail: it verifies every address and sends no email_verified.
	TrustEmail bool
}

// OrganizationHeader chooses, by SIRET, the organisation for which a person
// acts, among his own. Without it: the one that the issuer names, else his only
// one.
const OrganizationHeader = "X-Organization"

// personClaims are ProConnect's and OpenID Connect's (Core, 5.1).
type personClaims struct {
	Email         string          `json:"email"`
	EmailVerified json.RawMessage `json:"email_verified"` // a boolean; some issuers write it as text
	GivenName     string          `json:"given_name"`
	FamilyName    string          `json:"family_name"`
	UsualName     string          `json:"usual_name"` // ProConnect's family name
	PhoneNumber   string          `json:"phone_number"`
	SIRET         string          `json:"siret"` // ProConnect: the organisation chosen at sign-in
}

// person gives whom a JWT of an issuer speaks of.
func (a *Authenticator) person(r *http.Request, value string) (Caller, error) {
	b, err := a.believe(r, value)
	if err != nil {
		return Caller{}, err
	}
	c := b.claims
	person, memberships, err := a.recognise(r, b.issuer, b.subject, c)
	if err != nil {
		return Caller{}, err
	}
	caller := Caller{Person: person}
	caller.Roles, _ = habilitation.ParseRoles(person.Roles)
	current, err := currentOrganization(memberships, r.Header.Get(OrganizationHeader), c.SIRET)
	caller.Organization, caller.Verified = current.Organization, current.Verified
	return caller, err
}

// belief is what a token said of a person when its signature was verified.
type belief struct {
	issuer, subject string
	claims          personClaims
	expired         func() bool
}

// believe verifies a token, or knows it from a moment ago.
func (a *Authenticator) believe(r *http.Request, value string) (belief, error) {
	key, at := fingerprintOf(value), time.Now()
	if b, known := a.beliefs.get(key, 0); known && !b.expired() {
		return b, nil
	}
	issuer, claims, err := a.verify(r, value)
	if err != nil {
		return belief{}, err
	}
	var c personClaims
	if err := claims.Decode(&c); err != nil || !strings.Contains(c.Email, "@") {
		return belief{}, &Denial{Reason: Unknown}
	}
	if verified := string(c.EmailVerified); verified != "true" && verified != `"true"` && (verified != "" || !issuer.TrustEmail) {
		return belief{}, &Denial{Reason: Unverified}
	}
	b := belief{issuer.Verifier.Issuer, claims.Subject, c, func() bool { return issuer.Verifier.Expired(claims) }}
	a.beliefs.put(key, b, at, beliefFor, 0)
	return b, nil
}

// verify finds the issuer that signed a token.
func (a *Authenticator) verify(r *http.Request, value string) (Issuer, jose.Claims, error) {
	reason := Unknown
	var unavailable error
	for _, issuer := range a.Issuers {
		claims, err := issuer.Verifier.Verify(r.Context(), value)
		switch {
		case err == nil:
			return issuer, claims, nil
		case errors.Is(err, jose.ErrKeysUnavailable), errors.Is(err, jose.ErrConfig):
			unavailable = err
		case errors.Is(err, jose.ErrExpired):
			reason = Expired
		}
	}
	if unavailable != nil && reason == Unknown {
		return Issuer{}, jose.Claims{}, unavailable // it may be good: it cannot be said now
	}
	return Issuer{}, jose.Claims{}, &Denial{Reason: reason}
}

// knownPerson is a native person with his organisations.
type knownPerson struct {
	person      store.Person
	memberships []store.Membership
}

// recognise reads the person and his organisations; what the issuer says for
// the first time is written.
func (a *Authenticator) recognise(r *http.Request, issuer, subject string, c personClaims) (store.Person, []store.Membership, error) {
	ctx := r.Context()
	key, at, rights := fingerprintOf(issuer, subject, c.SIRET), time.Now(), a.Store.Rights()
	if k, known := a.people.get(key, rights); known {
		return k.person, k.memberships, nil
	}
	person, memberships, err := a.Store.PersonByIdentity(ctx, issuer, subject)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return person, nil, err
	}
	if err == nil && (c.SIRET == "" || memberOf(memberships, c.SIRET).Verified) {
		a.people.put(key, knownPerson{person, memberships}, at, rightsFor, rights)
		return person, memberships, nil
	}
	cmd := &registry.Recognise{Issuer: issuer, Subject: subject, SIRET: c.SIRET, Applicant: habilitation.Applicant{
		Email: c.Email, GivenName: c.GivenName, FamilyName: firstOf(c.UsualName, c.FamilyName), PhoneNumber: c.PhoneNumber,
	}}
	var refusal *habilitation.Refusal
	switch err := a.Registry.Record(ctx, cmd); {
	case errors.Is(err, store.ErrOtherSubject):
		return person, nil, &Denial{Reason: OtherSubject}
	case errors.As(err, &refusal):
		return person, nil, &Denial{Reason: OtherOrganization}
	case err != nil:
		return person, nil, err
	}
	memberships, err = a.Store.Memberships(ctx, cmd.Person.ID)
	return cmd.Person, memberships, err
}

// currentOrganization is the one chosen, else the one named, else the only one.
func currentOrganization(memberships []store.Membership, chosen, named string) (store.Membership, error) {
	if chosen != "" {
		m := memberOf(memberships, chosen)
		if m.Organization.ID == 0 {
			return m, &Denial{Reason: OtherOrganization}
		}
		return m, nil
	}
	if named != "" {
		return memberOf(memberships, named), nil
	}
	if len(memberships) == 1 {
		return memberships[0], nil
	}
	return store.Membership{}, nil
}

func memberOf(memberships []store.Membership, siret string) store.Membership {
	for _, m := range memberships {
		if m.Organization.SIRET == siret {
			return m
		}
	}
	return store.Membership{}
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

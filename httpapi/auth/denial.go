package auth

import (
	"errors"
	"net/http"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Reason says why a caller is not let through. Codes are stable.
type Reason string

const (
	// Missing: no token.
	Missing Reason = "missing"
	// Unknown: a value that nobody gave out. DataPass says of it that none is there.
	Unknown Reason = "unknown"
	// Expired: a token of ours, or of an issuer, whose time is over.
	Expired Reason = "expired"
	// Revoked: the token, or its application, was ended.
	Revoked Reason = "revoked"
	// OtherEnvironment: a sound value of a hub of the other environment (tokens.md, 7.2).
	OtherEnvironment Reason = "other_environment"
	// ScopeMissing: the token is good, without the scope.
	ScopeMissing Reason = "scope_missing"
	// Unverified: the issuer does not vouch for the person's address.
	Unverified Reason = "unverified_address"
	// OtherSubject: the address belongs to another account of the issuer.
	OtherSubject Reason = "other_subject"
	// OtherOrganization: the person is no member of the organisation he chose.
	OtherOrganization Reason = "other_organization"
)

// Denial is why a caller is not let through. Other errors of this package say
// nothing of him: they are ours.
type Denial struct {
	Reason Reason
	Scope  string // of ScopeMissing
}

func (d *Denial) Error() string {
	if d.Scope != "" {
		return "denied: " + string(d.Reason) + ": " + d.Scope
	}
	return "denied: " + string(d.Reason)
}

// Status is 401 where another token could do, 403 where it could not.
func (d *Denial) Status() int {
	switch d.Reason {
	case ScopeMissing, Unverified, OtherSubject, OtherOrganization:
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

// Detail says it in French.
func (d *Denial) Detail() string {
	switch d.Reason {
	case Expired:
		return "Le jeton d’accès a expiré. Veuillez en obtenir un nouveau."
	case Revoked:
		return "Le jeton d’accès a été révoqué. Veuillez en obtenir un nouveau."
	case OtherEnvironment:
		return "Le jeton est celui d’un autre environnement."
	case ScopeMissing:
		return "Le jeton d’accès n’a pas le droit « " + d.Scope + " »."
	case Unverified:
		return "Votre fournisseur d’identité ne garantit pas votre adresse e-mail."
	case OtherSubject:
		return "Cette adresse e-mail est liée à un autre compte de votre fournisseur d’identité."
	case OtherOrganization:
		return "Vous n’appartenez pas à l’organisation demandée."
	default:
		return "Un jeton d'accès est requis mais absent dans les en-têtes de la requête."
	}
}

// Challenge is the value of WWW-Authenticate (RFC 6750, 3), "" for none.
func (d *Denial) Challenge() string {
	const realm = `Bearer realm="passerelle"`
	switch {
	case d.Reason == Missing:
		return realm
	case d.Reason == ScopeMissing:
		return realm + `, error="insufficient_scope", scope="` + d.Scope + `"`
	case d.Status() == http.StatusUnauthorized:
		return realm + `, error="invalid_token"`
	}
	return ""
}

// Problem is the denial as a problem document.
func (d *Denial) Problem() *problem.Problem {
	if d.Status() == http.StatusForbidden {
		return problem.New(http.StatusForbidden, string(d.Reason), "Accès refusé", d.Detail())
	}
	detail := d.Detail()
	if d.Reason == Unknown {
		detail = "Le jeton d’accès n’est pas reconnu : il est incomplet, modifié, ou personne ici ne l’a donné."
	}
	return problem.New(http.StatusUnauthorized, "identification", "Identification requise", detail)
}

// Translate gives the problem of an error of this package, nil for what it does
// not know.
func Translate(err error) *problem.Problem {
	var denial *Denial
	var tooMany *TooManyError
	switch {
	case errors.As(err, &denial):
		return denial.Problem()
	case errors.As(err, &tooMany):
		return problem.TooMany()
	case store.Unavailable(err), errors.Is(err, jose.ErrKeysUnavailable):
		return problem.Unavailable()
	}
	return nil
}

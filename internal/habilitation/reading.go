package habilitation

import "strings"

// Access is how much of a request a person may read.
type Access string

const (
	AccessNone    Access = "none"
	AccessSummary Access = "summary" // of the request or habilitation that names him as a contact
	AccessFull    Access = "full"
)

// Viewer is who reads.
type Viewer struct {
	Actor
	Email    string // lower case
	SIRET    string // of his current organisation
	Verified bool   // his link with his current organisation is verified
}

// AccessTo says what a person may read of a request (datapass.md, 6): all of
// his own and, with a verified link, of his organisation's; all of a definition
// with a role; a summary where he is a contact. provider is the slug of the
// request's definition.
func (v Viewer) AccessTo(r Request, provider string) Access {
	member, own := v.relation(r)
	switch {
	case v.System, member && (own || v.Verified), v.Roles.Allow(ReadRequests, provider, r.Definition):
		return AccessFull
	case isContact(r.Data, v.Email):
		return AccessSummary
	}
	for _, h := range r.Habilitations {
		if isContact(h.Data, v.Email) {
			return AccessSummary
		}
	}
	return AccessNone
}

// relation says whether the organisation and the applicant are the viewer's. A
// mirrored request carries its source's ids: there the SIRET and the address tell.
func (v Viewer) relation(r Request) (member, own bool) {
	if r.Origin == Mirrored {
		return v.SIRET != "" && v.SIRET == r.Organization.SIRET, v.Email != "" && strings.EqualFold(v.Email, r.Applicant.Email)
	}
	return v.Organization != 0 && v.Organization == r.Organization.ID, v.Person != 0 && v.Person == r.Applicant.ID
}

func isContact(data Data, email string) bool {
	if email == "" {
		return false
	}
	for key, value := range data {
		if strings.HasSuffix(key, contactEmailSuffix) && strings.EqualFold(value, email) {
			return true
		}
	}
	return false
}

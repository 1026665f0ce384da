package habilitation

import (
	"slices"
	"strings"
)

// KeyAction is something done to a key by a person or an application.
type KeyAction string

const (
	KeyRotate   KeyAction = "rotate"
	KeyProlong  KeyAction = "prolong"
	KeyRevoke   KeyAction = "revoke"
	KeyRestrict KeyAction = "restrict" // to addresses
)

// PartyKeyContact is who a request names as its technical or business contact.
const PartyKeyContact Party = "key_contact"

// keyRights says who may do what to a key. Prolonging is the holder's: who
// provides the data cannot say that it is still needed.
var keyRights = map[KeyAction][]Party{
	KeyRotate:   {PartyApplicant, PartyKeyContact, PartyInstructor, PartyDeveloper},
	KeyProlong:  {PartyApplicant, PartyKeyContact},
	KeyRevoke:   {PartyApplicant, PartyKeyContact, PartyInstructor, PartyDeveloper},
	KeyRestrict: {PartyApplicant, PartyKeyContact, PartyInstructor, PartyDeveloper},
}

// KeyContacts are the answers with the addresses of those whom a key's life
// concerns, besides the applicant.
func KeyContacts() []string { return []string{"contact_technique_email", "contact_metier_email"} }

// MayKey reports whether the viewer may do something to a key of a definition
// that a request opened.
func (v Viewer) MayKey(action KeyAction, r Request, provider, definition string) bool {
	for _, party := range keyRights[action] {
		switch party {
		case PartyApplicant:
			if member, own := v.relation(r); member && own {
				return true
			}
		case PartyKeyContact:
			if v.Email != "" && slices.ContainsFunc(KeyContacts(), func(key string) bool { return strings.EqualFold(r.Data[key], v.Email) }) {
				return true
			}
		case PartyInstructor:
			if v.Roles.Has(RoleInstructor, provider, definition) {
				return true
			}
		case PartyDeveloper:
			if v.Roles.Has(RoleDeveloper, provider, definition) {
				return true
			}
		}
	}
	return false
}

// The steps of a key's way to its manager, and of its end there, in their order.
const (
	StepPrepare       = "prepare" // the secret is made and sealed, before anything is called
	StepSubject       = "subject"
	StepGrants        = "grants"
	StepIssue         = "issue"
	StepVerify        = "verify"  // an independent read shows the key live
	StepProlong       = "prolong" // a later end
	StepRevoke        = "revoke"
	StepVerifyRevoked = "verify_revoked"
)

// ProvisioningSteps are those of every new key.
func ProvisioningSteps() []string {
	return []string{StepPrepare, StepSubject, StepGrants, StepIssue, StepVerify}
}

// EndSteps are those of every end.
func EndSteps() []string { return []string{StepRevoke, StepVerifyRevoked} }

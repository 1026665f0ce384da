package habilitation

import (
	"slices"
	"strings"
)

// RoleKind is what a role makes of a person.
type RoleKind string

const (
	RoleReporter   RoleKind = "reporter"
	RoleInstructor RoleKind = "instructor"
	RoleManager    RoleKind = "manager"
	RoleDeveloper  RoleKind = "developer"
	AdminRole               = "admin"
)

// AnyDefinition is a role's definition when it holds for all of a provider's.
const AnyDefinition = "*"

// Role is one right of a person: "dinum:api_entreprise:instructor".
type Role struct {
	Provider   string // slug
	Definition string // uid or AnyDefinition
	Kind       RoleKind
}

// String is the role as DataPass stores it.
func (r Role) String() string { return r.Provider + ":" + r.Definition + ":" + string(r.Kind) }

func (r Role) covers(provider, definition string) bool {
	return r.Provider == provider && (r.Definition == AnyDefinition || r.Definition == definition)
}

// Roles are all the rights of a person (datapass.md, 6).
type Roles struct {
	Admin bool
	List  []Role
}

// ParseRoles reads stored roles. What is neither "admin" nor
// "<provider>:<definition or *>:<role>", such as DataPass's older two-part
// roles, gives no right and comes back in ignored.
func ParseRoles(stored []string) (roles Roles, ignored []string) {
	for _, s := range stored {
		if s == AdminRole {
			roles.Admin = true
			continue
		}
		role, ok := parseRole(s)
		if !ok {
			ignored = append(ignored, s)
			continue
		}
		if !slices.Contains(roles.List, role) {
			roles.List = append(roles.List, role)
		}
	}
	return roles, ignored
}

func parseRole(s string) (Role, bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return Role{}, false
	}
	role := Role{Provider: parts[0], Definition: parts[1], Kind: RoleKind(parts[2])}
	_, known := implications[role.Kind]
	return role, known
}

// implications: a role contains those named after it. Developer contains
// reporter without messages and mails, see capabilities (datapass.md, 6, P).
var implications = map[RoleKind][]RoleKind{
	RoleReporter:   nil,
	RoleInstructor: {RoleReporter},
	RoleManager:    {RoleInstructor, RoleReporter},
	RoleDeveloper:  nil,
}

// Has reports whether the person has the role, or one that implies it, on a
// provider's definition.
func (r Roles) Has(kind RoleKind, provider, definition string) bool {
	return slices.ContainsFunc(r.List, func(role Role) bool {
		return role.covers(provider, definition) && (role.Kind == kind || slices.Contains(implications[role.Kind], kind))
	})
}

// Capability is something a role allows, besides acting on a request
// (Permissions).
type Capability string

const (
	ReadRequests         Capability = "read_requests"
	ReadMessages         Capability = "read_messages"
	ReceiveSubmissions   Capability = "receive_submissions" // submission mails
	WriteMessages        Capability = "write_messages"
	DraftForApplicants   Capability = "draft_for_applicants"
	UseTemplates         Capability = "use_templates"
	WriteTemplates       Capability = "write_templates"
	GrantRoles           Capability = "grant_roles"
	ManageApplications   Capability = "manage_applications" // OAuth
	ManageSubscriptions  Capability = "manage_subscriptions"
	UseAPI               Capability = "use_api"
	GrantAnyRole         Capability = "grant_any_role"
	ManageDefinitions    Capability = "manage_definitions"
	ManageProviders      Capability = "manage_providers"
	ManageEmailWhitelist Capability = "manage_email_whitelist"
	BanPeople            Capability = "ban_people"
	Impersonate          Capability = "impersonate"
	VerifyLinks          Capability = "verify_links" // between a person and an organisation
)

// capabilities is the table of section 6 of datapass.md: what each role adds to
// those it implies.
var capabilities = map[RoleKind][]Capability{
	RoleReporter:   {ReadRequests, ReadMessages, ReceiveSubmissions},
	RoleInstructor: {WriteMessages, DraftForApplicants, UseTemplates},
	RoleManager:    {WriteTemplates, GrantRoles},
	RoleDeveloper:  {ReadRequests, ManageApplications, ManageSubscriptions, UseAPI},
}

// adminCapabilities hold for every definition: an administrator reads all and
// decides nothing.
var adminCapabilities = []Capability{
	ReadRequests, ReadMessages, GrantAnyRole, ManageDefinitions, ManageProviders, ManageEmailWhitelist, BanPeople,
	Impersonate, VerifyLinks,
}

// Allow reports whether the person may do something about a provider's definition.
func (r Roles) Allow(c Capability, provider, definition string) bool {
	if r.Admin && slices.Contains(adminCapabilities, c) {
		return true
	}
	for kind, list := range capabilities {
		if slices.Contains(list, c) && r.Has(kind, provider, definition) {
			return true
		}
	}
	return false
}

// RolesAllowing gives the stored roles that allow something about a provider's
// definition, to find their holders; an administrator is not among them.
func RolesAllowing(c Capability, provider, definition string) []string {
	var list []string
	for _, kind := range []RoleKind{RoleReporter, RoleInstructor, RoleManager, RoleDeveloper} {
		for _, uid := range []string{definition, AnyDefinition} {
			role := Role{Provider: provider, Definition: uid, Kind: kind}
			if (Roles{List: []Role{role}}).Allow(c, provider, definition) {
				list = append(list, role.String())
			}
		}
	}
	return list
}

// MayGrant reports whether the person may give or take away a role of another
// person, or of himself. A manager does so on his definitions, provider-wide
// only with "slug:*:manager", never on himself; an administrator always.
func (r Roles) MayGrant(role Role, himself bool) bool {
	if r.Admin {
		return true
	}
	if himself {
		return false
	}
	return slices.ContainsFunc(r.List, func(own Role) bool {
		return own.Kind == RoleManager && own.covers(role.Provider, role.Definition)
	})
}

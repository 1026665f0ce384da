package auth

import (
	"context"
	"fmt"
	"slices"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Scopes of an application. The first four are DataPass's (datapass.md, 3.1).
const (
	ScopePublic              = "public"
	ScopeReadAuthorizations  = "read_authorizations"
	ScopeWriteAuthorizations = "write_authorizations"
	ScopeReadWebhooks        = "read_webhooks"
	ScopeWriteWebhooks       = "write_webhooks"
	ScopeIntrospect          = "introspect"
	ScopeRevoke              = "revoke"     // POST /token/revoke
	ScopeWriteKeys           = "write_keys" // rotate, revoke: /hub/v1/keys
)

// Scopes of an editor's machine (editors.md, 6).
const (
	ScopeReadLinks   = "links:read"     // its clients and their habilitations
	ScopeReadKeys    = "keys:read"      // the keys, and to fetch them
	ScopeAckKeys     = "keys:ack"       // to acknowledge them, and to register its public key
	ScopeReadChanges = "changes:read"   // the feed
	ScopeEditorHooks = "webhooks:write" // its endpoints
)

// EditorScopes lists every scope that an editor's machine may be given.
func EditorScopes() []string {
	return []string{ScopeReadLinks, ScopeReadKeys, ScopeAckKeys, ScopeReadChanges, ScopeEditorHooks}
}

// Scopes lists every scope that an application may be given.
func Scopes() []string {
	return []string{
		ScopePublic, ScopeReadAuthorizations, ScopeWriteAuthorizations, ScopeReadWebhooks, ScopeWriteWebhooks, ScopeIntrospect,
		ScopeRevoke, ScopeWriteKeys,
	}
}

// DefaultScopes are those of a token that asks for none.
func DefaultScopes() []string { return []string{ScopePublic, ScopeReadAuthorizations} }

// Caller is who calls.
type Caller struct {
	// Application is the machine that calls; nil for a person.
	Application *store.Application
	// Person calls, or owns the application; zero for an operator's own machine.
	Person store.Person
	// Roles of the person; of an application, its owner's developer roles only.
	Roles habilitation.Roles
	// Organization is a person's current one; zero for none, and for a machine.
	Organization habilitation.Organization
	Verified     bool // his link with it is

	scopes []string // of a machine's token
}

// Machine reports whether an application calls.
func (c Caller) Machine() bool { return c.Application != nil }

// Editor gives the service provider that the machine acts for, "" for anybody else.
func (c Caller) Editor() string {
	if c.Application == nil {
		return ""
	}
	return c.Application.Editor
}

// Has reports whether the caller's token has a scope. A person's has them all:
// his roles say what he may do.
func (c Caller) Has(scope string) bool { return !c.Machine() || slices.Contains(c.scopes, scope) }

// Actor names the caller in the history: "client:<id>" or "person:<id>".
func (c Caller) Actor() string {
	if c.Machine() {
		return "client:" + c.Application.ID.String()
	}
	return fmt.Sprintf("person:%d", c.Person.ID)
}

// Viewer is the caller as the domain's rules see him. A machine is in no
// organisation and has no address: it reads and does what its roles allow.
func (c Caller) Viewer() habilitation.Viewer {
	v := habilitation.Viewer{Actor: habilitation.Actor{Person: c.Person.ID, Roles: c.Roles}}
	if !c.Machine() {
		v.Organization, v.Email, v.SIRET, v.Verified = c.Organization.ID, c.Person.Email, c.Organization.SIRET, c.Verified
	}
	return v
}

// DeveloperOf reports whether the caller may use the API for a definition.
func (c Caller) DeveloperOf(d *habilitation.Definition) bool {
	return c.Roles.Allow(habilitation.UseAPI, d.Provider, d.UID)
}

// Developed gives the definitions that the caller may use the API for, in the
// catalogue's order.
func (c Caller) Developed(definitions []*habilitation.Definition) []*habilitation.Definition {
	var list []*habilitation.Definition
	for _, d := range definitions {
		if c.DeveloperOf(d) {
			list = append(list, d)
		}
	}
	return list
}

// Introspectable gives the definitions whose tokens the machine may ask about,
// "*" for all: those that its row lists, or its owner's.
func (c Caller) Introspectable(definitions []*habilitation.Definition) []string {
	if c.Application != nil && c.Application.OwnerID == 0 {
		return c.Application.Definitions
	}
	var list []string
	for _, d := range c.Developed(definitions) {
		list = append(list, d.UID)
	}
	return list
}

type callerKey struct{}

// WithCaller puts the caller into a context.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf gives the caller that Require let through; false where it did not run.
func CallerOf(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// AddApplication lets a machine call the hub, with its owner's developer roles,
// for an editor, or else for the definitions it lists.
type AddApplication struct {
	Name        string
	OwnerID     int64 // 0: an operator's own machine
	Scopes      []string
	Definitions []string
	Editor      string // service provider of the catalogue; "": none

	ID     uuid.UUID         // result: client_id
	Secret connectors.Secret // result: shown once, its hash is kept
}

func (cmd *AddApplication) apply(ctx context.Context, u *unit) error {
	kind := token.HubToken
	if cmd.Editor != "" {
		kind = token.EditorSecret
		if n, err := u.tx.LockEditorClients(ctx, cmd.Editor); err != nil || n >= MaxEditorClients {
			return errors.Join(err, &TooManyClientsError{cmd.Editor})
		}
	}
	secret, err := token.New(kind, token.Env(u.settings.TokenEnv))
	if err != nil {
		return err
	}
	cmd.ID, cmd.Secret = uuid.New(), connectors.NewSecret(secret.Value())
	return u.tx.InsertApplication(ctx, store.NewApplication{
		Application: store.Application{
			ID: cmd.ID, Name: cmd.Name, OwnerID: cmd.OwnerID, Scopes: cmd.Scopes, Definitions: cmd.Definitions, Editor: cmd.Editor,
		},
		SecretHash: token.Hash(secret.Value()), Hint: secret.Display(),
	})
}

// TooManyClientsError: the editor has MaxEditorClients live machines.
type TooManyClientsError struct{ Editor string }

func (e *TooManyClientsError) Error() string {
	return fmt.Sprintf("editor %s has %d live clients: end one first", e.Editor, MaxEditorClients)
}

// DisableApplication ends an application for ever, with its tokens.
type DisableApplication struct{ ID uuid.UUID }

func (cmd *DisableApplication) apply(ctx context.Context, u *unit) error {
	return u.tx.DisableApplication(ctx, cmd.ID, u.at)
}

// AccessTokenLifetime is how long a token of an application lives (datapass.md, 3.1).
const AccessTokenLifetime = 2 * time.Hour

// EditorTokenLifetime is how long one of an editor's machine does (editors.md, 6).
const EditorTokenLifetime = 10 * time.Minute

// IssueAccessToken gives an application, already authenticated, a token.
type IssueAccessToken struct {
	Application store.Application
	Scopes      []string

	Value     connectors.Secret // result: shown once, its hash is kept
	CreatedAt time.Time         // result
	Lifetime  time.Duration     // result
}

func (cmd *IssueAccessToken) apply(ctx context.Context, u *unit) error {
	value, err := token.New(token.HubToken, token.Env(u.settings.TokenEnv))
	if err != nil {
		return err
	}
	cmd.Value, cmd.CreatedAt, cmd.Lifetime = connectors.NewSecret(value.Value()), u.at, AccessTokenLifetime
	if cmd.Application.Editor != "" {
		cmd.Lifetime = EditorTokenLifetime
	}
	return u.tx.InsertAccessToken(ctx, token.Hash(value.Value()), store.AccessToken{
		Application: cmd.Application, Scopes: cmd.Scopes, CreatedAt: u.at, ExpiresAt: u.at.Add(cmd.Lifetime),
	})
}

// RevokeAccessToken ends a token of an application; another's stays as it is.
type RevokeAccessToken struct {
	Application uuid.UUID
	Hash        []byte
}

func (cmd *RevokeAccessToken) apply(ctx context.Context, u *unit) error {
	return u.tx.RevokeAccessToken(ctx, cmd.Hash, cmd.Application, u.at)
}

// Recognise finds or makes the person whom an OpenID Connect issuer vouches
// for, and her verified link with the organisation that it names. A person is
// found by the issuer's subject, else by address; store.ErrOtherSubject when
// that address already belongs to another subject of the issuer.
type Recognise struct {
	Issuer, Subject string
	Applicant       habilitation.Applicant
	SIRET           string // "" when the issuer names no organisation

	Person store.Person // result
}

func (cmd *Recognise) apply(ctx context.Context, u *unit) error {
	person, err := u.tx.PersonByIdentity(ctx, cmd.Issuer, cmd.Subject)
	if errors.Is(err, store.ErrNotFound) {
		if person, err = u.tx.UpsertPerson(ctx, cmd.Applicant); err == nil { // the row is locked by it
			err = u.tx.BindIdentity(ctx, cmd.Issuer, cmd.Subject, person.ID)
		}
	}
	if err != nil {
		return err
	}
	cmd.Person = person
	if cmd.SIRET == "" {
		return nil
	}
	if faults := habilitation.CheckSIRET(cmd.SIRET); len(faults) > 0 {
		return &habilitation.Refusal{Code: RefusedInvalidOrganization, Message: "Le numéro SIRET " + faults[0] + "."}
	}
	organization, err := u.tx.EnsureOrganization(ctx, cmd.SIRET)
	if err != nil {
		return err
	}
	return u.tx.Link(ctx, person.ID, organization.ID, true)
}

// ForgetIdentity lets another subject of an issuer take a person's place.
type ForgetIdentity struct{ PersonID int64 }

func (cmd *ForgetIdentity) apply(ctx context.Context, u *unit) error {
	n, err := u.tx.UnbindIdentities(ctx, cmd.PersonID)
	if err == nil && n == 0 {
		return fmt.Errorf("identity of person %d: %w", cmd.PersonID, store.ErrNotFound)
	}
	return err
}

// ChangeRoles gives and takes roles of a person, found by address or made. With
// his last developer role his applications end (datapass.md, 3.1).
type ChangeRoles struct {
	Email         string
	Grant, Revoke []string // DataPass's strings: "dinum:api_entreprise:instructor", "admin"

	Person   store.Person // result
	Disabled int64        // result: applications ended
}

// RoleError: a role that cannot be granted: not of DataPass's form, or naming
// no definition of its provider (datapass.md, 6).
type RoleError struct{ Role, Problem string }

func (e *RoleError) Error() string { return fmt.Sprintf("role %q: %s", e.Role, e.Problem) }

func (cmd *ChangeRoles) apply(ctx context.Context, u *unit) error {
	for _, role := range cmd.Grant {
		if err := u.checkRole(role); err != nil {
			return err
		}
	}
	person, err := cmd.person(ctx, u)
	if err != nil {
		return err
	}
	before := person.DeveloperRoles()
	roles := slices.Clone(person.Roles)
	change := store.RoleChange{PersonID: person.ID, At: u.at, Actor: u.actor}
	for _, role := range cmd.Grant {
		if !slices.Contains(roles, role) {
			roles, change.Granted = append(roles, role), append(change.Granted, role)
		}
	}
	for _, role := range cmd.Revoke {
		if !slices.Contains(roles, role) {
			return &RoleError{role, "the person does not hold it"}
		}
		roles = slices.DeleteFunc(roles, func(held string) bool { return held == role })
		change.Revoked = append(change.Revoked, role)
	}
	if person.Roles = roles; len(change.Granted)+len(change.Revoked) > 0 {
		err := errors.Join(u.tx.SetRoles(ctx, person.ID, roles), u.tx.AppendRoleChange(ctx, change), u.tellAdmins(ctx, person, change))
		if err != nil {
			return err
		}
	}
	if len(before.List) > 0 && len(person.DeveloperRoles().List) == 0 {
		if cmd.Disabled, err = u.tx.DisableApplicationsOf(ctx, person.ID, u.at); err != nil {
			return err
		}
	}
	cmd.Person = person
	return nil
}

// LetterRoles is the mail to every administrator when someone's roles change
// (datapass.md, 7).
const LetterRoles = "roles_changes"

// tellAdmins writes to whoever is administrator once the change is made, and to
// who is one no more.
func (u *unit) tellAdmins(ctx context.Context, person store.Person, change store.RoleChange) error {
	admins, err := u.tx.Wanting(ctx, []string{habilitation.AdminRole}, "", LetterRoles)
	if err != nil {
		return err
	}
	var addresses []string
	for _, a := range admins {
		addresses = append(addresses, a.Email)
	}
	if slices.Contains(change.Revoked, habilitation.AdminRole) {
		addresses = append(addresses, person.Email)
	}
	params := map[string]string{
		"person": person.Email, "granted": strings.Join(change.Granted, ", "), "revoked": strings.Join(change.Revoked, ", "), "at": frenchTime(u.at),
	}
	for _, to := range uniqueAddresses(addresses...) {
		if err := u.mail(ctx, habilitation.Request{}, LetterRoles, to, fmt.Sprintf("roles/%d/%d", person.ID, u.at.UnixNano()), params); err != nil {
			return err
		}
	}
	return nil
}

func (cmd *ChangeRoles) person(ctx context.Context, u *unit) (store.Person, error) {
	person, err := u.tx.PersonByEmail(ctx, cmd.Email)
	if errors.Is(err, store.ErrNotFound) && len(cmd.Grant) > 0 {
		person, err = u.tx.UpsertPerson(ctx, habilitation.Applicant{Email: cmd.Email})
	}
	if err != nil {
		return person, err
	}
	return u.tx.LockPerson(ctx, person.ID)
}

func (u *unit) checkRole(role string) error {
	parsed, ignored := habilitation.ParseRoles([]string{role})
	switch {
	case len(ignored) > 0:
		return &RoleError{role, `"admin" or "<provider>:<definition or *>:<` + strings.Join(roleKinds, "|") + `>" is expected`}
	case parsed.Admin:
		return nil
	}
	r := parsed.List[0]
	if r.Definition == habilitation.AnyDefinition {
		return nil // a provider may come before its first definition
	}
	if d, ok := u.catalogue.Definition(r.Definition); !ok || d.Provider != r.Provider {
		return &RoleError{role, "the catalogue has no such definition of that provider"}
	}
	return nil
}

var roleKinds = []string{
	string(habilitation.RoleReporter), string(habilitation.RoleInstructor), string(habilitation.RoleManager), string(habilitation.RoleDeveloper),
}

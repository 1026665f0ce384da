package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Application is a machine that may call the hub (datapass.md, 3.1).
type Application struct {
	ID          uuid.UUID // its client_id
	Name        string
	OwnerID     int64    // the person whose developer roles are its rights; 0: an operator's own machine
	Scopes      []string // that it may ask for
	Definitions []string // of an operator's own machine; "*" for all
	Disabled    bool
	Editor      string // the service provider that it acts for; "" for every other machine
}

func applicationOf(row db.ApiClient) Application {
	return Application{
		ID: row.ID, Name: row.Name, OwnerID: val(row.OwnerID), Scopes: row.Scopes, Definitions: row.Definitions, Disabled: row.DisabledAt != nil,
		Editor: row.Editor,
	}
}

// NewApplication is an application to make. Of its secret only the hash is kept.
type NewApplication struct {
	Application
	SecretHash []byte
	Hint       string // enough of the secret to tell two apart
}

// InsertApplication makes one.
func (t *Tx) InsertApplication(ctx context.Context, a NewApplication) error {
	return t.q.InsertApplication(ctx, db.InsertApplicationParams{
		ID: a.ID, Name: a.Name, OwnerID: ptr(a.OwnerID), SecretSha256: a.SecretHash, Hint: a.Hint,
		Scopes: noNil(a.Scopes), Definitions: noNil(a.Definitions), Editor: a.Editor,
	})
}

func noNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// ApplicationBySecret finds the one, not disabled, whose secret has this hash.
func (s *Store) ApplicationBySecret(ctx context.Context, hash []byte) (Application, error) {
	row, err := s.q.ApplicationBySecret(ctx, hash)
	return applicationOf(row), notFound(err, "application", "of this secret")
}

// ListedApplication is an application as lists show it.
type ListedApplication = db.ApplicationsRow

// Applications gives all, oldest first.
func (s *Store) Applications(ctx context.Context) ([]ListedApplication, error) {
	return s.q.Applications(ctx)
}

// DisableApplication ends one for ever, with its tokens.
func (t *Tx) DisableApplication(ctx context.Context, id uuid.UUID, now time.Time) error {
	t.rights = true
	n, err := t.q.DisableApplication(ctx, &now, id)
	if err == nil && n == 0 {
		err = notFound(pgx.ErrNoRows, "application", id)
	}
	return err
}

// DisableApplicationsOf ends all of a person's and gives how many there were.
func (t *Tx) DisableApplicationsOf(ctx context.Context, personID int64, now time.Time) (int64, error) {
	t.rights = true
	return t.q.DisableApplicationsOf(ctx, &now, &personID)
}

// AccessToken is what an application calls with for a time.
type AccessToken struct {
	Application Application
	Scopes      []string
	CreatedAt   time.Time
	ExpiresAt   time.Time
	Revoked     bool
}

// InsertAccessToken keeps the hash of a token.
func (t *Tx) InsertAccessToken(ctx context.Context, hash []byte, a AccessToken) error {
	return t.q.InsertAccessToken(ctx, db.InsertAccessTokenParams{
		Sha256: hash, ClientID: a.Application.ID, Scopes: noNil(a.Scopes), CreatedAt: a.CreatedAt, ExpiresAt: a.ExpiresAt,
	})
}

// AccessToken finds a token by its hash, live or not.
func (s *Store) AccessToken(ctx context.Context, hash []byte) (AccessToken, error) {
	row, err := s.q.AccessToken(ctx, hash)
	if err != nil {
		return AccessToken{}, notFound(err, "access token", "of this hash")
	}
	return AccessToken{
		Application: applicationOf(row.ApiClient), Scopes: row.AccessToken.Scopes, CreatedAt: row.AccessToken.CreatedAt,
		ExpiresAt: row.AccessToken.ExpiresAt, Revoked: row.AccessToken.RevokedAt != nil || row.ApiClient.DisabledAt != nil,
	}, nil
}

// RevokeAccessToken ends a token of an application; one that is not live or not
// its own stays as it is.
func (t *Tx) RevokeAccessToken(ctx context.Context, hash []byte, application uuid.UUID, now time.Time) error {
	t.rights = true
	_, err := t.q.RevokeAccessToken(ctx, &now, hash, application)
	return err
}

// PurgeAccessTokens deletes those that expired before a time, limit at most.
func (s *Store) PurgeAccessTokens(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.q.PurgeAccessTokens(ctx, before, int32(limit))
}

// PersonByIdentity finds whom an OpenID Connect issuer calls by this subject,
// with his organisations.
func (s *Store) PersonByIdentity(ctx context.Context, issuer, subject string) (Person, []Membership, error) {
	rows, err := s.q.PersonWithMemberships(ctx, issuer, subject)
	if err == nil && len(rows) == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return Person{}, nil, notFound(err, "person", "of this subject")
	}
	var list []Membership
	for _, row := range rows {
		if row.OrganizationID != nil {
			organization := db.Organization{ID: *row.OrganizationID, Siret: row.Siret, Name: val(row.Name), InseePayload: row.InseePayload}
			list = append(list, Membership{Organization: organizationOf(organization), Verified: val(row.Verified)})
		}
	}
	return personOf(rows[0].Person), list, nil
}

// ErrOtherSubject: the person is known at that issuer under another subject.
var ErrOtherSubject = errors.New("store: person known under another subject")

// BindIdentity records that an issuer calls a person by this subject.
func (t *Tx) BindIdentity(ctx context.Context, issuer, subject string, personID int64) error {
	t.rights = true
	known, err := t.q.IdentitySubject(ctx, personID, issuer)
	switch {
	case err == nil && known != subject:
		return ErrOtherSubject
	case errors.Is(err, pgx.ErrNoRows):
		return t.q.BindIdentity(ctx, issuer, subject, personID)
	}
	return err
}

// UnbindIdentities forgets who a person is at issuers: the next one who comes
// with the address takes the place.
func (t *Tx) UnbindIdentities(ctx context.Context, personID int64) (int64, error) {
	t.rights = true
	return t.q.UnbindIdentities(ctx, personID)
}

// LockPerson locks a native person's row until the end of the transaction.
func (t *Tx) LockPerson(ctx context.Context, id int64) (Person, error) {
	row, err := t.q.LockPerson(ctx, id)
	return personOf(row), notFound(err, "person", id)
}

// PeopleWithRoles gives the native people who have a role, by address.
func (s *Store) PeopleWithRoles(ctx context.Context) ([]Person, error) {
	rows, err := s.q.PeopleWithRoles(ctx)
	people := make([]Person, len(rows))
	for i, row := range rows {
		people[i] = personOf(row)
	}
	return people, err
}

// RoleChange is one line of the audit of roles.
type RoleChange struct {
	PersonID         int64
	At               time.Time
	Actor            string
	Granted, Revoked []string
}

// AppendRoleChange writes it.
func (t *Tx) AppendRoleChange(ctx context.Context, c RoleChange) error {
	return t.q.InsertRoleChange(ctx, db.InsertRoleChangeParams{
		PersonID: c.PersonID, At: c.At, Actor: c.Actor, Granted: noNil(c.Granted), Revoked: noNil(c.Revoked),
	})
}

// DeveloperRoles gives the developer roles among a person's: the rights of his
// applications (datapass.md, 3.1).
func (p Person) DeveloperRoles() habilitation.Roles {
	parsed, _ := habilitation.ParseRoles(p.Roles)
	var roles habilitation.Roles
	for _, r := range parsed.List {
		if r.Kind == habilitation.RoleDeveloper {
			roles.List = append(roles.List, r)
		}
	}
	return roles
}

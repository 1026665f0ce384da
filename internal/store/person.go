package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Person is a native person with his stored roles.
type Person struct {
	habilitation.Applicant
	Roles []string // DataPass's strings; habilitation.ParseRoles reads them
}

func personOf(row db.Person) Person { return Person{Applicant: applicantOf(row), Roles: row.Roles} }

// Person finds a native person. ErrNotFound for none.
func (s *Store) Person(ctx context.Context, id int64) (Person, error) {
	row, err := s.q.PersonByID(ctx, id)
	return personOf(row), notFound(err, "person", id)
}

// People gives the native people of these ids, in no order; who is not there is left out.
func (s *Store) People(ctx context.Context, ids []int64) ([]Person, error) {
	rows, err := s.q.PeopleByID(ctx, ids)
	people := make([]Person, len(rows))
	for i, row := range rows {
		people[i] = personOf(row)
	}
	return people, err
}

// PersonByEmail finds a native person by address, whatever its case.
func (s *Store) PersonByEmail(ctx context.Context, email string) (Person, error) {
	return personByEmail(ctx, s.q, email)
}

// PersonByEmail is Store.PersonByEmail inside the transaction.
func (t *Tx) PersonByEmail(ctx context.Context, email string) (Person, error) {
	return personByEmail(ctx, t.q, email)
}

// Person is Store.Person inside the transaction.
func (t *Tx) Person(ctx context.Context, id int64) (Person, error) {
	row, err := t.q.PersonByID(ctx, id)
	return personOf(row), notFound(err, "person", id)
}

func personByEmail(ctx context.Context, q *db.Queries, email string) (Person, error) {
	row, err := q.PersonByEmail(ctx, address(email))
	return personOf(row), notFound(err, "person", "of this address")
}

// address is how addresses are kept: lower case, without spaces around.
func address(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// UpsertPerson finds a native person by address, or makes one; of one that
// exists only blank fields are filled (datapass.md, 3.4).
func (t *Tx) UpsertPerson(ctx context.Context, a habilitation.Applicant) (Person, error) {
	t.rights = true
	row, err := t.q.UpsertPerson(ctx, db.UpsertPersonParams{
		Email: address(a.Email), GivenName: a.GivenName, FamilyName: a.FamilyName, PhoneNumber: a.PhoneNumber, JobTitle: a.JobTitle,
	})
	return personOf(row), err
}

// SetRoles replaces a native person's roles.
func (t *Tx) SetRoles(ctx context.Context, id int64, roles []string) error {
	t.rights = true
	if roles == nil {
		roles = []string{}
	}
	n, err := t.q.SetRoles(ctx, roles, id)
	if err == nil && n == 0 {
		err = notFound(pgx.ErrNoRows, "person", id)
	}
	return err
}

// Organization finds a native organisation. ErrNotFound for none.
func (s *Store) Organization(ctx context.Context, id int64) (habilitation.Organization, error) {
	row, err := s.q.OrganizationByID(ctx, id)
	return organizationOf(row), notFound(err, "organization", id)
}

// OrganizationBySIRET finds a native organisation.
func (s *Store) OrganizationBySIRET(ctx context.Context, siret string) (habilitation.Organization, error) {
	row, err := s.q.OrganizationBySIRET(ctx, &siret)
	return organizationOf(row), notFound(err, "organization", siret)
}

// Organization is Store.Organization inside the transaction.
func (t *Tx) Organization(ctx context.Context, id int64) (habilitation.Organization, error) {
	row, err := t.q.OrganizationByID(ctx, id)
	return organizationOf(row), notFound(err, "organization", id)
}

// Holder gives a native person and a native organisation, zero for one that is
// not there.
func (t *Tx) Holder(ctx context.Context, personID, organizationID int64) (Person, habilitation.Organization, error) {
	var person Person
	_, _ = t.laterRows(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.Person])
		if len(found) > 0 {
			person = personOf(found[0])
		}
		return err
	}).PersonByID(ctx, personID)
	organization, err := t.Organization(ctx, organizationID)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return person, organization, err
}

// OrganizationBySIRET is Store.OrganizationBySIRET inside the transaction.
func (t *Tx) OrganizationBySIRET(ctx context.Context, siret string) (habilitation.Organization, error) {
	row, err := t.q.OrganizationBySIRET(ctx, &siret)
	return organizationOf(row), notFound(err, "organization", siret)
}

// EnsureOrganization finds a native organisation by SIRET, or makes one under a
// name that says that its own is not known (datapass.md, 2.4).
func (t *Tx) EnsureOrganization(ctx context.Context, siret string) (habilitation.Organization, error) {
	t.rights = true
	found, err := t.OrganizationBySIRET(ctx, siret)
	if !errors.Is(err, ErrNotFound) {
		return found, err
	}
	if err := t.q.InsertOrganization(ctx, &siret, "l'organisation "+siret+" (nom inconnu)"); err != nil {
		return habilitation.Organization{}, err
	}
	return t.OrganizationBySIRET(ctx, siret)
}

// Link makes a person a member of an organisation. A link once verified stays so.
func (t *Tx) Link(ctx context.Context, personID, organizationID int64, verified bool) error {
	t.rights = true
	return t.q.LinkPerson(ctx, personID, organizationID, verified)
}

// Membership is a person's link with a native organisation.
type Membership struct {
	Organization habilitation.Organization
	Verified     bool
}

// Memberships gives the organisations of a native person.
func (s *Store) Memberships(ctx context.Context, personID int64) ([]Membership, error) {
	rows, err := s.q.MembershipsOf(ctx, personID)
	list := make([]Membership, len(rows))
	for i, row := range rows {
		list[i] = Membership{Organization: organizationOf(row.Organization), Verified: row.Membership.Verified}
	}
	return list, err
}

// IsMember reports whether a person is linked with an organisation.
func (t *Tx) IsMember(ctx context.Context, personID, organizationID int64) (bool, error) {
	_, err := t.q.Membership(ctx, personID, organizationID)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Kinds of mail that a person may switch off, by definition (datapass.md, 7).
const (
	MailsOfSubmissions = "submit"
	MailsOfMessages    = "messages"
)

// Wanting gives the native people who hold one of these roles and have not
// switched that kind of mail about the definition off.
func (t *Tx) Wanting(ctx context.Context, roles []string, definition, kind string) ([]Person, error) {
	rows, err := t.q.ReportersWanting(ctx, roles, definition, kind)
	list := make([]Person, len(rows))
	for i, row := range rows {
		list[i] = personOf(row)
	}
	return list, err
}

// SetMailSetting switches a kind of mail on or off for a person.
func (t *Tx) SetMailSetting(ctx context.Context, personID int64, definition, kind string, enabled bool) error {
	return t.q.SetMailSetting(ctx, personID, definition, kind, enabled)
}

// MailSetting is one choice of a person; what is not listed is on.
type MailSetting = db.MailSettingsOfRow

// MailSettings gives a person's choices.
func (s *Store) MailSettings(ctx context.Context, personID int64) ([]MailSetting, error) {
	return s.q.MailSettingsOf(ctx, personID)
}

// MailChoice is what the link at the foot of a mail switches off.
type MailChoice struct {
	Person     int64     `json:"p"`
	Definition string    `json:"d"`
	Kind       string    `json:"k"`
	Until      time.Time `json:"u"`
}

var choiceAD = []byte("mail_setting")

// SealChoice writes a choice as text for a URL, which only this hub can read or make.
func (t *Tx) SealChoice(c MailChoice) (string, error) {
	clear, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	sealed, err := t.ring.Seal(clear, choiceAD)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// OpenChoice reads it back; ErrNotFound for what is not ours.
func (s *Store) OpenChoice(value string) (MailChoice, error) {
	var c MailChoice
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return c, ErrNotFound
	}
	clear, err := s.ring.Open(sealed, choiceAD)
	if err != nil {
		return c, ErrNotFound
	}
	return c, json.Unmarshal(clear, &c)
}

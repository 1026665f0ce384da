package registry

import (
	"context"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// CreateRequest makes a request in draft: its form's prefill, then the answers.
//
// A person creates for himself, in his current organisation (Applicant and
// SIRET are not read). An application (ByAPI) names the applicant, found by
// address or made, and the organisation, found by SIRET or made; the two are
// linked, unverified (datapass.md, 3.4).
type CreateRequest struct {
	Caller     habilitation.Viewer
	Form       string // uid; wins over Definition
	Definition string // uid: its default form
	Answers    []byte // a JSON object, none for the prefill alone
	ByAPI      bool
	Applicant  habilitation.Applicant
	SIRET      string

	Request habilitation.Request // result
}

func (cmd *CreateRequest) apply(ctx context.Context, u *unit) error {
	form, err := cmd.form(u.catalogue)
	if err != nil {
		return err
	}
	definition, ok := u.catalogue.Definition(form.Definition)
	if !ok {
		return cmd.refuse(RefusedFormNotFound, "/form_uid", "Le formulaire demandé est introuvable.")
	}
	if cmd.ByAPI && !cmd.Caller.Roles.Has(habilitation.RoleDeveloper, definition.Provider, definition.UID) {
		return cmd.refuse(habilitation.RefusedUnauthorizedType, "", "Vous n’avez pas les droits pour créer ce type de demande.")
	}
	answers, err := readAnswers(definition, cmd.Answers)
	if err != nil {
		return err
	}
	create := habilitation.Create{
		By: habilitation.By{Actor: cmd.Caller.Actor, At: u.at}, Form: form.UID, ByAPI: cmd.ByAPI,
		Prefill: definition.Merge(form, definition.EffectivePrefill(form).Data(), nil),
	}
	create.Data = definition.Merge(form, create.Prefill, answers)
	if create.PublicID, err = uuid.NewRandom(); err != nil {
		return err
	}
	if create.Applicant, create.Organization, err = cmd.holder(ctx, u); err != nil {
		return err
	}
	if provider, ok := u.catalogue.ServiceProvider(form.ServiceProvider); ok {
		create.ServiceProvider = &provider.ServiceProvider
	}
	facts, err := u.submissionFacts(ctx, definition, create.Organization, 0)
	if err != nil {
		return err
	}
	create.Faults = definition.CheckCreation(form, create.Data, facts)
	change, err := habilitation.Decide(habilitation.Request{}, u.factsOf(definition, form), create)
	if err != nil {
		return err
	}
	cmd.Request, err = u.saveDecision(ctx, cmd.Caller, change, create.Prefill)
	return err
}

func (cmd *CreateRequest) refuse(code habilitation.RefusalCode, pointer, message string) *habilitation.Refusal {
	event := habilitation.EventCreate
	if cmd.ByAPI {
		event = habilitation.EventCreateByAPI
	}
	return &habilitation.Refusal{Code: code, Pointer: pointer, Message: message, Event: event}
}

func (cmd *CreateRequest) form(c Catalogue) (*habilitation.Form, error) {
	form, ok := c.Form(cmd.Form)
	if cmd.Form == "" {
		form, ok = c.DefaultForm(cmd.Definition)
	}
	if !ok {
		return nil, cmd.refuse(RefusedFormNotFound, "/form_uid", "Le formulaire demandé est introuvable.")
	}
	return form, nil
}

// holder is who will hold the request.
func (cmd *CreateRequest) holder(ctx context.Context, u *unit) (habilitation.Applicant, habilitation.Organization, error) {
	if cmd.ByAPI {
		return cmd.holderByAPI(ctx, u)
	}
	person, organization, err := u.tx.Holder(ctx, cmd.Caller.Person, cmd.Caller.Organization)
	switch {
	case err != nil:
	case organization.ID == 0:
		err = cmd.refuse(RefusedInvalidOrganization, "", "Choisissez d’abord l’organisation pour laquelle vous faites la demande.")
	case person.ID == 0:
		err = cmd.refuse(RefusedInvalidApplicant, "", "Une demande est faite par une personne.")
	}
	return person.Applicant, organization, err
}

const (
	maxAddress    = 254 // bytes of an e-mail address (RFC 5321, 4.5.3.1.3)
	maxPersonText = 255 // characters of a name, a job title, a telephone number
)

func (cmd *CreateRequest) holderByAPI(ctx context.Context, u *unit) (habilitation.Applicant, habilitation.Organization, error) {
	var none habilitation.Organization
	if parsed, err := mail.ParseAddress(cmd.Applicant.Email); err != nil || parsed.Address != cmd.Applicant.Email || len(parsed.Address) > maxAddress {
		return habilitation.Applicant{}, none, cmd.refuse(RefusedInvalidApplicant, "/applicant/email", "L’adresse du demandeur n’est pas une adresse e-mail.")
	}
	for _, field := range []struct{ key, text string }{
		{"given_name", cmd.Applicant.GivenName},
		{"family_name", cmd.Applicant.FamilyName},
		{"job_title", cmd.Applicant.JobTitle},
		{"phone_number", cmd.Applicant.PhoneNumber},
	} {
		if utf8.RuneCountInString(field.text) > maxPersonText || strings.ContainsFunc(field.text, unicode.IsControl) {
			return habilitation.Applicant{}, none, cmd.refuse(RefusedInvalidApplicant, "/applicant/"+field.key,
				fmt.Sprintf("Une ligne de %d caractères au plus est attendue.", maxPersonText))
		}
	}
	if faults := habilitation.CheckSIRET(cmd.SIRET); len(faults) > 0 {
		return habilitation.Applicant{}, none, cmd.refuse(RefusedInvalidOrganization, "/organization/siret", "Le numéro SIRET "+faults[0]+".")
	}
	organization, err := u.tx.EnsureOrganization(ctx, cmd.SIRET)
	if err != nil {
		return habilitation.Applicant{}, none, err
	}
	person, err := u.tx.UpsertPerson(ctx, cmd.Applicant)
	if err != nil {
		return person.Applicant, organization, err
	}
	if err := u.tx.Link(ctx, person.ID, organization.ID, false); err != nil {
		return person.Applicant, organization, fmt.Errorf("link the applicant with the organisation: %w", err)
	}
	return person.Applicant, organization, nil
}

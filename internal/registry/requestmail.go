package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// letterPrefix starts the template of every mail about a request:
// "demande_refused"; a reopening has a variant, "demande_refused_reouverture".
const letterPrefix = "demande_"

// LetterOf names the template of a mail about a request.
func LetterOf(m habilitation.SendMail) string {
	name := letterPrefix + string(m.Mail)
	if m.Mail == habilitation.MailSubmitted || m.Mail == habilitation.MailReceived || m.Mail == habilitation.MailRefused ||
		m.Mail == habilitation.MailApproved || m.Mail == habilitation.MailChangesRequested {
		if m.Reopening {
			return name + "_reouverture"
		}
	}
	return name
}

// sendMail queues one mail of a decision, once per recipient (datapass.md, 7).
func (u *unit) sendMail(ctx context.Context, r habilitation.Request, m habilitation.SendMail) error {
	addresses, err := u.addressesOf(ctx, r, m)
	if err != nil {
		return err
	}
	params := u.letterParams(r, m)
	for _, to := range uniqueAddresses(addresses...) {
		// The version makes the event unique: a decision is recorded once.
		dedup := fmt.Sprintf("request/%d/%d/%d", r.ID, r.Version, m.Habilitation)
		if err := u.mail(ctx, r, LetterOf(m), to, dedup, params); err != nil {
			return err
		}
	}
	return nil
}

// addressesOf reads the addresses of a mail's recipients.
func (u *unit) addressesOf(ctx context.Context, r habilitation.Request, m habilitation.SendMail) ([]string, error) {
	switch m.To {
	case habilitation.ToApplicant:
		return []string{r.Applicant.Email}, nil
	case habilitation.ToFormerApplicant:
		former, err := u.tx.Person(ctx, m.Former)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		return []string{former.Email}, err
	case habilitation.ToReporters:
		return u.reporters(ctx, r)
	case habilitation.ToProvider:
		if d, ok := u.catalogue.Definition(r.Definition); ok {
			return u.settings.ProviderNotices[d.Provider], nil
		}
		return nil, nil
	case habilitation.ToFranceConnectSupport:
		return []string{u.settings.FranceConnectSupport}, nil
	default: // a contact that the answers name
		return []string{r.Data[string(m.To)+"_email"]}, nil
	}
}

// reporters are those who may receive submissions and have not switched them off.
func (u *unit) reporters(ctx context.Context, r habilitation.Request) ([]string, error) {
	d, ok := u.catalogue.Definition(r.Definition)
	if !ok {
		return nil, nil
	}
	people, err := u.tx.Wanting(ctx, habilitation.RolesAllowing(habilitation.ReceiveSubmissions, d.Provider, d.UID), d.UID, store.MailsOfSubmissions)
	if err != nil {
		return nil, err
	}
	addresses := make([]string, len(people))
	for i, p := range people {
		addresses[i] = p.Email
	}
	return addresses, nil
}

// letterParams fill every template about a request: each uses some of them.
func (u *unit) letterParams(r habilitation.Request, m habilitation.SendMail) map[string]string {
	d, _ := u.catalogue.Definition(r.Definition)
	params := map[string]string{
		"id": fmt.Sprint(r.ID), "definition": u.label(r.Definition), "organization": r.Organization.Name, "title": r.Data["intitule"],
		"applicant": personName(r.Applicant), "applicant_email": r.Applicant.Email, "link": fmt.Sprintf("%s/demandes/%d", u.settings.PublicURL, r.ID),
		"reason": "", "message": "", "stage": "", "support": "", "habilitation": "", "at": frenchTime(u.at),
	}
	if d != nil {
		params["support"] = d.SupportEmail
		params["definition"] = d.NameWithStage()
		if d.Stage != nil {
			params["stage"] = map[habilitation.StageType]string{habilitation.StageSandbox: "BAS", habilitation.StageProduction: "PROD"}[d.Stage.Type]
		}
	}
	for _, e := range u.decided {
		params["reason"] = e.Reason
	}
	for _, h := range r.Habilitations {
		if h.ID == m.Habilitation {
			params["message"], params["habilitation"] = h.Message, fmt.Sprint(h.ID)
			if linked, ok := u.catalogue.Definition(h.Definition); ok && h.ParentID != 0 {
				params["definition"] = linked.NameWithStage()
			}
		}
	}
	return params
}

func personName(a habilitation.Applicant) string {
	if a.GivenName == "" && a.FamilyName == "" {
		return a.Email
	}
	if a.GivenName == "" || a.FamilyName == "" {
		return a.GivenName + a.FamilyName
	}
	return a.GivenName + " " + a.FamilyName
}

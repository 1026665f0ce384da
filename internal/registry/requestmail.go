package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// letterPrefix starts the template of every mail about a request:
// "demande_refused"; a reopening has a variant, "demande_refused_reouverture".
const letterPrefix = "demande_"

// LetterOf names the template of a mail about a request.
func LetterOf(m habilitation.SendMail) string {
	name := letterPrefix + string(m.Mail)
	switch m.Mail {
	case habilitation.MailSubmitted, habilitation.MailReceived, habilitation.MailRefused, habilitation.MailApproved, habilitation.MailChangesRequested:
		if m.Reopening {
			return name + "_reouverture"
		}
	default: // no variant
	}
	return name
}

// recipient is one address; Person is the native person behind it, 0 for a
// contact.
type recipient struct {
	address string
	person  int64
}

// sendMail queues one mail of a decision, once per recipient (datapass.md, 7).
func (u *unit) sendMail(ctx context.Context, r habilitation.Request, m habilitation.SendMail) error {
	recipients, err := u.recipientsOf(ctx, r, m)
	if err != nil {
		return err
	}
	params := u.letterParams(r, m)
	for _, to := range recipients {
		params["unsubscribe"] = ""
		if m.To == habilitation.ToReporters {
			if params["unsubscribe"], err = u.unsubscribeLink(to.person, r.Definition, store.MailsOfSubmissions); err != nil {
				return err
			}
		}
		// The version makes the event unique: a decision is recorded once.
		dedup := fmt.Sprintf("request/%d/%d/%d", r.ID, r.Version, m.Habilitation)
		if err := u.mail(ctx, r, LetterOf(m), strings.TrimSpace(to.address), dedup, params); err != nil {
			return err
		}
	}
	return nil
}

// recipientsOf reads the addresses of a mail's recipients.
func (u *unit) recipientsOf(ctx context.Context, r habilitation.Request, m habilitation.SendMail) ([]recipient, error) {
	switch m.To {
	case habilitation.ToApplicant:
		return []recipient{{r.Applicant.Email, r.Applicant.ID}}, nil
	case habilitation.ToFormerApplicant:
		former, err := u.tx.Person(ctx, m.Former)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		return []recipient{{former.Email, former.ID}}, err
	case habilitation.ToReporters:
		return u.reporters(ctx, r)
	case habilitation.ToProvider:
		var list []recipient
		if d, ok := u.catalogue.Definition(r.Definition); ok {
			for _, address := range u.settings.ProviderNotices[d.Provider] {
				list = append(list, recipient{address: address})
			}
		}
		return list, nil
	case habilitation.ToFranceConnectSupport:
		return []recipient{{address: u.settings.FranceConnectSupport}}, nil
	default: // a contact that the answers name
		return []recipient{{address: r.Data[string(m.To)+"_email"]}}, nil
	}
}

// reporters are those who may receive submissions and have not switched them off.
func (u *unit) reporters(ctx context.Context, r habilitation.Request) ([]recipient, error) {
	d, ok := u.catalogue.Definition(r.Definition)
	if !ok {
		return nil, nil
	}
	people, err := u.tx.Wanting(ctx, habilitation.RolesAllowing(habilitation.ReceiveSubmissions, d.Provider, d.UID), d.UID, store.MailsOfSubmissions)
	list := make([]recipient, len(people))
	for i, p := range people {
		list[i] = recipient{p.Email, p.ID}
	}
	return list, err
}

// unsubscribeFor is how long the link at the foot of a mail works (datapass.md, 7).
const unsubscribeFor = 30 * 24 * time.Hour

func (u *unit) unsubscribeLink(person int64, definition, kind string) (string, error) {
	value, err := u.tx.SealChoice(store.MailChoice{Person: person, Definition: definition, Kind: kind, Until: u.at.Add(unsubscribeFor)})
	return u.settings.PublicURL + "/desinscription/" + value, err
}

// MailChoice gives what the link at the foot of a mail is about. ErrNotFound
// of store for a value that is not ours, or over.
func (r *Registry) MailChoice(value string) (store.MailChoice, error) {
	choice, err := r.store.OpenChoice(value)
	if err == nil && !choice.Until.After(r.now()) {
		err = store.ErrNotFound
	}
	return choice, err
}

// SetMail switches a kind of mail about a definition on or off for a person.
type SetMail struct {
	Person     int64
	Definition string
	Kind       string // store.MailsOf...
	Enabled    bool
}

func (cmd *SetMail) apply(ctx context.Context, u *unit) error {
	if _, err := u.tx.Person(ctx, cmd.Person); err != nil {
		return err
	}
	return u.tx.SetMailSetting(ctx, cmd.Person, cmd.Definition, cmd.Kind, cmd.Enabled)
}

// letterParams fill every template about a request: each uses some of them.
func (u *unit) letterParams(r habilitation.Request, m habilitation.SendMail) map[string]string {
	d, _ := u.catalogue.Definition(r.Definition)
	params := map[string]string{
		"id": fmt.Sprint(r.ID), "definition": u.label(r.Definition), "organization": r.Organization.Name, "title": r.Data["intitule"],
		"applicant": personName(r.Applicant), "applicant_email": r.Applicant.Email, "link": fmt.Sprintf("%s/demandes/%d/%s", u.settings.PublicURL, r.ID, r.PublicID),
		"reason": "", "message": "", "stage": "", "support": "", "habilitation": "", "at": frenchTime(u.at),
	}
	if d != nil {
		params["support"] = d.SupportEmail
		params["definition"] = d.NameWithStage()
		if d.Stage != nil {
			params["stage"] = map[habilitation.StageType]string{habilitation.StageSandbox: "BAS", habilitation.StageProduction: "PROD"}[d.Stage.Type]
		}
	}
	for name, value := range params {
		params[name] = strings.Join(strings.Fields(value), " ") // a line of its own, whatever was typed
	}
	for _, e := range u.decided {
		params["reason"] = e.Reason
	}
	for _, h := range r.Habilitations {
		if h.ID == m.Habilitation {
			params["habilitation"] = fmt.Sprint(h.ID)
			if m.Mail == habilitation.MailApproved {
				params["message"] = h.Message
			}
			if own, ok := u.catalogue.Definition(h.Definition); ok && h.Definition != r.Definition {
				params["definition"] = own.NameWithStage() // of a linked one, or of an earlier stage
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

package habilitation

import (
	"slices"
	"strings"
)

// MailName is a kind of mail about a request.
type MailName string

const (
	MailSubmitted        MailName = "submitted" // to reporters
	MailReceived         MailName = "received"  // to the applicant
	MailChangesRequested MailName = "changes_requested"
	MailRefused          MailName = "refused"
	MailApproved         MailName = "approved"
	MailRevoked          MailName = "revoked"
	MailTransferred      MailName = "transferred"
	MailGDPRNotice       MailName = "gdpr_notice"
	MailProviderNotice   MailName = "provider_notice" // to the provider's configured addresses
	MailFranceConnect    MailName = "france_connect"
	MailConvention       MailName = "convention"
)

// Recipient says who gets a mail; the addresses are read when it is written.
type Recipient string

const (
	ToApplicant            Recipient = "applicant"
	ToFormerApplicant      Recipient = "former_applicant"
	ToReporters            Recipient = "reporters" // whoever may ReceiveSubmissions and wants them, one mail each
	ToResponsable          Recipient = Recipient(ContactResponsable)
	ToDPO                  Recipient = Recipient(ContactDPO)
	ToTechnical            Recipient = Recipient(ContactTechnical)
	ToAdministrator        Recipient = Recipient(ContactAdmin)
	ToProvider             Recipient = "provider"
	ToFranceConnectSupport Recipient = "france_connect_support"
)

// SendMail: one mail is due. Reopening picks the variant for an update; the
// reason or the message is that of the event. Former is the applicant before a
// transfer.
type SendMail struct {
	Mail         MailName
	To           Recipient
	Habilitation int64
	Reopening    bool
	Former       int64 // person; ToFormerApplicant only
}

// Providers that mail their applicants themselves, from webhooks: only
// submissions, GDPR notices and FranceConnect's mails leave for them
// (datapass.md, 7).
var mailedByProvider = []string{"api_entreprise", "api_particulier"}

const (
	providerDGFiP      = "dgfip"
	definitionProduits = "produits_dinum"
	hubeePrefix        = "hubee_"
	contactEmailSuffix = "_email"
)

// mails are those of section 7 of datapass.md.
func (d *decision) mails() []Consequence {
	var list []Consequence
	for _, e := range d.change.Events {
		list = append(list, d.mailsOf(e)...)
	}
	return list
}

func (d *decision) mailsOf(e Event) []Consequence {
	reopening := d.request.Reopening
	mail := func(name MailName, to Recipient) Consequence {
		return SendMail{Mail: name, To: to, Habilitation: e.Habilitation, Reopening: reopening}
	}
	byHub := !slices.Contains(mailedByProvider, d.request.Definition)
	if h, ok := d.change.Request.habilitation(e.Habilitation); ok && h.ParentID != 0 {
		byHub = true // the provider of a linked habilitation is FranceConnect
	}
	switch e.Name {
	case EventSubmit:
		return []Consequence{mail(MailReceived, ToApplicant), mail(MailSubmitted, ToReporters)}
	case EventRequestChanges:
		return when(byHub, mail(MailChangesRequested, ToApplicant))
	case EventRefuse:
		return when(byHub, mail(MailRefused, ToApplicant))
	case EventRevoke:
		reopening = false // there is no such variant
		return when(byHub, mail(MailRevoked, ToApplicant))
	case EventApprove:
		return append(when(byHub, mail(MailApproved, ToApplicant)), d.approvalNotices(mail)...)
	case EventAutoGenerate:
		return []Consequence{mail(MailFranceConnect, ToApplicant), mail(MailFranceConnect, ToFranceConnectSupport)}
	case EventTransfer:
		if _, ok := d.cmd.(TransferToUser); ok {
			return []Consequence{
				mail(MailTransferred, ToApplicant),
				SendMail{Mail: MailTransferred, To: ToFormerApplicant, Former: d.request.Applicant.ID, Reopening: reopening},
			}
		}
	}
	return nil
}

// approvalNotices go to others than the applicant.
func (d *decision) approvalNotices(mail func(MailName, Recipient) Consequence) []Consequence {
	data, definition := d.change.Request.Data, d.request.Definition
	has := func(to Recipient) bool { return data[string(to)+contactEmailSuffix] != "" }
	var list []Consequence
	for _, to := range []Recipient{ToResponsable, ToDPO} {
		list = append(list, when(has(to), mail(MailGDPRNotice, to))...)
	}
	list = append(list, when(d.facts.Provider == providerDGFiP, mail(MailProviderNotice, ToProvider))...)
	list = append(list, when(definition == franceConnectDefinition, mail(MailFranceConnect, ToFranceConnectSupport))...)
	other := data[string(ToAdministrator)+contactEmailSuffix] != d.request.Applicant.Email
	list = append(list, when(strings.HasPrefix(definition, hubeePrefix) && has(ToAdministrator) && other, mail(MailApproved, ToAdministrator))...)
	if definition == definitionProduits {
		for _, to := range []Recipient{ToResponsable, ToDPO, ToTechnical} {
			list = append(list, when(has(to), mail(MailConvention, to))...)
		}
	}
	return list
}

func when(holds bool, c Consequence) []Consequence {
	if holds {
		return []Consequence{c}
	}
	return nil
}

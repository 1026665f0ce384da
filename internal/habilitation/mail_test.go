package habilitation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

// The table of datapass.md, 7: "mail>recipient", with "+" for the variant of a
// reopening.
func TestMails(t *testing.T) {
	contacts := func(kinds ...string) hab.Data {
		data := embedded()
		delete(data, "responsable_traitement_email")
		for _, kind := range kinds {
			data[kind+"_email"] = kind + "@valbrise-sur-ormes.example"
		}
		return data
	}
	for _, c := range []struct {
		sentence string
		uid      string
		data     hab.Data
		steps    []hab.EventName
		want     string
	}{
		{"a submission is confirmed and announced", "api_scolarite", contacts(), []hab.EventName{submit}, "received>applicant submitted>reporters"},
		{"a submitted update has its own texts", "api_scolarite", contacts(), []hab.EventName{submit, approve, reopen, update, submit}, "received>applicant+ submitted>reporters+"},
		{"changes are asked", "api_scolarite", contacts(), []hab.EventName{submit, requestChanges}, "changes_requested>applicant"},
		{"a refusal is told", "api_scolarite", contacts(), []hab.EventName{submit, refuse}, "refused>applicant"},
		{"the refusal of an update too", "api_scolarite", contacts(), []hab.EventName{submit, approve, reopen, update, submit, refuse}, "refused>applicant+"},
		{"an approval is told", "api_scolarite", contacts(), []hab.EventName{submit, approve}, "approved>applicant"},
		{
			"an approval tells those in charge of the data", "api_scolarite", contacts("responsable_traitement", "delegue_protection_donnees"),
			[]hab.EventName{submit, approve},
			"approved>applicant gdpr_notice>responsable_traitement gdpr_notice>delegue_protection_donnees",
		},
		{"a revocation is told", "api_scolarite", contacts(), []hab.EventName{submit, approve, revoke}, "revoked>applicant"},
		{"reopening, dropping, archiving are told to nobody", "api_scolarite", contacts(), []hab.EventName{submit, approve, reopen}, ""},
		{"dropping an update is told to nobody", "api_scolarite", contacts(), []hab.EventName{submit, approve, reopen, cancelReopening}, ""},
		{"archiving is told to nobody", "api_scolarite", contacts(), []hab.EventName{archive}, ""},
		{"DGFiP's own people are told of approvals", "api_ficoba_sandbox", contacts(), []hab.EventName{submit, approve}, "approved>applicant provider_notice>provider"},
		{"FranceConnect's support is told", "france_connect", contacts(), []hab.EventName{submit, approve}, "approved>applicant france_connect>france_connect_support"},
		{"HubEE's administrator is told when he is not the applicant", "hubee_cert_dc", contacts("administrateur_metier"), []hab.EventName{submit, approve}, "approved>applicant approved>administrateur_metier"},
		{
			"the convention goes to three contacts", "produits_dinum", contacts("responsable_traitement", "contact_technique"),
			[]hab.EventName{submit, approve},
			"approved>applicant gdpr_notice>responsable_traitement convention>responsable_traitement convention>contact_technique",
		},
		{"API Entreprise mails submissions", "api_entreprise", contacts(), []hab.EventName{submit}, "received>applicant submitted>reporters"},
		{"API Entreprise mails no refusal itself", "api_entreprise", contacts(), []hab.EventName{submit, refuse}, ""},
		{"API Entreprise mails GDPR notices", "api_entreprise", contacts("responsable_traitement"), []hab.EventName{submit, approve}, "gdpr_notice>responsable_traitement"},
		{
			"API Particulier mails those of FranceConnect", "api_particulier", contacts(),
			[]hab.EventName{submit, approve},
			"france_connect>applicant france_connect>france_connect_support",
		},
		{"the revocation of a linked habilitation is told", "api_particulier", contacts(), []hab.EventName{submit, approve, revoke}, "revoked>applicant"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			w := newWorld(t, facts[c.uid], c.data).follow(c.steps...)
			var got []string
			for _, m := range only[hab.SendMail](w.change) {
				mail := string(m.Mail) + ">" + string(m.To)
				if m.Reopening {
					mail += "+"
				}
				got = append(got, mail)
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATransferIsToldToBothAndCancelsPendingHandovers(t *testing.T) {
	w := newWorld(t, single, answers("a")).follow(submit, approve)
	w.do(hab.TransferToUser{By: w.by(applicant), To: &samir, Member: true}, single)
	want := []hab.Consequence{
		hab.CancelPendingHandovers{},
		hab.NotifyWebhooks{Event: hab.EventTransfer, Definition: "api_entreprise"},
		hab.SendMail{Mail: hab.MailTransferred, To: hab.ToApplicant},
		hab.SendMail{Mail: hab.MailTransferred, To: hab.ToFormerApplicant, Former: jeanne.ID},
	}
	if diff := cmp.Diff(want, w.change.Consequences); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&hab.Transfer{Type: "User", From: jeanne.ID, To: samir.ID}, w.change.Events[0].Transfer); diff != "" {
		t.Error(diff)
	}
}

func TestARevocationDuringAnUpdateIsToldAsARevocation(t *testing.T) {
	d := facts["api_scolarite"]
	w := newWorld(t, d, answers()).follow(submit, approve, reopen)
	w.do(hab.Revoke{By: w.by(instructor), Habilitation: w.request.Habilitations[0].ID, Reason: "Usage détourné."}, d)
	want := []hab.SendMail{{Mail: hab.MailRevoked, To: hab.ToApplicant, Habilitation: w.request.Habilitations[0].ID}}
	if diff := cmp.Diff(want, only[hab.SendMail](w.change)); diff != "" {
		t.Error(diff)
	}
}

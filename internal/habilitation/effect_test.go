package habilitation_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

func embedded() hab.Data {
	return hab.Data{
		"intitule": "Tarification de la cantine", "cadre_juridique_nature": "Délibération",
		"scopes":     hab.EncodeList([]string{"birthdate", "cnaf_quotient_familial", "openid"}),
		"modalities": hab.EncodeList([]string{"france_connect", "params"}),
		"fc_eidas":   "eidas_1", "fc_cadre_juridique_nature": "Arrêté du 8 novembre 2018",
		"responsable_traitement_email": "odile.garnier@valbrise-sur-ormes.example",
	}
}

func TestAnApprovalSnapshotsTheRequest(t *testing.T) {
	w := newWorld(t, single, answers("a")).follow(submit)
	w.do(hab.Approve{By: w.by(instructor), Message: "Bienvenue."}, single)
	want := []hab.Habilitation{{
		ID: 501, Definition: "api_entreprise", Form: "api_entreprise-form", State: hab.GrantActive, Data: answers("a"),
		Organization: valbrise, Applicant: jeanne, Message: "Bienvenue.", CreatedAt: w.now,
	}}
	if diff := cmp.Diff(want, w.request.Habilitations); diff != "" {
		t.Fatal(diff)
	}
	w.do(hab.TransferToOrganization{By: w.by(admin), To: &ormes}, single)
	w.do(hab.TransferToUser{By: w.by(instructor), To: &samir, Member: true}, single)
	if diff := cmp.Diff(want, w.request.Habilitations); diff != "" {
		t.Errorf("a transfer rewrote the holder of a past habilitation:\n%s", diff)
	}
}

func TestAnApprovalGrantsTheLinkedFranceConnectHabilitation(t *testing.T) {
	w := newWorld(t, embedding, embedded()).follow(submit, approve)
	parent, child := w.request.Habilitations[0], w.request.Habilitations[1]
	if child.Definition != "france_connect" || child.ParentID != parent.ID || child.State != hab.GrantActive {
		t.Fatalf("got %+v", child)
	}
	id := strconv.FormatInt(child.ID, 10)
	if parent.Data["france_connect_authorization_id"] != id || w.request.Data["france_connect_authorization_id"] != id {
		t.Errorf("the linked habilitation is not named: %v, %v", parent.Data, w.request.Data)
	}
	want := hab.Data{
		"intitule": "Tarification de la cantine", "cadre_juridique_nature": "Arrêté du 8 novembre 2018",
		"france_connect_eidas": "eidas_1", "scopes": `["birthdate", "openid"]`,
		"responsable_traitement_email": "odile.garnier@valbrise-sur-ormes.example",
	}
	if diff := cmp.Diff(want, child.Data); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]hab.IssueCredentials{
		{Grant: hab.Grant{Definition: "api_particulier", Habilitation: parent.ID, Scopes: []string{"birthdate", "cnaf_quotient_familial", "openid"}, Modalities: []string{"france_connect", "params"}}},
		{Grant: hab.Grant{Definition: "france_connect", Habilitation: child.ID, Scopes: []string{"birthdate", "openid"}, Modalities: []string{}}},
	}, only[hab.IssueCredentials](w.change)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]hab.NotifyWebhooks{
		{Event: approve, Definition: "api_particulier", Habilitation: parent.ID},
		{Event: approve, Definition: "france_connect", Habilitation: child.ID},
	}, only[hab.NotifyWebhooks](w.change)); diff != "" {
		t.Error(diff)
	}

	t.Run("an update keeps it, and revoking the update revokes it", func(t *testing.T) {
		w.follow(reopen, update, submit, approve)
		if got := w.request.Habilitations; len(got) != 3 || got[1].State != hab.GrantActive || got[0].State != hab.GrantObsolete {
			t.Fatalf("got %+v", got)
		}
		w.do(hab.Revoke{By: w.by(instructor), Habilitation: w.request.Habilitations[2].ID, Reason: "Usage détourné."}, embedding)
		if w.request.State != hab.Revoked || w.request.Habilitations[1].State != hab.GrantRevoked {
			t.Errorf("got %s, %+v", w.request.State, w.request.Habilitations)
		}
		if len(w.change.Events) != 2 || len(only[hab.RevokeCredentials](w.change)) != 2 {
			t.Errorf("got %+v, %+v", w.change.Events, w.change.Consequences)
		}
	})
}

func TestAnUpdateThatDropsFranceConnectEndsItsHabilitation(t *testing.T) {
	w := newWorld(t, embedding, embedded()).follow(submit, approve, reopen)
	data := copyData(w.request.Data)
	delete(data, "france_connect_authorization_id")
	data["modalities"] = hab.EncodeList([]string{"params"})
	w.do(hab.Update{By: w.by(applicant), Data: data}, embedding)
	w.follow(submit, approve)
	if got := w.request.Habilitations[1]; got.State != hab.GrantObsolete {
		t.Errorf("got %+v", got)
	}
	if got := only[hab.RevokeCredentials](w.change); len(got) != 1 || got[0].Definition != "france_connect" {
		t.Errorf("got %+v", got)
	}
}

func TestDatesOfTheLastDecisions(t *testing.T) {
	w := newWorld(t, single, answers("a")).follow(submit)
	submitted := w.now
	w.follow(approve)
	validated := w.now
	for _, steps := range [][]hab.EventName{{reopen, cancelReopening}, {reopen, update, submit, refuse}} {
		w.follow(steps...)
		if !w.request.LastValidatedAt.Equal(validated) {
			t.Errorf("%v moved last_validated_at", steps)
		}
	}
	if !w.request.LastSubmittedAt.After(submitted) || w.request.ReopenedAt.IsZero() {
		t.Errorf("got %+v", w.request)
	}
}

func TestARefusedUpdateRestoresTheHabilitation(t *testing.T) {
	w := newWorld(t, single, answers("a")).follow(submit, approve, reopen)
	w.do(hab.Update{By: w.by(applicant), Data: answers("a", "b")}, single)
	w.follow(submit, refuse)
	if diff := cmp.Diff(answers("a"), w.request.Data); diff != "" {
		t.Error(diff)
	}
	if e := w.change.Events[0]; e.Entity != hab.EntityDenial || e.Reason == "" {
		t.Errorf("the refusal is not kept: %+v", e)
	}
	if got := only[hab.CancelPendingWork](w.change); len(got) != 0 {
		t.Error("the refusal of an update cancels nothing")
	}
}

func TestStages(t *testing.T) {
	t.Run("production keeps the answers and asks for consent again", func(t *testing.T) {
		w := newWorld(t, sandbox, answers("a"))
		w.do(hab.Submit{By: w.by(applicant), TermsAccepted: true, DPOInformed: true}, sandbox)
		w.follow(approve, startNextStage)
		r := w.request
		if r.Definition != "api_ficoba" || r.Form != "api-ficoba-production" || r.TermsAccepted || r.DPOInformed || r.Reopening {
			t.Errorf("got %+v", r)
		}
		if diff := cmp.Diff(answers("a"), r.Data); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("going back restores sandbox and its consents", func(t *testing.T) {
		w := newWorld(t, sandbox, answers("a")).follow(submit, approve, startNextStage, update, cancelNextStage)
		r := w.request
		if r.Definition != "api_ficoba_sandbox" || r.Form != "api-ficoba-sandbox" || !r.TermsAccepted || !r.DPOInformed {
			t.Errorf("got %+v", r)
		}
		if diff := cmp.Diff(answers("a"), r.Data); diff != "" {
			t.Error(diff)
		}
		if w.change.Consequences != nil {
			t.Errorf("no webhook, no mail, no credential: %+v", w.change.Consequences)
		}
	})
	t.Run("sandbox reopened beside production, then production again with its own answers", func(t *testing.T) {
		w := newWorld(t, sandbox, answers("a")).follow(submit, approve, startNextStage)
		data := answers("a")
		data["volumetrie_appels_par_minute"] = "200"
		w.do(hab.Update{By: w.by(applicant), Data: data}, production)
		w.follow(submit, approve)
		w.do(hab.Reopen{By: w.by(applicant), Habilitation: w.request.Habilitations[0].ID}, production)
		if w.request.Definition != "api_ficoba_sandbox" || w.request.Data["volumetrie_appels_par_minute"] != "" {
			t.Fatalf("got %+v", w.request)
		}
		w.follow(update, submit, approve)
		if got := only[hab.UpdateGrants](w.change); len(got) != 1 || got[0].Definition != "api_ficoba_sandbox" {
			t.Errorf("got %+v", w.change.Consequences)
		}
		w.follow(startNextStage)
		if w.request.Data["volumetrie_appels_par_minute"] != "200" {
			t.Errorf("got %+v", w.request.Data)
		}
	})
	t.Run("dropping a sandbox update beside production shows production again", func(t *testing.T) {
		w := newWorld(t, sandbox, answers("a")).follow(submit, approve, startNextStage, update, submit, approve)
		before := deepCopy(w.request)
		w.do(hab.Reopen{By: w.by(applicant), Habilitation: w.request.Habilitations[0].ID}, production)
		w.follow(update, cancelReopening)
		before.Version, before.ReopenedAt = w.request.Version, w.request.ReopenedAt
		if diff := cmp.Diff(before, w.request); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("each stage has its own credentials", func(t *testing.T) {
		w := newWorld(t, sandbox, answers("a")).follow(submit, approve, startNextStage, submit, approve)
		if got := only[hab.IssueCredentials](w.change); len(got) != 1 || got[0].Definition != "api_ficoba" {
			t.Fatalf("got %+v", got)
		}
		w.do(hab.Revoke{By: w.by(instructor), Habilitation: w.request.Habilitations[0].ID, Reason: "Bac à sable fermé."}, production)
		if w.request.State != hab.Validated {
			t.Errorf("production is still active, got %s", w.request.State)
		}
		if diff := cmp.Diff([]hab.RevokeCredentials{{Definition: "api_ficoba_sandbox", Habilitation: 501}}, only[hab.RevokeCredentials](w.change)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]hab.NotifyWebhooks{{Event: revoke, Definition: "api_ficoba", Habilitation: 501}}, only[hab.NotifyWebhooks](w.change)); diff != "" {
			t.Errorf("the request's current definition chooses the subscribers:\n%s", diff)
		}
	})
}

func TestRevokingDuringAnUpdate(t *testing.T) {
	w := newWorld(t, single, answers("a")).follow(submit, approve, reopen, update)
	w.do(hab.Revoke{By: w.by(instructor), Habilitation: 501, Reason: "Usage détourné."}, single)
	if w.request.State != hab.Draft || !w.request.Reopening {
		t.Fatalf("a request being reopened stays in its state, got %s", w.request.State)
	}
	if got := only[hab.RevokeCredentials](w.change); len(got) != 1 {
		t.Errorf("its credentials end at once, got %+v", w.change.Consequences)
	}
	t.Run("dropping the update shows it revoked, not validated", func(t *testing.T) {
		dropped := *w
		dropped.t = t
		dropped.follow(cancelReopening)
		if dropped.request.State != hab.Revoked {
			t.Errorf("got %s", dropped.request.State)
		}
	})
	t.Run("approving it issues new credentials", func(t *testing.T) {
		approved := *w
		approved.t = t
		approved.follow(submit, approve)
		if got := only[hab.IssueCredentials](approved.change); approved.request.State != hab.Validated || len(got) != 1 {
			t.Errorf("got %s, %+v", approved.request.State, approved.change.Consequences)
		}
	})
}

package habilitation_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

const (
	update          = hab.EventUpdate
	submit          = hab.EventSubmit
	requestChanges  = hab.EventRequestChanges
	approve         = hab.EventApprove
	refuse          = hab.EventRefuse
	revoke          = hab.EventRevoke
	archive         = hab.EventArchive
	reopen          = hab.EventReopen
	cancelReopening = hab.EventCancelReopening
	startNextStage  = hab.EventStartNextStage
	cancelNextStage = hab.EventCancelNextStage
)

func TestARequestLives(t *testing.T) {
	for _, c := range []struct {
		sentence  string
		facts     hab.DefinitionFacts
		steps     []hab.EventName
		state     hab.State
		reopening bool
		grants    []hab.GrantState
	}{
		{"it begins as a draft", single, nil, hab.Draft, false, nil},
		{"it is submitted", single, []hab.EventName{submit}, hab.Submitted, false, nil},
		{"it is sent back and submitted again", single, []hab.EventName{submit, requestChanges, submit}, hab.Submitted, false, nil},
		{"it is approved", single, []hab.EventName{submit, approve}, hab.Validated, false, []hab.GrantState{"active"}},
		{"it is approved although changes were asked", single, []hab.EventName{submit, requestChanges, approve}, hab.Validated, false, []hab.GrantState{"active"}},
		{"it is refused although changes were asked", single, []hab.EventName{submit, requestChanges, refuse}, hab.Refused, false, nil},
		{"a refused one is archived", single, []hab.EventName{submit, refuse, archive}, hab.Archived, false, nil},
		{"a draft is archived", single, []hab.EventName{archive}, hab.Archived, false, nil},
		{"it is revoked, then archived", single, []hab.EventName{submit, approve, revoke, archive}, hab.Archived, false, []hab.GrantState{"revoked"}},
		{"its habilitation stays active while it is reopened", single, []hab.EventName{submit, approve, reopen}, hab.Draft, true, []hab.GrantState{"active"}},
		{"an approved update replaces the habilitation", single, []hab.EventName{submit, approve, reopen, update, submit, approve}, hab.Validated, false, []hab.GrantState{"obsolete", "active"}},
		{"a refused update leaves it validated", single, []hab.EventName{submit, approve, reopen, update, submit, refuse}, hab.Validated, false, []hab.GrantState{"active"}},
		{"a dropped update leaves it validated", single, []hab.EventName{submit, approve, reopen, update, cancelReopening}, hab.Validated, false, []hab.GrantState{"active"}},
		{"only what is active is revoked", single, []hab.EventName{submit, approve, reopen, update, submit, approve, revoke}, hab.Revoked, false, []hab.GrantState{"obsolete", "revoked"}},
		{"it goes from sandbox to production", sandbox, []hab.EventName{submit, approve, startNextStage, submit, approve}, hab.Validated, false, []hab.GrantState{"active", "active"}},
		{"it comes back from production", sandbox, []hab.EventName{submit, approve, startNextStage, cancelNextStage}, hab.Validated, false, []hab.GrantState{"active"}},
		{"a refused first production request comes back to sandbox", sandbox, []hab.EventName{submit, approve, startNextStage, submit, refuse, cancelNextStage}, hab.Validated, false, []hab.GrantState{"active"}},
		{"both stages are revoked together", sandbox, []hab.EventName{submit, approve, startNextStage, submit, approve, revoke}, hab.Revoked, false, []hab.GrantState{"revoked", "revoked"}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			r := newWorld(t, c.facts, answers("a")).follow(c.steps...).request
			var grants []hab.GrantState
			for _, h := range r.Habilitations {
				grants = append(grants, h.State)
			}
			if r.State != c.state || r.Reopening != c.reopening || !cmp.Equal(grants, c.grants) {
				t.Errorf("got %s, reopening %v, habilitations %v", r.State, r.Reopening, grants)
			}
		})
	}
}

func TestACommandIsRefused(t *testing.T) {
	validated := []hab.EventName{submit, approve}
	for _, c := range []struct {
		sentence string
		facts    hab.DefinitionFacts
		steps    []hab.EventName
		cmd      func(w *world) hab.Command
		code     hab.RefusalCode
	}{
		{"submitted twice", single, []hab.EventName{submit}, func(w *world) hab.Command { return w.step(submit) }, hab.RefusedIllegalTransition},
		{"archived while it is examined", single, []hab.EventName{submit}, func(w *world) hab.Command { return w.step(archive) }, hab.RefusedIllegalTransition},
		{"archived while changes are asked", single, []hab.EventName{submit, requestChanges}, func(w *world) hab.Command { return w.step(archive) }, hab.RefusedIllegalTransition},
		{"archived while reopened, its habilitation active", single, []hab.EventName{submit, approve, reopen}, func(w *world) hab.Command { return w.step(archive) }, hab.RefusedHabilitationActive},
		{"edited once archived", single, []hab.EventName{archive}, func(w *world) hab.Command { return w.step(update) }, hab.RefusedIllegalTransition},
		{"edited through the API once validated", single, validated, func(w *world) hab.Command {
			return hab.Update{By: w.by(developer), ByAPI: true, Data: answers("b")}
		}, hab.RefusedDeadEndState},
		{"refused without a reason", single, []hab.EventName{submit}, func(w *world) hab.Command { return hab.Refuse{By: w.by(instructor)} }, hab.RefusedReasonMissing},
		{"sent back with a blank reason", single, []hab.EventName{submit}, func(w *world) hab.Command { return hab.RequestChanges{By: w.by(instructor), Reason: " \n"} }, hab.RefusedReasonMissing},
		{"revoked without a reason", single, validated, func(w *world) hab.Command { return hab.Revoke{By: w.by(instructor)} }, hab.RefusedReasonMissing},
		{"an instructor drops an update without a reason", single, []hab.EventName{submit, approve, reopen}, func(w *world) hab.Command { return hab.CancelReopening{By: w.by(instructor)} }, hab.RefusedReasonMissing},
		{"nothing to drop", single, []hab.EventName{submit}, func(w *world) hab.Command {
			return hab.CancelReopening{By: w.by(instructor), Reason: "Doublon."}
		}, hab.RefusedNotReopening},
		{"an unchanged reopening is submitted", single, []hab.EventName{submit, approve, reopen}, func(w *world) hab.Command { return w.step(submit) }, hab.RefusedUnchanged},
		{"a request is reopened twice", single, []hab.EventName{submit, approve, reopen}, func(w *world) hab.Command { return w.step(reopen) }, hab.RefusedIllegalTransition},
		{"an obsolete habilitation is reopened", single, []hab.EventName{submit, approve, reopen, update, submit, approve}, func(w *world) hab.Command {
			return hab.Reopen{By: w.by(applicant), Habilitation: w.request.Habilitations[0].ID}
		}, hab.RefusedNotReopenable},
		{"an obsolete habilitation is revoked", single, []hab.EventName{submit, approve, reopen, update, submit, approve}, func(w *world) hab.Command {
			return hab.Revoke{By: w.by(instructor), Habilitation: w.request.Habilitations[0].ID, Reason: "Usage détourné."}
		}, hab.RefusedHabilitationNotActive},
		{"an unknown habilitation is revoked", single, validated, func(w *world) hab.Command {
			return hab.Revoke{By: w.by(instructor), Habilitation: 1, Reason: "Usage détourné."}
		}, hab.RefusedHabilitationUnknown},
		{"a whole request is revoked while it is reopened", single, []hab.EventName{submit, approve, reopen}, func(w *world) hab.Command { return w.step(revoke) }, hab.RefusedIllegalTransition},
		{"a linked FranceConnect habilitation is reopened", embedding, validated, func(w *world) hab.Command {
			return hab.Reopen{By: w.by(applicant), Habilitation: w.request.Habilitations[1].ID}
		}, hab.RefusedNotReopenable},
		{"production is reopened although sandbox is newer", sandbox, []hab.EventName{submit, approve, startNextStage, submit, approve}, func(w *world) hab.Command {
			prod := w.request.Habilitations[1].ID
			w.do(hab.Reopen{By: w.by(applicant), Habilitation: w.request.Habilitations[0].ID}, production)
			w.follow(update, submit, approve)
			return hab.Reopen{By: w.by(applicant), Habilitation: prod}
		}, hab.RefusedNotReopenable},
		{"there is no next stage", single, validated, func(w *world) hab.Command { return w.step(startNextStage) }, hab.RefusedNoNextStage},
		{"there is no stage to go back to", single, nil, func(w *world) hab.Command { return w.step(cancelNextStage) }, hab.RefusedNoPreviousStage},
		{"a request that began in production has no sandbox", production, nil, func(w *world) hab.Command { return w.step(cancelNextStage) }, hab.RefusedNoPreviousStage},
		{"another version was seen", single, nil, func(w *world) hab.Command {
			return hab.Submit{By: hab.By{Actor: applicant, At: w.now, Version: 7}}
		}, hab.RefusedStaleVersion},
		{"the data's own rules found faults", single, nil, func(w *world) hab.Command {
			return hab.Submit{By: w.by(applicant), Faults: []hab.FieldError{{Key: "intitule", Message: "Intitulé : champ obligatoire"}}}
		}, hab.RefusedInvalidData},
		{"nobody has the new address", single, nil, func(w *world) hab.Command { return hab.TransferToUser{By: w.by(instructor)} }, hab.RefusedNotTransferable},
		{"nobody has the new address, once submitted", single, []hab.EventName{submit}, func(w *world) hab.Command { return hab.TransferToUser{By: w.by(instructor)} }, hab.RefusedEmailNotFound},
		{"the new applicant is the old one", single, []hab.EventName{submit}, func(w *world) hab.Command {
			return hab.TransferToUser{By: w.by(member), To: &jeanne, Member: true}
		}, hab.RefusedDifferentUser},
		{"the new applicant is of another organisation", single, []hab.EventName{submit}, func(w *world) hab.Command {
			return hab.TransferToUser{By: w.by(member), To: &samir}
		}, hab.RefusedInvalidNewApplicant},
		{"the new organisation is unknown", single, nil, func(w *world) hab.Command { return hab.TransferToOrganization{By: w.by(admin)} }, hab.RefusedInvalidNewOrganization},
		{"the new organisation is the old one", single, nil, func(w *world) hab.Command {
			return hab.TransferToOrganization{By: w.by(admin), To: &valbrise}
		}, hab.RefusedDifferentOrganization},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			w := newWorld(t, c.facts, embedded()).follow(c.steps...)
			cmd := c.cmd(w)
			if err := w.try(cmd, facts[w.request.Definition]); !hab.RefusedFor(err, c.code) {
				t.Errorf("want %s, got %v", c.code, err)
			}
		})
	}
}

func TestAnIllegalTransitionNamesStateAndEvent(t *testing.T) {
	w := newWorld(t, single, answers()).follow(submit)
	err := w.try(w.step(submit), single)
	var refusal *hab.Refusal
	if !errors.As(err, &refusal) || refusal.State != hab.Submitted || refusal.Event != submit {
		t.Fatalf("got %#v", err)
	}
	want := "L’événement « submit » n’est pas possible sur une demande dans l’état « submitted » (en cours d’instruction)."
	if refusal.Message != want {
		t.Errorf("got %q", refusal.Message)
	}
}

func TestAMirroredRequestIsDecidedInDataPassOnly(t *testing.T) {
	r := hab.Request{ID: 1, Origin: hab.Mirrored, State: hab.Submitted, Organization: valbrise, Applicant: jeanne}
	_, err := hab.Decide(r, single, hab.Approve{By: hab.By{Actor: instructor, At: dayOne}})
	if !hab.RefusedFor(err, hab.RefusedMirrored) {
		t.Errorf("got %v", err)
	}
}

func TestCreation(t *testing.T) {
	closed := valbrise
	closed.INSEEPayload = []byte(`{"etablissement":{"periodesEtablissement":[
		{"dateFin":"2007-12-31","etatAdministratifEtablissement":"A"},{"dateFin":null,"etatAdministratifEtablissement":"F"}]}}`)
	reopened := valbrise
	reopened.INSEEPayload = []byte(`{"etablissement":{"periodesEtablissement":[
		{"dateFin":null,"etatAdministratifEtablissement":"A"},{"dateFin":"2007-12-31","etatAdministratifEtablissement":"F"}]}}`)
	notStartable := single
	notStartable.Startable = false
	for _, c := range []struct {
		sentence string
		actor    hab.Actor
		facts    hab.DefinitionFacts
		org      hab.Organization
		byAPI    bool
		code     hab.RefusalCode
	}{
		{"an applicant begins a request", applicant, single, valbrise, false, ""},
		{"an applicant begins one for an organisation that was closed once", applicant, single, reopened, false, ""},
		{"an applicant cannot for a closed organisation", applicant, single, closed, false, hab.RefusedOrganizationClosed},
		{"an applicant cannot where only instructors begin", applicant, notStartable, valbrise, false, hab.RefusedNotStartable},
		{"nobody begins one in another's name", member, single, valbrise, false, hab.RefusedUnauthorizedType},
		{"a developer's application begins one for anybody", developer, notStartable, valbrise, true, ""},
		{"an application without the role cannot", applicant, single, valbrise, true, hab.RefusedUnauthorizedType},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			change, err := hab.Decide(hab.Request{}, c.facts, hab.Create{
				By: hab.By{Actor: c.actor, At: dayOne}, ID: 7, Form: "api-entreprise", Prefill: answers("a"), Data: answers("a", "b"),
				Organization: c.org, Applicant: jeanne, ByAPI: c.byAPI,
			})
			if c.code != "" {
				if !hab.RefusedFor(err, c.code) {
					t.Fatalf("want %s, got %v", c.code, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r := change.Request
			if r.ID != 7 || r.State != hab.Draft || r.Origin != hab.Native || r.Definition != "api_entreprise" || r.Version != 1 || !r.CreatedAt.Equal(dayOne) {
				t.Errorf("got %+v", r)
			}
			e := change.Events[0]
			if c.byAPI && (e.Name != hab.EventCreateByAPI || e.Entity != hab.EntityChangelog || *e.Diff["scopes"][1] != `["a", "b"]`) {
				t.Errorf("got %+v", e)
			}
			if !c.byAPI && (e.Name != hab.EventCreate || e.Entity != hab.EntityRequest || e.Diff != nil) {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestAnUpdateWithoutDifferenceIsNoEvent(t *testing.T) {
	w := newWorld(t, single, answers("a"))
	w.do(hab.Update{By: w.by(applicant), Data: answers("a")}, single)
	if len(w.change.Events) != 0 || len(w.change.Consequences) != 0 || w.request.Version != 1 {
		t.Errorf("got %+v", w.change)
	}
}

func TestTheChangelogOfASubmissionSpansAllUpdatesSinceTheLast(t *testing.T) {
	w := newWorld(t, single, answers("a"))
	prefill := answers()
	w.do(hab.Update{By: w.by(applicant), Data: answers("b")}, single)
	w.do(hab.Update{By: w.by(applicant), Data: hab.Data{"scopes": hab.EncodeList([]string{"c"})}}, single)
	w.do(hab.Submit{By: w.by(applicant), Since: prefill}, single)
	got := w.change.Events[0].Diff
	title, before, after := "Candidatures aux marchés publics", `[]`, `["c"]`
	if diff := cmp.Diff(hab.Diff{"intitule": {&title, nil}, "scopes": {&before, &after}}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(w.request.Data, got.Apply(prefill)); diff != "" {
		t.Errorf("the changelogs do not add up to what is known:\n%s", diff)
	}
}

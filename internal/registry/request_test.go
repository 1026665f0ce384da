package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// town is an organisation with the people who drive its requests.
type town struct {
	bench
	t                                            *testing.T
	organization                                 habilitation.Organization
	jeanne, samir, ines                          habilitation.Applicant // applicant, colleague, instructor
	applicant, colleague, instructor, dev, admin habilitation.Viewer
}

func newTown(t *testing.T, policies registry.Policies) *town {
	t.Helper()
	w := &town{bench: open(t, policies), t: t}
	err := w.store.InTx(t.Context(), func(tx *store.Tx) error {
		var err error
		if w.organization, err = tx.EnsureOrganization(t.Context(), "21380999900013"); err != nil {
			return err
		}
		person := func(email, given, family string) habilitation.Applicant {
			p, perr := tx.UpsertPerson(t.Context(), habilitation.Applicant{Email: email, GivenName: given, FamilyName: family})
			err = errors.Join(err, perr)
			return p.Applicant
		}
		w.jeanne = person("jeanne.morvan@valbrise-sur-ormes.example", "Jeanne", "Morvan")
		w.samir = person("samir.haddad@valbrise-sur-ormes.example", "Samir", "Haddad")
		w.ines = person("ines.lacombe@dinum.example", "Inès", "Lacombe")
		return errors.Join(err,
			tx.Link(t.Context(), w.jeanne.ID, w.organization.ID, true), tx.Link(t.Context(), w.samir.ID, w.organization.ID, false),
			tx.SetRoles(t.Context(), w.ines.ID, []string{"dinum:*:instructor", "dgfip:*:instructor"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	at := func(person habilitation.Applicant, organization habilitation.Organization, verified bool, roles ...string) habilitation.Viewer {
		parsed, _ := habilitation.ParseRoles(roles)
		return habilitation.Viewer{
			Actor: habilitation.Actor{Person: person.ID, Organization: organization.ID, Roles: parsed},
			Email: person.Email, SIRET: organization.SIRET, Verified: verified,
		}
	}
	w.applicant = at(w.jeanne, w.organization, true)
	w.colleague = at(w.samir, w.organization, false)
	w.instructor = at(w.ines, habilitation.Organization{}, false, "dinum:*:instructor", "dgfip:*:instructor")
	w.dev = at(habilitation.Applicant{ID: 9_999}, habilitation.Organization{}, false, "dinum:*:developer", "dgfip:*:developer")
	w.admin = at(habilitation.Applicant{ID: 9998}, habilitation.Organization{}, false, "admin")
	return w
}

// answers are a complete request for API Entreprise.
func answers() map[string]any {
	a := map[string]any{
		"intitule": "Candidatures aux marchés publics", "description": "Recevoir les candidatures sans pièces à fournir.",
		"destinataire_donnees_caractere_personnel":       "Les agents du service de la commande publique",
		"duree_conservation_donnees_caractere_personnel": 24,
		"cadre_juridique_nature":                         "Article L2113-1 du code de la commande publique",
		"cadre_juridique_url":                            "https://www.legifrance.gouv.fr/loda/id/JORFTEXT000037701019",
		"scopes":                                         []string{"unites_legales_etablissements_insee"},
	}
	for _, contact := range []string{"responsable_traitement", "delegue_protection_donnees", "contact_technique", "contact_metier"} {
		maps.Copy(a, map[string]any{
			contact + "_given_name": "Lise", contact + "_family_name": "Armand", contact + "_job_title": "Directrice",
			contact + "_phone_number": "0465710020", contact + "_email": strings.ReplaceAll(contact, "_", "-") + "@valbrise-sur-ormes.example",
		})
	}
	return a
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w *town) create() habilitation.Request {
	w.t.Helper()
	cmd := &registry.CreateRequest{Caller: w.applicant, Form: "api-entreprise", Answers: encode(w.t, answers())}
	w.do(cmd)
	return cmd.Request
}

func (w *town) do(cmd registry.Command) {
	w.t.Helper()
	if err := w.Record(w.t.Context(), cmd); err != nil {
		w.t.Fatalf("%T: %v", cmd, err)
	}
}

func (w *town) by(viewer habilitation.Viewer, id int64) registry.Target {
	return registry.Target{ID: id, Caller: viewer}
}

func (w *town) submit(id int64) {
	w.t.Helper()
	w.do(&registry.Submit{Target: w.by(w.applicant, id), TermsAccepted: true, DPOInformed: true})
}

func (w *town) validated() habilitation.Request {
	w.t.Helper()
	r := w.create()
	w.submit(r.ID)
	approve := &registry.Approve{Target: w.by(w.instructor, r.ID), Message: "Bienvenue"}
	w.do(approve)
	return approve.Request
}

func (w *town) read(id int64) habilitation.Request {
	w.t.Helper()
	r, err := w.store.Request(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *town) refused(cmd registry.Command, code habilitation.RefusalCode) {
	w.t.Helper()
	if err := w.Record(w.t.Context(), cmd); !habilitation.RefusedFor(err, code) {
		w.t.Errorf("%T: %v, want a refusal %q", cmd, err, code)
	}
}

func TestANativeRequestGoesFromDraftToAKeyAndToItsEnd(t *testing.T) {
	w := newTown(t, onePolicy{[]string{"m"}})
	r := w.create()
	if r.State != habilitation.Draft || r.Version != 1 || r.Data["scopes"] != `["unites_legales_etablissements_insee"]` {
		t.Fatalf("created %+v", r)
	}
	w.submit(r.ID)
	approve := &registry.Approve{Target: w.by(w.instructor, r.ID), Message: "Bienvenue"}
	w.do(approve)
	stored := w.read(r.ID)
	if stored.State != habilitation.Validated || stored.Version != 3 || len(stored.Habilitations) != 1 {
		t.Fatalf("stored %+v", stored)
	}
	granted := stored.Habilitations[0]
	if granted.Organization.SIRET != "21380999900013" || granted.Applicant.Email != w.jeanne.Email || granted.Message != "Bienvenue" || granted.State != habilitation.GrantActive {
		t.Errorf("snapshot %+v", granted)
	}
	if diff := cmp.Diff(stored.Data, granted.Data); diff != "" {
		t.Errorf("the snapshot's data differ from the request's:\n%s", diff)
	}
	if n := w.count(t, `select count(*) from river_job where kind = 'provision_credential'`); n != 1 {
		t.Errorf("%d provisionings queued, want 1", n)
	}
	w.do(&registry.RevokeRequest{Target: w.by(w.instructor, r.ID), Reason: "Usage non conforme"})
	if got := w.read(r.ID); got.State != habilitation.Revoked || got.Habilitations[0].State != habilitation.GrantRevoked {
		t.Errorf("after the revocation: %s, %s", got.State, got.Habilitations[0].State)
	}
	if n := w.count(t, `select count(*) from credential where state not in ('cancelled', 'revoking')`); n != 0 {
		t.Errorf("%d credentials live on", n)
	}
	w.do(&registry.Archive{Target: w.by(w.applicant, r.ID)})
	w.refused(&registry.Submit{Target: w.by(w.applicant, r.ID)}, habilitation.RefusedIllegalTransition)

	lines, err := w.store.History(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	var story []string
	for _, l := range lines {
		if !strings.HasPrefix(l.Event, "token.") {
			story = append(story, l.Event+" "+l.Actor+" "+l.Reason)
		}
	}
	jeanne, ines := fmt.Sprintf("person:%d ", w.jeanne.ID), fmt.Sprintf("person:%d ", w.ines.ID)
	want := []string{"create " + jeanne, "submit " + jeanne, "approve " + ines, "revoke " + ines + "Usage non conforme", "archive " + jeanne}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Errorf("history:\n%s", diff)
	}
}

func TestEachEventIsPublishedInDataPassFormat(t *testing.T) {
	w := newTown(t, onePolicy{[]string{"m"}})
	r := w.validated()
	w.do(&registry.RevokeRequest{Target: w.by(w.instructor, r.ID), Reason: "Usage non conforme"})
	rows, err := w.pool.Query(t.Context(), `select id from event where type = any('{create,submit,approve,revoke}') order by seq`)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		t.Fatal(err)
	}
	var events, states []string
	for _, id := range ids {
		bodies, err := w.store.Bodies(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if clear := string(bodies.Standard); strings.Contains(clear, "@") || strings.Contains(clear, w.jeanne.FamilyName) {
			t.Errorf("a person is in the form that is kept in clear: %s", clear)
		}
		body := bodies.DataPass
		var e registry.DataPassEvent
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		var raw map[string]any
		if err := decoder.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		data, _ := raw["data"].(map[string]any)
		e.Event, _ = raw["event"].(string)
		state, _ := data["state"].(string)
		events, states = append(events, e.Event), append(states, state)
		if raw["model_type"] != "authorization_request/api_entreprise" || raw["model_id"] != float64(r.ID) || data["type"] != "AuthorizationRequest::APIEntreprise" {
			t.Errorf("body %s", body)
		}
		if answers, _ := data["data"].(map[string]any); answers["duree_conservation_donnees_caractere_personnel"] != float64(24) {
			t.Errorf("the retention time is %v, want the number 24", answers["duree_conservation_donnees_caractere_personnel"])
		}
		for _, key := range []string{"public_id", "form_uid", "created_at", "last_submitted_at", "last_validated_at", "organization", "applicant", "service_provider", "authorizations"} {
			if _, ok := data[key]; !ok {
				t.Errorf("%s has no key %s", e.Event, key)
			}
		}
		if e.Event == "revoke" && raw["authorization_id"] != float64(r.Habilitations[0].ID) {
			t.Errorf("the revocation does not say of which habilitation: %v", raw["authorization_id"])
		}
	}
	if diff := cmp.Diff([]string{"create", "submit", "approve", "revoke"}, events); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"draft", "submitted", "validated", "revoked"}, states); diff != "" {
		t.Error(diff)
	}
}

func TestTheChangelogsTellEveryDifferenceOnce(t *testing.T) {
	w := newTown(t, onePolicy{[]string{"m"}})
	r := w.create()
	w.do(&registry.UpdateRequest{Target: w.by(w.applicant, r.ID), Answers: []byte(`{"intitule": "Marchés"}`)})
	w.submit(r.ID)
	w.do(&registry.RequestChanges{Target: w.by(w.instructor, r.ID), Reason: "Précisez"})
	w.do(&registry.UpdateRequest{Target: w.by(w.applicant, r.ID), Answers: []byte(`{"description": "Mieux", "intitule": "Marchés publics"}`)})
	w.submit(r.ID)
	diffs := map[int]map[string][2]*string{}
	lines, err := w.store.History(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range lines {
		if l.Event != "submit" {
			continue
		}
		var detail struct {
			Diff map[string][2]*string `json:"diff"`
		}
		if err := json.Unmarshal(l.Detail, &detail); err != nil {
			t.Fatal(err)
		}
		diffs[n] = detail.Diff
		n++
	}
	if n != 2 {
		t.Fatalf("%d submissions in the history, want 2", n)
	}
	if got := diffs[0]["intitule"]; got[0] != nil || got[1] == nil || *got[1] != "Marchés" {
		t.Errorf("first changelog of the title: %v", got)
	}
	if len(diffs[1]) != 2 || *diffs[1]["intitule"][0] != "Marchés" || *diffs[1]["intitule"][1] != "Marchés publics" {
		t.Errorf("second changelog: %v", diffs[1])
	}
}

func TestAnUpdateWithoutDifferenceLeavesNoTrace(t *testing.T) {
	w := newTown(t, nil)
	r := w.create()
	cmd := &registry.UpdateRequest{Target: w.by(w.applicant, r.ID), Answers: []byte(`{"intitule": " Candidatures aux marchés publics "}`)}
	w.do(cmd)
	if cmd.Changed || w.read(r.ID).Version != 1 {
		t.Errorf("changed: %t, version %d", cmd.Changed, w.read(r.ID).Version)
	}
	if n := w.count(t, `select count(*) from history where event = 'update'`); n != 0 {
		t.Errorf("%d lines of updates", n)
	}
}

func TestWhatIsRefusedLeavesNoTrace(t *testing.T) {
	w := newTown(t, nil)
	r := w.create()
	stranger := habilitation.Viewer{Actor: habilitation.Actor{Person: 77, Organization: 88}}
	if err := w.Record(t.Context(), &registry.Submit{Target: w.by(stranger, r.ID)}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a stranger gets %v, want not found", err)
	}
	if err := w.Record(t.Context(), &registry.Submit{Target: w.by(w.applicant, 987654)}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown id gives %v, want not found", err)
	}
	w.refused(&registry.Approve{Target: w.by(w.applicant, r.ID)}, habilitation.RefusedNotAllowed)
	w.refused(&registry.Approve{Target: w.by(w.instructor, r.ID)}, habilitation.RefusedIllegalTransition)
	w.refused(&registry.Submit{Target: registry.Target{ID: r.ID, Caller: w.applicant, Version: 7}}, habilitation.RefusedStaleVersion)
	w.refused(&registry.Submit{Target: w.by(w.applicant, r.ID)}, habilitation.RefusedInvalidData)
	w.refused(&registry.CreateRequest{Caller: w.applicant, Form: "no-such-form"}, registry.RefusedFormNotFound)
	w.refused(&registry.CreateRequest{Caller: w.instructor, Form: "api-entreprise"}, registry.RefusedInvalidOrganization)
	w.refused(&registry.CreateRequest{Caller: w.instructor, Form: "api-entreprise", ByAPI: true}, habilitation.RefusedUnauthorizedType)
	w.refused(&registry.CreateRequest{Caller: w.dev, Form: "api-entreprise", ByAPI: true, SIRET: "21380999900013"}, registry.RefusedInvalidApplicant)
	w.refused(&registry.CreateRequest{
		Caller: w.dev, Form: "api-entreprise", ByAPI: true, SIRET: "21380999900014", Applicant: habilitation.Applicant{Email: "a@b.example"},
	}, registry.RefusedInvalidOrganization)
	for name, c := range map[string]struct {
		answers string
		want    registry.AnswersError
	}{
		"an unknown key":    {`{"foo": "bar"}`, registry.AnswersError{Unknown: []string{"foo"}}},
		"a number for text": {`{"intitule": 4}`, registry.AnswersError{Faults: []habilitation.FieldError{{Key: "intitule", Message: "Nom du projet : doit être un texte"}}}},
		"not an object":     {`[1]`, registry.AnswersError{NotAnObject: true}},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.Record(t.Context(), &registry.UpdateRequest{Target: w.by(w.applicant, r.ID), Answers: []byte(c.answers)})
			var fault *registry.AnswersError
			if !errors.As(err, &fault) {
				t.Fatalf("%v, want an AnswersError", err)
			}
			if diff := cmp.Diff(c.want, *fault); diff != "" {
				t.Error(diff)
			}
			if err := w.Record(t.Context(), &registry.UpdateRequest{Target: w.by(w.instructor, r.ID), Answers: []byte(c.answers)}); !habilitation.RefusedFor(err, habilitation.RefusedNotAllowed) {
				t.Errorf("who may not write is told of the answers: %v", err)
			}
		})
	}
	if n := w.count(t, `select count(*) from history`); n != 1 {
		t.Errorf("%d lines of history, want that of the creation alone", n)
	}
	if n := w.count(t, `select count(*) from event`); n != 1 {
		t.Errorf("%d events, want that of the creation alone", n)
	}
	if n := w.count(t, `select count(*) from person where email = 'a@b.example'`); n != 0 {
		t.Error("a refused creation left a person")
	}
}

func TestOfTwoInstructorsAtOnceOneDecides(t *testing.T) {
	w := newTown(t, onePolicy{[]string{"m"}})
	r := w.create()
	w.submit(r.ID)
	version := w.read(r.ID).Version
	errs := make([]error, 20)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			target := registry.Target{ID: r.ID, Caller: w.instructor, Version: version}
			if i%2 == 0 {
				errs[i] = w.Record(t.Context(), &registry.Approve{Target: target})
			} else {
				errs[i] = w.Record(t.Context(), &registry.Refuse{Target: target, Reason: "Non"})
			}
		})
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !habilitation.RefusedFor(err, habilitation.RefusedStaleVersion) {
			t.Errorf("%v, want a refusal for a stale version", err)
		}
	}
	if won != 1 {
		t.Errorf("%d decisions, want 1", won)
	}
	if n := w.count(t, `select count(*) from history where event in ('approve', 'refuse')`); n != 1 {
		t.Errorf("%d decisions in the history, want 1", n)
	}
}

func TestAMirroredRequestIsDecidedInDataPassOnly(t *testing.T) {
	w := newTown(t, onePolicy{[]string{"m"}})
	w.receive(t, sample(t, "webhook-submit.json"))
	w.apply(t, entreprise)
	id, err := w.store.RequestByExternal(t.Context(), store.InboundKey{Source: "datapass", ExternalID: entreprise})
	if err != nil {
		t.Fatal(err)
	}
	w.refused(&registry.Approve{Target: w.by(w.instructor, id)}, habilitation.RefusedMirrored)
	w.refused(&registry.UpdateRequest{Target: w.by(w.instructor, id), Answers: []byte(`{"intitule": 3}`)}, habilitation.RefusedMirrored)
	r := w.read(id)
	namesake := habilitation.Viewer{Actor: habilitation.Actor{Person: r.Applicant.ID, Organization: r.Organization.ID}, Verified: true}
	if err := w.Record(t.Context(), &registry.Submit{Target: w.by(namesake, id)}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a native person whose id is that of the source's applicant gets %v, want not found", err)
	}
}

func TestTransfers(t *testing.T) {
	w := newTown(t, nil)
	r := w.create()
	w.submit(r.ID)
	w.refused(&registry.TransferToUser{Target: w.by(w.applicant, r.ID), Email: "personne@nulle-part.example"}, habilitation.RefusedEmailNotFound)
	w.refused(&registry.TransferToUser{Target: w.by(w.applicant, r.ID), Email: w.ines.Email}, habilitation.RefusedInvalidNewApplicant)
	w.refused(&registry.TransferToUser{Target: w.by(w.applicant, r.ID), Email: w.jeanne.Email}, habilitation.RefusedDifferentUser)
	taken := &registry.TransferToUser{Target: w.by(w.colleague, r.ID), Email: strings.ToUpper(w.samir.Email)}
	w.do(taken)
	if got := w.read(r.ID).Applicant.Email; got != w.samir.Email {
		t.Errorf("the applicant is %s", got)
	}
	if n := w.count(t, `select count(*) from mail where template = 'demande_transferred'`); n != 2 {
		t.Errorf("%d mails of the transfer, want one to each of the two", n)
	}
	if err := w.store.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.EnsureOrganization(t.Context(), "21380999900021")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	w.refused(&registry.TransferToOrganization{Target: w.by(w.instructor, r.ID), SIRET: "21380999900021"}, habilitation.RefusedNotAllowed)
	w.refused(&registry.TransferToOrganization{Target: w.by(w.admin, r.ID), SIRET: "13002526500013"}, habilitation.RefusedInvalidNewOrganization)
	w.do(&registry.TransferToOrganization{Target: w.by(w.admin, r.ID), SIRET: "21380999900021"})
	if got := w.read(r.ID).Organization.SIRET; got != "21380999900021" {
		t.Errorf("the organisation is %s", got)
	}
}

func TestAReopeningIsRestoredWhenRefused(t *testing.T) {
	w := newTown(t, onePolicy{[]string{"m"}})
	r := w.validated()
	w.do(&registry.Reopen{Target: w.by(w.applicant, r.ID)})
	w.refused(&registry.Submit{Target: w.by(w.applicant, r.ID)}, habilitation.RefusedUnchanged)
	w.do(&registry.UpdateRequest{Target: w.by(w.applicant, r.ID), Answers: []byte(`{"intitule": "Autre chose"}`)})
	w.submit(r.ID)
	w.do(&registry.Refuse{Target: w.by(w.instructor, r.ID), Reason: "Hors sujet"})
	got := w.read(r.ID)
	if got.State != habilitation.Validated || got.Reopening || got.Data["intitule"] != "Candidatures aux marchés publics" {
		t.Errorf("after the refusal: %s, reopening %t, %q", got.State, got.Reopening, got.Data["intitule"])
	}
	w.do(&registry.Reopen{Target: w.by(w.applicant, r.ID)})
	w.do(&registry.UpdateRequest{Target: w.by(w.applicant, r.ID), Answers: []byte(`{"scopes": ["unites_legales_etablissements_insee", "attestation_fiscale_dgfip"]}`)})
	w.submit(r.ID)
	w.do(&registry.Approve{Target: w.by(w.instructor, r.ID)})
	got = w.read(r.ID)
	if len(got.Habilitations) != 2 || got.Habilitations[0].State != habilitation.GrantObsolete || got.Habilitations[1].State != habilitation.GrantActive {
		t.Errorf("habilitations after the update: %+v", got.Habilitations)
	}
	if n := w.count(t, `select count(*) from credential`); n != 1 {
		t.Errorf("%d credentials, want the one that keeps its id", n)
	}
}

func TestOneRequestPerOrganisationEvenWhenTwoAreMadeAtOnce(t *testing.T) {
	w := newTown(t, nil)
	errs := make([]error, 10)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = w.Record(t.Context(), &registry.CreateRequest{Caller: w.applicant, Definition: "hubee_cert_dc"})
		})
	}
	all.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !habilitation.RefusedFor(err, habilitation.RefusedInvalidData) {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d requests made, want 1", made)
	}
}

func TestAnApplicationCreatesInTheApplicantsName(t *testing.T) {
	w := newTown(t, nil)
	cmd := &registry.CreateRequest{
		Caller: w.dev, ByAPI: true, Definition: "api_entreprise", SIRET: "21380999900021", Answers: []byte(`{"intitule": "Par API"}`),
		Applicant: habilitation.Applicant{Email: "Lise.Armand@valbrise-sur-ormes.example", GivenName: "Lise"},
	}
	ctx := registry.WithActor(t.Context(), "client:0192")
	if err := w.Record(ctx, cmd); err != nil {
		t.Fatal(err)
	}
	if cmd.Request.Applicant.Email != "lise.armand@valbrise-sur-ormes.example" || !strings.Contains(cmd.Request.Organization.Name, "nom inconnu") {
		t.Errorf("request %+v", cmd.Request)
	}
	if n := w.count(t, `select count(*) from membership where person_id = $1 and not verified`, cmd.Request.Applicant.ID); n != 1 {
		t.Error("the two are not linked, unverified")
	}
	if n := w.count(t, `select count(*) from history where event = 'create_by_api' and actor = 'client:0192' and detail->'diff' ? 'intitule'`); n != 1 {
		t.Error("no changelog of the creation")
	}
	w.do(&registry.UpdateRequest{Target: w.by(w.dev, cmd.Request.ID), ByAPI: true, Answers: []byte(`{"intitule": "Par API encore"}`)})
	if n := w.count(t, `select count(*) from history where event = 'update_by_api'`); n != 1 {
		t.Error("no line of the update")
	}
	if time.Since(cmd.Request.CreatedAt) > time.Minute {
		t.Errorf("created at %s", cmd.Request.CreatedAt)
	}
}

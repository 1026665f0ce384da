package habilitation_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

var (
	dayOne    = time.Date(2026, 3, 9, 10, 14, 27, 418e6, time.UTC)
	valbrise  = hab.Organization{ID: 9120, SIRET: "21380999900013", Name: "COMMUNE DE VALBRISE-SUR-ORMES"}
	ormes     = hab.Organization{ID: 9121, SIRET: "21380999900021", Name: "CCAS DE VALBRISE-SUR-ORMES"}
	jeanne    = hab.Applicant{ID: 77310, Email: "jeanne.morvan@valbrise-sur-ormes.example", GivenName: "Jeanne", FamilyName: "Morvan"}
	samir     = hab.Applicant{ID: 77311, Email: "samir.haddad@valbrise-sur-ormes.example", GivenName: "Samir", FamilyName: "Haddad"}
	applicant = hab.Actor{Person: jeanne.ID, Organization: valbrise.ID}
	member    = hab.Actor{Person: samir.ID, Organization: valbrise.ID}
	stranger  = hab.Actor{Person: 5, Organization: 6}
	system    = hab.Actor{System: true}
)

func role(stored ...string) hab.Actor {
	roles, _ := hab.ParseRoles(stored)
	return hab.Actor{Person: 42, Organization: 1, Roles: roles}
}

var (
	instructor = role("dinum:*:instructor", "dgfip:*:instructor", "menj:*:instructor", "dila:*:instructor")
	developer  = role("dinum:*:developer", "dgfip:*:developer")
	admin      = role("admin")
)

// The definitions of the tests: one alone, a pair of stages, one whose form
// embeds FranceConnect.
var (
	single  = hab.DefinitionFacts{UID: "api_entreprise", Provider: "dinum", Startable: true, Reopening: true, Transfer: true}
	sandbox = hab.DefinitionFacts{
		UID: "api_ficoba_sandbox", Provider: "dgfip", Startable: true, Reopening: true, Transfer: true,
		Next:         &hab.StageLink{Definition: "api_ficoba", Form: "api-ficoba-production"},
		NextOnlyKeys: []string{"volumetrie_appels_par_minute"},
	}
	production = hab.DefinitionFacts{
		UID: "api_ficoba", Provider: "dgfip", Startable: true, Reopening: true, Transfer: true,
		Previous: &hab.StageLink{Definition: "api_ficoba_sandbox", Form: "api-ficoba-sandbox"},
	}
	embedding = hab.DefinitionFacts{
		UID: "api_particulier", Provider: "dinum", Startable: true, Reopening: true, Transfer: true,
		EmbeddedModality: "france_connect", FranceConnectScopes: []string{"openid", "birthdate"},
	}
	facts = map[string]hab.DefinitionFacts{
		single.UID: single, sandbox.UID: sandbox, production.UID: production, embedding.UID: embedding,
		"api_scolarite":  {UID: "api_scolarite", Provider: "menj", Startable: true, Reopening: true, Transfer: true},
		"produits_dinum": {UID: "produits_dinum", Provider: "dinum", Startable: true, Reopening: true, Transfer: true},
		"hubee_cert_dc":  {UID: "hubee_cert_dc", Provider: "dila", Startable: true, Reopening: true, Transfer: true},
		"france_connect": {UID: "france_connect", Provider: "dinum", Startable: true, Reopening: true, Transfer: true},
	}
)

// world is one request, with the clock and the ids that the hub would give.
type world struct {
	t       testing.TB
	request hab.Request
	now     time.Time
	ids     int64
	change  hab.Change // the last one
}

// newWorld makes a request in draft.
func newWorld(t testing.TB, d hab.DefinitionFacts, data hab.Data) *world {
	t.Helper()
	w := &world{t: t, now: dayOne, ids: 500}
	w.do(hab.Create{
		By: w.by(applicant), ID: 1234, PublicID: uuid.MustParse("c3a0f5f2-6f6e-4d5b-9a51-0b9f8f1f7d24"),
		Form: d.UID + "-form", Data: data, Organization: valbrise, Applicant: jeanne,
	}, d)
	return w
}

func (w *world) by(a hab.Actor) hab.By {
	w.now = w.now.Add(time.Minute)
	return hab.By{Actor: a, At: w.now}
}

func (w *world) do(cmd hab.Command, d hab.DefinitionFacts) {
	w.t.Helper()
	if err := w.try(cmd, d); err != nil {
		w.t.Fatalf("%T: %v", cmd, err)
	}
}

// try decides, gives ids to what is new, and checks that nothing given was touched.
func (w *world) try(cmd hab.Command, d hab.DefinitionFacts) error {
	w.t.Helper()
	given := deepCopy(w.request)
	change, err := hab.Decide(w.request, d, cmd)
	if diff := cmp.Diff(given, w.request); diff != "" {
		w.t.Fatalf("%T touched the request it was given:\n%s", cmd, diff)
	}
	if err != nil {
		var refusal *hab.Refusal
		if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Message == "" {
			w.t.Fatalf("%T: not a complete refusal: %v", cmd, err)
		}
		return err
	}
	var ids []int64
	for range change.Created {
		w.ids++
		ids = append(ids, w.ids)
	}
	change.AssignIDs(ids)
	w.request, w.change = change.Request, change
	return nil
}

// follow runs each step as the person who may.
func (w *world) follow(steps ...hab.EventName) *world {
	w.t.Helper()
	for _, step := range steps {
		w.do(w.step(step), facts[w.request.Definition])
	}
	return w
}

func (w *world) step(name hab.EventName) hab.Command {
	switch name {
	case hab.EventUpdate:
		data := deepCopy(w.request).Data
		data["intitule"] = "Intitulé du " + strconv.FormatInt(w.now.Unix(), 10)
		return hab.Update{By: w.by(applicant), Data: data}
	case hab.EventSubmit:
		return hab.Submit{By: w.by(applicant)}
	case hab.EventRequestChanges:
		return hab.RequestChanges{By: w.by(instructor), Reason: "Précisez le cadre juridique."}
	case hab.EventApprove:
		return hab.Approve{By: w.by(instructor)}
	case hab.EventRefuse:
		return hab.Refuse{By: w.by(instructor), Reason: "Hors du périmètre."}
	case hab.EventRevoke:
		return hab.Revoke{By: w.by(instructor), Reason: "Usage détourné."}
	case hab.EventArchive:
		return hab.Archive{By: w.by(applicant)}
	case hab.EventReopen:
		return hab.Reopen{By: w.by(applicant)}
	case hab.EventCancelReopening:
		return hab.CancelReopening{By: w.by(applicant)}
	case hab.EventStartNextStage:
		return hab.StartNextStage{By: w.by(applicant)}
	case hab.EventCancelNextStage:
		return hab.CancelNextStage{By: w.by(applicant)}
	}
	w.t.Fatalf("no step %s", name)
	return nil
}

func deepCopy(r hab.Request) hab.Request {
	r.Data = copyData(r.Data)
	var list []hab.Habilitation
	for _, h := range r.Habilitations {
		h.Data = copyData(h.Data)
		list = append(list, h)
	}
	r.Habilitations = list
	return r
}

func copyData(d hab.Data) hab.Data {
	if d == nil {
		return nil
	}
	c := hab.Data{}
	for k, v := range d {
		c[k] = v
	}
	return c
}

// consequences of a change of the wanted type.
func only[C hab.Consequence](change hab.Change) []C {
	var list []C
	for _, c := range change.Consequences {
		if c, ok := c.(C); ok {
			list = append(list, c)
		}
	}
	return list
}

func answers(scopes ...string) hab.Data {
	return hab.Data{"intitule": "Candidatures aux marchés publics", "scopes": hab.EncodeList(scopes)}
}

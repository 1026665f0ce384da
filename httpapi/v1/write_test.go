package v1_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

func TestACreationMakesADraftInTheApplicantsName(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:api_entreprise:developer")
	a := s.call(http.MethodPost, "/api/v1/demandes", dev, creation(nil))
	var made struct {
		ID           int64             `json:"id"`
		State        string            `json:"state"`
		FormUID      string            `json:"form_uid"`
		Data         map[string]string `json:"data"`
		Applicant    map[string]any    `json:"applicant"`
		Organisation map[string]any    `json:"organisation"`
		Events       []struct{ Name string }
	}
	a.into(t, http.StatusCreated, &made)
	if made.ID < 1_000_000_000 {
		t.Errorf("our id %d may be a source's too", made.ID)
	}
	if a.header.Get("Location") != fmt.Sprintf("/api/v1/demandes/%d", made.ID) || a.header.Get("ETag") != `"1"` {
		t.Errorf("%v", a.header)
	}
	if made.State != "draft" || made.FormUID != "api-entreprise" || made.Applicant["email"] != "jeanne.morvan@valbrise-sur-ormes.example" ||
		made.Organisation["siret"] != "21380999900013" || len(made.Events) != 1 || made.Events[0].Name != "create_by_api" {
		t.Errorf("%+v", made)
	}
	if !strings.Contains(made.Data["scopes"], `"attestation_fiscale_dgfip"`) || made.Data["intitule"] != "Candidatures aux marchés publics" {
		t.Errorf("%v", made.Data)
	}
	if n := s.count(`select count(*) from membership where not verified`); n != 1 {
		t.Errorf("%d unverified links", n)
	}
	if n := s.count(`select count(*) from history where event = 'create_by_api' and actor like 'client:%' and detail ? 'diff'`); n != 1 {
		t.Errorf("%d history lines of the application with its diff", n)
	}
}

func TestACreationOfAKnownPersonFillsOnlyWhatIsBlank(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	s.created(dev)
	again := creation(map[string]any{"applicant": map[string]any{
		"email": "jeanne.morvan@valbrise-sur-ormes.example", "given_name": "Autre", "family_name": "Nom",
	}})
	var made struct {
		Applicant map[string]any `json:"applicant"`
	}
	s.call(http.MethodPost, "/api/v1/demandes", dev, again).into(t, http.StatusCreated, &made)
	if made.Applicant["given_name"] != "Jeanne" {
		t.Errorf("%v", made.Applicant)
	}
	if n := s.count(`select count(*) from person where email = 'jeanne.morvan@valbrise-sur-ormes.example'`); n != 1 {
		t.Errorf("%d people", n)
	}
}

func TestADefinitionAloneTakesItsDefaultForm(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	var made struct {
		FormUID string `json:"form_uid"`
	}
	s.call(http.MethodPost, "/api/v1/demandes", dev, creation(map[string]any{"form_uid": nil})).into(t, http.StatusCreated, &made)
	if made.FormUID != "api-entreprise" {
		t.Errorf("%s", made.FormUID)
	}
}

func TestACreationThatIsRefusedSaysWhyAndMakesNothing(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:api_entreprise:developer")
	applicant := func(changes map[string]any) map[string]any {
		a := map[string]any{"email": "a@b.example"}
		for k, v := range changes {
			a[k] = v
		}
		return map[string]any{"applicant": a}
	}
	people := s.count(`select count(*) from person`)
	for name, c := range map[string]struct {
		body any
		want []string
	}{
		"nothing":                 {map[string]any{}, []string{"400 Paramètre manquant: Le paramètre « demande » est requis mais absent de la requête. [/demande]"}},
		"null":                    {map[string]any{"demande": nil}, []string{"400 Paramètre manquant: Le paramètre « demande » est requis mais absent de la requête. [/demande]"}},
		"no applicant":            {creation(map[string]any{"applicant": nil}), []string{"400 Paramètre manquant: Le paramètre « applicant » est requis mais absent de la requête. [/applicant]"}},
		"no organization":         {creation(map[string]any{"organization": nil}), []string{"400 Paramètre manquant: Le paramètre « organization » est requis mais absent de la requête. [/organization]"}},
		"an unknown form":         {creation(map[string]any{"form_uid": "rien"}), []string{"422 Formulaire introuvable: Le formulaire demandé est introuvable."}},
		"no form and no type":     {creation(map[string]any{"form_uid": nil, "type": nil}), []string{"422 Formulaire introuvable: Le formulaire demandé est introuvable."}},
		"an unknown type":         {creation(map[string]any{"form_uid": nil, "type": "rien"}), []string{"422 Formulaire introuvable: Le formulaire demandé est introuvable."}},
		"another's definition":    {creation(map[string]any{"form_uid": "api-particulier"}), []string{"403 Non autorisé: Vous n’avez pas les droits pour créer ce type de demande."}},
		"unknown keys":            {creation(map[string]any{"data": map[string]any{"foo": 1, "bar": nil}}), []string{"422 Clé invalide: La clé « bar » n’existe pas pour ce type de demande. [/data/bar]", "422 Clé invalide: La clé « foo » n’existe pas pour ce type de demande. [/data/foo]"}},
		"a contact's type":        {creation(map[string]any{"data": map[string]any{"contact_technique_type": "person"}}), []string{"422 Clé invalide: La clé « contact_technique_type » n’existe pas pour ce type de demande. [/data/contact_technique_type]"}},
		"modalities of none":      {creation(map[string]any{"data": map[string]any{"modalities": []string{"params"}}}), []string{"422 Clé invalide: La clé « modalities » n’existe pas pour ce type de demande. [/data/modalities]"}},
		"wrong types":             {creation(map[string]any{"data": map[string]any{"scopes": 3, "intitule": []string{"a"}}}), []string{"422 Demande invalide: Nom du projet : doit être un texte [/data/intitule]", "422 Demande invalide: Données demandées : doit être une liste de textes [/data/scopes]"}},
		"data that is a list":     {creation(map[string]any{"data": []string{"a"}}), []string{"422 Demande invalide: Les données de la demande doivent être un objet. [/data]"}},
		"no address":              {creation(applicant(map[string]any{"email": ""})), []string{"422 Demandeur invalide: L’adresse du demandeur n’est pas une adresse e-mail. [/applicant/email]"}},
		"a wrong address":         {creation(applicant(map[string]any{"email": "a b"})), []string{"422 Demandeur invalide: L’adresse du demandeur n’est pas une adresse e-mail. [/applicant/email]"}},
		"an address that lists":   {creation(applicant(map[string]any{"email": []string{"a@b.fr"}})), []string{"422 Demandeur invalide: Le paramètre « applicant.email » doit être un texte. [/applicant/email]"}},
		"an applicant of text":    {creation(map[string]any{"applicant": "jeanne"}), []string{"422 Demandeur invalide: Le paramètre « applicant » doit être un objet. [/applicant]"}},
		"a demande of text":       {map[string]any{"demande": "tout"}, []string{"422 Demande invalide: Le paramètre « demande » doit être un objet. [/demande]"}},
		"a form that is a number": {creation(map[string]any{"form_uid": 12}), []string{"422 Demande invalide: Le paramètre « form_uid » doit être un texte. [/form_uid]"}},
		"several wrong types": {
			creation(map[string]any{"form_uid": 12, "applicant": map[string]any{"email": 3, "given_name": []int{1}}, "organization": map[string]any{"siret": 5}}),
			[]string{
				"422 Demandeur invalide: Le paramètre « applicant.email » doit être un texte. [/applicant/email]",
				"422 Demandeur invalide: Le paramètre « applicant.given_name » doit être un texte. [/applicant/given_name]",
				"422 Demande invalide: Le paramètre « form_uid » doit être un texte. [/form_uid]",
				"422 Organisation invalide: Le paramètre « organization.siret » doit être un texte. [/organization/siret]",
			},
		},
		"a SIRET too short": {creation(map[string]any{"organization": map[string]any{"siret": "123"}}), []string{"422 Organisation invalide: Le numéro SIRET ne possède pas 14 chiffres. [/organization/siret]"}},
		"a list at the top": {"[]", []string{"400 Corps illisible: Le corps n’est pas un objet JSON complet."}},
		"half a body":       {`{"demande":`, []string{"400 Corps illisible: Le corps n’est pas un objet JSON complet."}},
		"two bodies":        {`{"demande":{}}{}`, []string{"400 Corps illisible: Le corps n’est pas un objet JSON complet."}},
		"an empty body":     {"", []string{"400 Corps illisible: Le corps n’est pas un objet JSON complet."}},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.call(http.MethodPost, "/api/v1/demandes", dev, c.body)
			got := a.errors(t)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !strings.HasPrefix(got[0], fmt.Sprint(a.status)) {
				t.Errorf("answered %d", a.status)
			}
		})
	}
	if n := s.count(`select count(*) from request`); n != 0 {
		t.Errorf("%d requests", n)
	}
	if n := s.count(`select count(*) from person`); n != people {
		t.Errorf("%d people, %d before", n, people)
	}
}

func TestNulBytesAndBadTextAreNoServerError(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	for field, applicant := range map[string]string{
		"email": `"email":"a\u0000@b.example"`, "given_name": `"email":"a@b.example","given_name":"Je\u0000anne"`,
		"job_title": `"email":"a@b.example","job_title":"` + strings.Repeat("é", 256) + `"`,
	} {
		a := s.call(http.MethodPost, "/api/v1/demandes", dev, `{"demande":{"form_uid":"api-entreprise","applicant":{`+applicant+`},"organization":{"siret":"21380999900013"}}}`)
		if lines := a.errors(t); a.status != http.StatusUnprocessableEntity || !strings.Contains(lines[0], "[/applicant/"+field+"]") {
			t.Errorf("%s: %d %q", field, a.status, lines)
		}
	}
	if a := s.call(http.MethodPost, "/api/v1/demandes", dev, "{\"demande\":{\"form_uid\":\"a\xff\"}}"); a.status != http.StatusBadRequest {
		t.Errorf("what is no UTF-8: %d %s", a.status, a.body)
	}
	if n := s.count(`select count(*) from request`); n != 0 {
		t.Errorf("%d requests", n)
	}
	body := `{"demande":{"form_uid":"api-entreprise","applicant":{"email":"a@b.example","given_name":"Jeanne","family_name":"\ud800"},"organization":{"siret":"21380999900013"},"data":{"intitule":"a\u0000b"}}}`
	var made struct {
		Data map[string]string `json:"data"`
	}
	s.call(http.MethodPost, "/api/v1/demandes", dev, body).into(t, http.StatusCreated, &made)
	if made.Data["intitule"] != "ab" {
		t.Errorf("%q", made.Data["intitule"])
	}
}

func patch(data any) map[string]any {
	return map[string]any{"demande": map[string]any{"data": data}}
}

func TestAChangeIsKeptWithItsDifference(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	id := s.created(dev)
	path := fmt.Sprintf("/api/v1/demandes/D%d", id)
	for i, method := range []string{http.MethodPatch, http.MethodPut} {
		var shown struct {
			Data map[string]string `json:"data"`
		}
		title := fmt.Sprintf("titre %d", i)
		s.call(method, path, dev, patch(map[string]any{"intitule": title, "current_build_step": "legal"})).into(t, http.StatusOK, &shown)
		if shown.Data["intitule"] != title || !strings.Contains(shown.Data["scopes"], "attestation_fiscale_dgfip") {
			t.Errorf("%v", shown.Data)
		}
	}
	if n := s.count(`select count(*) from history where event = 'update_by_api' and detail -> 'diff' ? 'intitule'`); n != 2 {
		t.Errorf("%d lines", n)
	}
	before := s.count(`select version from request where id = $1`, id)
	s.call(http.MethodPatch, path, dev, patch(map[string]any{"intitule": "titre 1"})).into(t, http.StatusOK, &struct{}{})
	if s.count(`select version from request where id = $1`, id) != before {
		t.Error("no difference made a version")
	}
}

func TestAChangeIsPossibleUntilTheRequestIsDecided(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	id := s.created(dev)
	path := fmt.Sprintf("/api/v1/demandes/%d", id)
	to := func(state habilitation.State) {
		if _, err := s.pool.Exec(t.Context(), `update request set state = $1 where id = $2`, string(state), id); err != nil {
			t.Fatal(err)
		}
	}
	for i, state := range []habilitation.State{habilitation.Draft, habilitation.ChangesRequested, habilitation.Submitted} {
		to(state)
		if a := s.call(http.MethodPatch, path, dev, patch(map[string]any{"intitule": fmt.Sprint(i)})); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", state, a.status, a.body)
		}
	}
	for _, state := range []habilitation.State{habilitation.Validated, habilitation.Refused, habilitation.Revoked, habilitation.Archived} {
		to(state)
		a := s.call(http.MethodPatch, path, dev, patch(map[string]any{"intitule": "trop tard", "foo": 1}))
		want := []string{"422 État non modifiable: La demande ne peut pas être modifiée dans l’état actuel."}
		if diff := cmp.Diff(want, a.errors(t)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", state, diff)
		}
	}
	if s.count(`select count(*) from request where data ->> 'intitule' = 'trop tard'`) != 0 {
		t.Error("a refused change had an effect")
	}
}

func TestAChangeThatIsRefusedSaysWhy(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:api_entreprise:developer")
	id := s.created(dev)
	path := fmt.Sprintf("/api/v1/demandes/%d", id)
	for name, c := range map[string]struct {
		body any
		want []string
	}{
		"nothing":      {map[string]any{}, []string{"400 Paramètre manquant: Le paramètre « demande » est requis mais absent de la requête. [/demande]"}},
		"no data":      {map[string]any{"demande": map[string]any{}}, []string{"400 Paramètre manquant: Le paramètre « data » est requis mais absent de la requête. [/data]"}},
		"unknown keys": {patch(map[string]any{"applicant": "x"}), []string{"422 Clé invalide: La clé « applicant » n’existe pas pour ce type de demande. [/data/applicant]"}},
		"wrong types":  {patch(map[string]any{"scopes": map[string]any{}}), []string{"422 Demande invalide: Données demandées : doit être une liste de textes [/data/scopes]"}},
		"a list":       {patch([]int{}), []string{"422 Demande invalide: Les données de la demande doivent être un objet. [/data]"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, s.call(http.MethodPatch, path, dev, c.body).errors(t)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if s.count(`select version from request where id = $1`, id) != 1 {
		t.Error("a refused change had an effect")
	}
}

func TestAMirroredRequestIsChangedAtItsSourceOnly(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	s.mirror("webhook-submit.json")
	a := s.call(http.MethodPatch, "/api/v1/demandes/48213", dev, patch(map[string]any{"intitule": "autre"}))
	want := []string{"409 Demande suivie depuis DataPass: Cette demande est suivie depuis DataPass : elle ne se modifie que dans DataPass. Elle s’y trouve à l’adresse https://datapass.example/demandes/48213."}
	if diff := cmp.Diff(want, a.errors(t)); diff != "" || a.status != http.StatusConflict {
		t.Errorf("%d (-want +got)\n%s", a.status, diff)
	}
}

func TestAVersionThatIsPastIsNotOverwritten(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	path := fmt.Sprintf("/api/v1/demandes/%d", s.created(dev))
	tag := s.get(path, dev).header.Get("ETag")
	write := func(ifMatch, title string) answer {
		return s.call(http.MethodPatch, path, dev, patch(map[string]any{"intitule": title}), "If-Match", ifMatch)
	}
	if a := write(tag, "un"); a.status != http.StatusOK || a.header.Get("ETag") == tag {
		t.Fatalf("%d %v", a.status, a.header)
	}
	for _, old := range []string{tag, `W/"2"`, "2", `"x"`, `"-1"`} {
		a := write(old, "deux")
		if lines := a.errors(t); a.status != http.StatusPreconditionFailed || !strings.HasSuffix(lines[0], "[headers/If-Match]") {
			t.Errorf("%s: %d %q", old, a.status, lines)
		}
	}
	if a := write("*", "trois"); a.status != http.StatusOK {
		t.Errorf("%d", a.status)
	}
}

func TestANativeRequestLivesItsWholeLifeUnderDataPassesApi(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	id := s.created(dev)
	path := fmt.Sprintf("/api/v1/demandes/%d", id)
	answers := map[string]any{
		"description": "Recevoir les candidatures.", "destinataire_donnees_caractere_personnel": "Agents",
		"duree_conservation_donnees_caractere_personnel": 24, "cadre_juridique_nature": "Code de la commande publique",
		"cadre_juridique_url": "https://www.legifrance.gouv.fr/a",
	}
	for _, contact := range []string{"responsable_traitement", "delegue_protection_donnees", "contact_technique", "contact_metier"} {
		for key, value := range map[string]string{
			"given_name": "Lise", "family_name": "Armand", "job_title": "Directrice", "phone_number": "0465710020", "email": "lise@valbrise-sur-ormes.example",
		} {
			answers[contact+"_"+key] = value
		}
	}
	s.call(http.MethodPatch, path, dev, patch(answers)).into(t, http.StatusOK, &struct{}{})
	s.record(&registry.Submit{Target: s.applicantOf(id), TermsAccepted: true, DPOInformed: true})
	for pointer, change := range map[string]map[string]any{
		"/data/scopes": {"scopes": []string{"superadmin"}}, "/data/intitule": {"intitule": " "}, "/data/description": {"description": strings.Repeat("é", 10_001)},
	} {
		a := s.call(http.MethodPatch, path, dev, patch(change))
		if lines := a.errors(t); a.status != http.StatusUnprocessableEntity || !strings.Contains(lines[0], "["+pointer+"]") {
			t.Errorf("under instruction, %v: %d %q", pointer, a.status, lines)
		}
	}
	s.call(http.MethodPatch, path, dev, patch(map[string]any{"description": "Recevoir les candidatures, sans pièces."})).into(t, http.StatusOK, &struct{}{})
	s.record(&registry.Approve{Target: instructor(id), Message: "Bienvenue"})
	var shown struct {
		State         string `json:"state"`
		ExternalID    string `json:"external_provider_id"`
		Habilitations []struct {
			ID    int64
			State string
		}
		Events []struct{ Name string }
	}
	s.get(path, dev).into(t, http.StatusOK, &shown)
	if a := s.call(http.MethodHead, path, dev, nil); a.status != http.StatusOK || len(a.body) != 0 || a.header.Get("ETag") != s.get(path, dev).header.Get("ETag") {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	names := []string{}
	for _, e := range shown.Events {
		names = append(names, e.Name)
	}
	if shown.State != "validated" || len(shown.Habilitations) != 1 || shown.Habilitations[0].State != "active" || shown.ExternalID == "" ||
		!slices.Equal(names, []string{"create_by_api", "update_by_api", "submit", "update_by_api", "approve"}) {
		t.Errorf("%+v", shown)
	}
	var held map[string]any
	s.get(fmt.Sprintf("/api/v1/habilitations/H%d", shown.Habilitations[0].ID), dev).into(t, http.StatusOK, &held)
	if held["request_id"] != float64(id) || len(held) != 10 {
		t.Errorf("%v", held)
	}
}

func TestACreationWithAKeyHappensOnce(t *testing.T) {
	s := newSite(t)
	dev, other := s.developer("dinum:*:developer"), s.developer("dinum:*:developer")
	create := func(bearer, key string, changes map[string]any) answer {
		return s.call(http.MethodPost, "/api/v1/demandes", bearer, creation(changes), "Idempotency-Key", key)
	}
	var first, again, theirs struct{ ID int64 }
	create(dev, "cle-1", nil).into(t, http.StatusCreated, &first)
	a := create(dev, "cle-1", nil)
	a.into(t, http.StatusCreated, &again)
	if first.ID != again.ID || a.header.Get("Idempotency-Replayed") != "true" || a.header.Get("Location") == "" {
		t.Errorf("%d then %d, %v", first.ID, again.ID, a.header)
	}
	create(other, "cle-1", nil).into(t, http.StatusCreated, &theirs)
	if theirs.ID == first.ID {
		t.Error("another application is given what the first one made")
	}
	reused := create(dev, "cle-1", map[string]any{"data": map[string]any{"intitule": "autre"}})
	want := []string{"422 Clé reprise: Cette clé a servi pour une autre requête. [headers/Idempotency-Key]"}
	if diff := cmp.Diff(want, reused.errors(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []string{strings.Repeat("a", 256), "deux mots", "clé"} {
		if a := create(dev, bad, nil); a.status != http.StatusBadRequest {
			t.Errorf("%q: %d", bad, a.status)
		}
	}
	if a := create(dev, "cle-2", map[string]any{"form_uid": "rien"}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("%d", a.status)
	}
	create(dev, "cle-2", nil).into(t, http.StatusCreated, &again) // what failed left the key free
	if n := s.count(`select count(*) from request`); n != 3 {
		t.Errorf("%d requests", n)
	}
}

func TestEachCallerHasALimitAndSeesIt(t *testing.T) {
	s := newSiteWith(t, 3)
	dev, other := s.developer("dinum:*:developer"), s.developer("dinum:*:developer")
	for left := 2; left >= 0; left-- {
		a := s.get("/api/v1/me", dev)
		if a.status != http.StatusOK || a.header.Get("RateLimit-Limit") != "3" || a.header.Get("RateLimit-Remaining") != fmt.Sprint(left) || a.header.Get("RateLimit-Reset") == "" {
			t.Errorf("%d %v", a.status, a.header)
		}
	}
	a := s.get("/api/v1/me", dev)
	if lines := a.errors(t); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" || lines[0] != "429 Trop de requêtes: Attendez un instant avant de recommencer." {
		t.Errorf("%d %q %v", a.status, lines, a.header)
	}
	if a := s.get("/api/v1/me", other); a.status != http.StatusOK {
		t.Errorf("another application pays for it: %d", a.status)
	}
}

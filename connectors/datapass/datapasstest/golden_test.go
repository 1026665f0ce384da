package datapasstest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
)

// play is a DataPass whose clock stands still where a test puts it.
type play struct {
	*Server
	t     *testing.T
	clock *partnertest.Clock
}

func newPlay(t *testing.T) *play {
	t.Helper()
	clock := partnertest.NewFrozenClock(time.Date(2026, 3, 9, 9, 0, 0, 0, time.UTC))
	s := New(Options{Clock: clock, Timeout: 5 * time.Second})
	t.Cleanup(func() { _ = s.Close() })
	return &play{Server: s, t: t, clock: clock}
}

// at moves the clock to a Paris time as the contract writes it.
func (p *play) at(text string) *play {
	p.t.Helper()
	p.clock.Freeze(parisTime(p.t, text))
	return p
}

func parisTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000-07:00", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// must gives the deliveries of a step that has to succeed.
func (p *play) must(deliveries []Delivery, err error) []Delivery {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	return deliveries
}

func (p *play) create(f Filing) Request {
	p.t.Helper()
	r, err := p.Create(p.t.Context(), f)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *play) get(id int64) Request {
	p.t.Helper()
	r, err := p.Request(id)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// subscribeAll keeps every event of a definition in the queue, unsent.
func (p *play) subscribeAll(definition string) {
	p.Hold(true)
	p.AddSubscription(Subscription{Definition: definition, URL: "http://127.0.0.1:1/"})
}

func TestSampleRequestsGiveTheContractsBodies(t *testing.T) {
	t.Parallel()
	ctx := t.Context()

	t.Run("request 48213 submitted, approved, updated, revoked", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		p.subscribeAll("api_entreprise")
		id := p.at("2026-03-09T10:14:27.418+01:00").create(APIEntreprise()).ID
		submitted := p.at("2026-03-12T16:40:02.877+01:00").must(p.Submit(ctx, id))
		approved := p.at("2026-03-24T11:05:18.046+01:00").must(p.Approve(ctx, id, Approval{
			HabilitationID: 51877, GrantedAt: parisTime(t, "2026-03-24T11:05:17.902+01:00"),
		}))
		p.at("2026-05-27T08:00:00.000+02:00").must(p.Reopen(ctx, id))
		p.must(p.Update(ctx, id, APIEntrepriseUpdate()))
		p.at("2026-05-28T09:02:44.305+02:00").must(p.Submit(ctx, id))
		p.at("2026-06-02T14:31:09.690+02:00").must(p.Approve(ctx, id, Approval{
			HabilitationID: 53960, GrantedAt: parisTime(t, "2026-06-02T14:31:09.512+02:00"),
		}))
		revoked := p.at("2026-09-15T17:20:33.000+02:00").must(p.Revoke(ctx, id, "Fin de la mission"))

		sameAsContract(t, "webhook-submit", submitted)
		sameAsContract(t, "webhook-approve", approved)
		sameAsContract(t, "webhook-revoke", revoked)
	})

	t.Run("an editor's request with the modality formulaire_qf", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		p.subscribeAll("api_particulier")
		id := p.at("2026-06-15T09:30:11.204+02:00").create(APIParticulierFormulaireQF()).ID
		p.at("2026-06-16T11:12:50.660+02:00").must(p.Submit(ctx, id))
		sameAsContract(t, "webhook-approve-formulaire-qf", p.at("2026-06-22T15:47:02.271+02:00").must(p.Approve(ctx, id, Approval{
			HabilitationID: 54410, GrantedAt: parisTime(t, "2026-06-22T15:47:02.118+02:00"),
		})))
	})

	t.Run("a request for formulaire_qf, without editor and without scopes", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		p.subscribeAll("formulaire_qf")
		id := p.at("2026-07-01T08:55:40.019+02:00").create(FormulaireQF()).ID
		p.at("2026-07-01T09:20:05.734+02:00").must(p.Submit(ctx, id))
		sameAsContract(t, "webhook-approve-formulaire-qf-no-editor", p.at("2026-07-03T10:03:32.451+02:00").must(p.Approve(ctx, id, Approval{
			HabilitationID: 54502, GrantedAt: parisTime(t, "2026-07-03T10:03:32.310+02:00"),
		})))
	})

	t.Run("the connection test", func(t *testing.T) {
		t.Parallel()
		sameBytes(t, "webhook-test", testBody(parisTime(t, "2026-08-06T10:30:00.000+02:00")))
	})
}

func sameAsContract(t *testing.T, file string, got []Delivery) {
	t.Helper()
	if len(got) != 1 {
		t.Fatalf("%s: want one delivery, got %d", file, len(got))
	}
	sameBytes(t, file, got[0].Body)
}

// sameBytes compares with the contract's file as a value, and then byte by byte
// with the .wire file beside it: the same value written once, by other code than
// this package's, under the rules of datapass.md, 2.3.
func sameBytes(t *testing.T, file string, got []byte) {
	t.Helper()
	var want, value any
	if err := json.Unmarshal(testdata(t, file+".json"), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &value); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, value); diff != "" {
		t.Errorf("%s (-contract +sent):\n%s", file, diff)
	}
	if diff := cmp.Diff(string(testdata(t, file+".wire")), string(got)); diff != "" {
		t.Errorf("%s, bytes (-contract +sent):\n%s", file, diff)
	}
}

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestTestdataIsTheContracts(t *testing.T) {
	t.Parallel()
	contracts := contracts.Dir(t)
	files, err := filepath.Glob(filepath.Join("testdata", "webhook-*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		want, err := os.ReadFile(filepath.Join(contracts, "datapass", filepath.Base(file)))
		if err != nil {
			t.Fatal(err)
		}
		if got := testdata(t, filepath.Base(file)); string(got) != string(want) {
			t.Errorf("%s differs from the contract's", file)
		}
	}
}

func TestBodiesFollowTheRulesOfTheWire(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.subscribeAll("api_entreprise")
	f := APIEntreprise()
	f.Fields = f.Fields.With(Fields{
		"intitule":                  Text("Été <b>R&D</b> à l'école \"é\" \u2028 fin"),
		"dpd_homologation_checkbox": Text("1"), "alternative_connexion": Text("0"),
		"description": Text(""),
	})
	p.create(f)
	body := string(p.must(p.Submit(t.Context(), f.ID))[0].Body)

	if strings.ContainsAny(body, "\n<>&") {
		t.Error("the body holds a line feed or one of < > &")
	}
	for _, want := range []string{
		`"intitule":"Été \u003cb\u003eR\u0026D\u003c/b\u003e à l'école \"é\" \u2028 fin"`,
		`"dpd_homologation_checkbox":true`, `"alternative_connexion":false`, `"description":""`,
		`"duree_conservation_donnees_caractere_personnel":36`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the body lacks %s", want)
		}
	}
	if strings.Contains(body, "caractere_personnel_justification") {
		t.Error("a null field is in the data of the request")
	}
	if !regexp.MustCompile(`^\{"data":\{"id":48213,"data":\{"scopes":\[`).MatchString(body) {
		t.Errorf("keys are not in the order of jsonb: %.80s", body)
	}
}

func TestMinimalBodyOfTheContract(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.subscribeAll("hubee_dila")
	p.at("2026-08-05T09:48:51.006+02:00").create(HubEEDila())
	deliveries := p.at("2026-08-05T10:03:32.451+02:00").must(p.Submit(t.Context(), HubEEDilaID))
	// datapass.md, 2.4, to the letter.
	const want = `{ "event": "submit", "fired_at": 1785917012, "model_type": "authorization_request/hubee_dila", "model_id": 50211,
  "data": {
    "id": 50211, "public_id": "a1f4c0de-7c55-4b0e-8f6a-3f7f0a6f2b11", "type": "AuthorizationRequest::HubEEDila",
    "state": "submitted", "form_uid": "hubee-dila",
    "data": { "scopes": ["depot_dossier_pacs", "etat_civil"],
              "administrateur_metier_email": "etat-civil@valbrise-sur-ormes.example", "administrateur_metier_job_title": "Officier d'état civil",
              "administrateur_metier_given_name": "Lise", "administrateur_metier_family_name": "Armand",
              "administrateur_metier_phone_number": "0465710020" },
    "created_at": "2026-08-05T09:48:51.006+02:00", "last_submitted_at": "2026-08-05T10:03:32.451+02:00", "last_validated_at": null,
    "organization": { "id": 9120, "name": "l'organisation 21380999900013 (nom inconnu)", "insee_payload": {}, "siret": "21380999900013" },
    "applicant": { "id": 77341, "uid": null, "email": "lise.armand@valbrise-sur-ormes.example", "given_name": "Lise",
                   "family_name": "Armand", "phone_number": null, "job_title": null },
    "service_provider": { "id": "hubee", "siret": null, "type": "saas" },
    "authorizations": [] } }`
	var wanted, got any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(deliveries[0].Body, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("(-contract +sent):\n%s", diff)
	}
}

func TestJSONBKeepsTheValueAndOrdersTheKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "object")
		nested := object{}
		for key, text := range in {
			nested[key] = text
		}
		body, err := appendJSONB(nil, nested)
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		_, _ = decoder.Token()
		got, previous := map[string]string{}, ""
		for decoder.More() {
			key, _ := decoder.Token()
			text, _ := decoder.Token()
			name := key.(string)
			if len(got) > 0 && (len(name) < len(previous) || (len(name) == len(previous) && name <= previous)) {
				t.Fatalf("%q comes after %q", name, previous)
			}
			got[name], previous = text.(string), name
		}
		if diff := cmp.Diff(in, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

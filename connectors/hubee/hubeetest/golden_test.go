package hubeetest

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
)

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func sample(t *testing.T, name string) any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var value any
	decode(t, string(text), &value)
	return value
}

func same(t *testing.T, name, text string) {
	t.Helper()
	var got any
	decode(t, text, &got)
	if diff := cmp.Diff(sample(t, name), got); diff != "" {
		t.Errorf("%s (-sample +answer):\n%s", name, diff)
	}
}

func TestTestdataIsTheContracts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(contracts.Dir(t), "hubee")
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		want, err := os.ReadFile(filepath.Join(dir, filepath.Base(file)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != string(got) {
			t.Errorf("%s is not the contract's", file)
		}
	}
}

// scripted gives ids in the order of a sample.
func scripted(t *testing.T, at string, ids ...string) (*bundle, func(string)) {
	t.Helper()
	clock := partnertest.NewFrozenClock(parse(t, at))
	seed, err := DefaultSeed()
	if err != nil {
		t.Fatal(err)
	}
	seed.Folders = nil // the samples' own ids are free
	next := ids
	s, err := Start(Options{Clock: clock, Seed: seed, NewID: func() string {
		if len(next) == 0 {
			return nobody
		}
		id := next[0]
		next = next[1:]
		return id
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &bundle{s, t, map[Actor]string{}}, func(at string) { clock.Freeze(parse(t, at)) }
}

func parse(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestTheAnswersAreTheContractsSamples(t *testing.T) {
	t.Parallel()
	first, _ := scripted(t, "2026-10-05T08:12:40.120Z", seedFolder, seedCase, seedJSON, seedXML, "6f0b1a52-7a31-4c0e-9a0e-6a1d5a0b7c13")
	header := first.as(OSL).Clone()
	header["editorName"], header["applicationName"], header["softwareVersion"] = []string{"Passerelle"}, []string{"passerelle-qf"}, []string{"1.0.0"}
	created := first.callWith(header, "POST", folders, sample(t, "folder-create-request.json")).want(201)
	same(t, "folder-created-response.json", created.Text)

	// The case of the samples was made at another moment than the folder.
	b, at := scripted(t, "2026-10-05T08:12:40.000Z", seedFolder, seedCase, seedJSON, seedXML, "6f0b1a52-7a31-4c0e-9a0e-6a1d5a0b7c13",
		"7b6a0d5e-0c5e-4e0f-8f57-0d5b9f6f1a01", "905055ea-ed37-4556-9db6-97ba89fcb91f")
	b.SetSwitches(func(s *Switches) { s.EventLeavesCase, s.NotifyAfter = true, Duration(521*time.Millisecond) })
	b.call(OSL, "POST", folders, sample(t, "folder-create-request.json")).want(201)
	for id, size := range map[string]int{seedJSON: 1606, seedXML: 3461, "6f0b1a52-7a31-4c0e-9a0e-6a1d5a0b7c13": 18342} {
		b.put(OSL, folders+"/"+seedFolder+"/attachments/"+id, fileOf(t, id, size)).want(204)
	}
	at("2026-10-05T08:12:44.000Z")
	b.call(OSL, "PATCH", folders+"/"+seedFolder, object{"globalStatus": "HUBEE_COMPLETED"}).want(204)
	at("2026-10-05T08:12:44.521Z")
	same(t, "notifications-new-case.json", b.call(SI, "GET", notifications, nil).want(200).Text)
	at("2026-10-05T09:30:02.000Z")
	b.tokens = map[Actor]string{} // an hour has passed
	b.mark(SI, seedCase, SIReceived).want(204)
	b.mark(SI, seedCase, InProgress).want(204)
	at("2026-10-05T09:30:02.438Z")
	editor := b.as(SI).Clone()
	editor["editorName"], editor["applicationName"], editor["softwareVersion"] = []string{"EDITEUR FAMILLE"}, []string{"Portail famille"}, []string{"2.2.2"}
	event := b.callWith(editor, "POST", casesPath+"/"+seedCase+"/events", object{
		"message": "Dossier pris en charge par le service periscolaire", "actionType": "STATUS_UPDATE", "author": "Service periscolaire",
		"notification": true, "caseCurrentStatus": "SI_RECEIVED", "caseNewStatus": "IN_PROGRESS",
	}).want(201)
	same(t, "event.json", event.Text)
	same(t, "case.json", b.call(SI, "GET", casesPath+"/"+seedCase, nil).want(200).Text)
}

// fileOf gives a file of the announced size and type.
func fileOf(t *testing.T, id string, size int) []byte {
	t.Helper()
	name := map[string]string{seedJSON: "FormulaireQF.json", seedXML: "FormulaireQF.xml"}[id]
	if name == "" {
		return append([]byte("%PDF-1.7\n"), make([]byte, size-9)...)
	}
	text, err := os.ReadFile(filepath.Join("seed", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheReferentialsAnswersAreTheContractsSamples(t *testing.T) {
	t.Parallel()
	seed := &Seed{
		Processes:   []Process{{Code: "FormulaireQF", Name: "QF"}},
		Credentials: []Credential{{Actor: DataPass, ClientID: "d", ClientSecret: "datapass-secret"}, {Actor: Admin, ClientID: "a", ClientSecret: "admin-secret"}},
	}
	clock := partnertest.NewFrozenClock(parse(t, "2026-10-01T07:30:00.327Z"))
	s, err := Start(Options{Clock: clock, Seed: seed, NewID: func() string { return seedActive }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b := &bundle{s, t, map[Actor]string{}}
	organization, _ := sample(t, "organization.json").(map[string]any)
	delete(organization, "createDateTime")
	delete(organization, "updateDateTime")
	same(t, "organization.json", b.call(DataPass, "POST", organizations, organization).want(201).Text)
	clock.Freeze(parse(t, "2026-10-01T07:30:01.100Z"))
	same(t, "subscription.json", b.call(DataPass, "POST", subscriptions, sample(t, "subscription-create-request.json")).want(201).Text)
	same(t, "error-400-already-exists.json",
		b.call(DataPass, "POST", subscriptions, sample(t, "subscription-create-request.json")).want(400).Text)

	clock.Freeze(parse(t, "2026-10-09T12:00:03.000Z"))
	b.tokens = map[Actor]string{}
	full, _ := sample(t, "subscription-active-delegated.json").(map[string]any)
	delete(full, "id")
	delete(full, "creationDateTime")
	same(t, "subscription-active-delegated.json", b.call(Admin, "PUT", subscriptions+"/"+seedActive, full).want(200).Text)
}

func TestTheErrorsAreTheContractsSamples(t *testing.T) {
	t.Parallel()
	b := start(t)
	plouvenez := newFolder("X")
	plouvenez["cases"] = []any{object{"recipient": OrganizationID{"SI", "21350998700011", "35998"}, "externalId": "Formulaire-QF-X-01"}}
	withoutApplicant := newFolder("X")
	delete(withoutApplicant, "applicant")
	for name, text := range map[string]string{
		"error.json":                b.call(OSL, "GET", casesPath+"/"+nobody, nil).want(404).Text,
		"error-403.json":            b.call(SI, "GET", folders+"/"+seedFolder, nil).want(403).Text,
		"error-400-validation.json": b.call(OSL, "POST", folders, withoutApplicant).want(400).Text,
		"error-400-organization.json": b.call(DataPass, "POST", organizations, object{"code": nil}).want(400).
			Text,
		"error-401-expired-token.json": b.send("GET", notifications, http.Header{"Authorization": {"Bearer x"}}, nil).want(401).Text,
	} {
		same(t, name, text)
	}
	same(t, "error-401-invalid-client.json", b.token(Credential{ClientID: "12er45nhheui5ueea"}, "OSL").want(401).Text)
	b.put(OSL, folders+"/"+seedFolder+"/attachments/"+seedJSON, []byte("{}")).want(400)
	folder := b.call(OSL, "POST", folders, newFolder("SIZE")).want(201)
	same(t, "error-400-size.json",
		b.put(OSL, folders+"/"+folder.str("id")+"/attachments/"+folder.str("attachments.0.id"), []byte("{ }")).want(400).Text)
	if err := b.Activate(seedActive, "API", OrganizationID{}, 0); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	status := inactive
	b.subscriptions[seedActive].body.Status = &status
	b.mu.Unlock()
	same(t, "error-400-not-subscribed.json", b.call(OSL, "POST", folders, newFolder("Y")).want(400).Text)
	b.call(OSL, "POST", folders, plouvenez).refused(400, "Case recipient SI-21350998700011-35998 does not suscribed to FormulaireQF")
}

package hubeetest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Sessions of the clients that exist, in their order of calls, with their
// headers (hubee.md, 2, 7 to 9 and 11; qf-form.md, 5 and 6).

// dressed is a token's header with what one client adds to every call.
func (b *bundle) dressed(actor Actor, more http.Header) http.Header {
	b.t.Helper()
	out := b.as(actor).Clone()
	for name, values := range more {
		out[name] = values
	}
	return out
}

func unzipped(t *testing.T, r result) result {
	t.Helper()
	if r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("not compressed: %q", r.Header)
		return r
	}
	reader, err := gzip.NewReader(bytes.NewReader([]byte(r.Text)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Text = string(text)
	return r
}

// The collection handed to integrators: a collection runner's headers, gzip,
// POST with an override where others PATCH, status then event.
func TestHS13TheIntegratorsCollectionRunsUnchanged(t *testing.T) {
	t.Parallel()
	b := start(t, func(s *Switches) { s.Gzip = true })
	runner := http.Header{
		"User-Agent": {"PostmanRuntime/7.43.0"}, "Accept": {"*/*"}, "Cache-Control": {"no-cache"},
		"Postman-Token": {nobody}, "Accept-Encoding": {"gzip, deflate, br"}, "Connection": {"keep-alive"},
		"Editorname": {"Logiciel Enfance"}, "Applicationname": {"Cantine"}, "Softwareversion": {"4.2"},
	}
	si := b.dressed(SI, runner)
	waiting := unzipped(t, b.send("GET", notifications+"?maxResult=25&processCode=FormulaireQF&eventDetails=true", si, nil).want(200))
	if waiting.str("0.caseId") != seedCase || waiting.get("0.eventId") != nil || waiting.get("0.eventStatus") != nil {
		t.Fatalf("waiting: %s", waiting.Text)
	}
	file := unzipped(t, b.send("GET", casesPath+"/"+seedCase, si, nil).want(200))
	for _, a := range file.get("attachments").([]any) {
		a := a.(map[string]any)
		got := b.send("GET", casesPath+"/"+seedCase+"/attachments/"+a["id"].(string), si, nil).want(200)
		digest := got.Header.Get("Digest")
		if got.Header.Get("Content-Encoding") == "gzip" {
			got = unzipped(t, got)
		}
		if digest != digestOf([]byte(got.Text)) || float64(len(got.Text)) != a["size"].(float64) {
			t.Errorf("%s: %d bytes of %v, digest %q", a["fileName"], len(got.Text), a["size"], digest)
		}
	}
	lite := unzipped(t, b.send("GET", casesPath+"/"+seedCase+"?lite=true", si, nil).want(200))
	if lite.str("id") != seedCase {
		t.Errorf("lite: %s", lite.Text)
	}
	override := si.Clone()
	override.Set("X-HTTP-Method-Override", "PATCH")
	override.Set("Content-Type", "application/json; charset=utf-8")
	for _, status := range []Status{"SI_RECEIVED", "IN_PROGRESS", "DONE"} {
		b.callOverride(override, casesPath+"/"+seedCase, object{"status": status}).want(204)
		event := b.callWith(si, "POST", casesPath+"/"+seedCase+"/events", statusUpdate(status)).want(201)
		event = unzipped(t, event)
		if event.str("partnerInfo.editorName") != "Logiciel Enfance" || event.str("status") != "SENT" {
			t.Errorf("event: %s", event.Text)
		}
	}
	b.send("DELETE", notifications+"/"+waiting.str("0.id"), si, nil).want(204)
	b.send("DELETE", notifications+"/"+waiting.str("0.id"), si, nil).refused(404, "Notification is not found")
	b.send("POST", casesPath+"/"+seedCase, http.Header{"Authorization": si["Authorization"], "X-Http-Method-Override": {"PUT"}}, []byte(`{}`)).
		refused(405, methodNotAllowed)
}

func (b *bundle) callOverride(header http.Header, path string, body any) result {
	b.t.Helper()
	return b.send("POST", path, header, []byte(compactJSON(body)))
}

// The published sample of a commune's software: no PATCH, events alone, DONE as
// soon as the files are there.
func TestHS8TheSampleOfACommunesSoftwareRunsUnchanged(t *testing.T) {
	t.Parallel()
	b := start(t)
	waiting := b.call(SI, "GET", notifications, nil).want(200)
	seen := b.call(SI, "GET", casesPath+"/"+seedCase, nil).want(200)
	for _, a := range seen.get("attachments").([]any) {
		b.call(SI, "GET", casesPath+"/"+seedCase+"/attachments/"+a.(map[string]any)["id"].(string), nil).want(200)
	}
	for _, status := range []Status{"SENT", "IN_PROGRESS", "DONE"} {
		b.call(SI, "POST", casesPath+"/"+seedCase+"/events", statusUpdate(status)).want(201)
		if got := b.statusOf(seedCase); got != status {
			t.Errorf("after an event alone: %s, want %s", got, status)
		}
	}
	b.call(SI, "DELETE", notifications+"/"+waiting.str("0.id"), nil).want(204)
}

// Clients differ in what they send first: the status, or the event.
func TestHS8StatusAndEventComeInEitherOrder(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]bool{"events move cases": false, "events leave cases": true} {
		for _, eventFirst := range []bool{false, true} {
			b := start(t, func(s *Switches) { s.EventLeavesCase = leaves })
			status := func(to Status) { b.mark(SI, seedCase, to).want(204) }
			event := func(to Status) {
				b.call(SI, "POST", casesPath+"/"+seedCase+"/events", statusUpdate(to)).want(201)
			}
			for _, to := range []Status{"IN_PROGRESS", "DONE"} {
				steps := []func(Status){status, event}
				if eventFirst {
					slices.Reverse(steps)
				}
				steps[0](to)
				steps[1](to)
				if got := b.statusOf(seedCase); got != to {
					t.Errorf("%s, event first %t: %s, want %s", name, eventFirst, got, to)
				}
			}
		}
	}
}

// The form of the quotient familial: no identity headers and no digest on
// uploads, JSON declared on calls without a body, then its pass over the queue.
func TestHS4TheFormsClientSendsAndClosesUnchanged(t *testing.T) {
	t.Parallel()
	b := start(t)
	form := http.Header{"User-Agent": {"Faraday v2.13.1"}, "Accept": {"*/*"}, "Content-Type": {"application/json"}}
	osl := b.dressed(OSL, form)
	const reference = "0123456789ABC"
	named := "Formulaire-QF-" + reference + "-01"
	files := map[string][]byte{
		"FormulaireQF.json":             []byte(`{"external_id":null}`),
		"FormulaireQF.xml":              []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hash></hash>\n"),
		"quotient_familial_SISSOKO.pdf": exampleFile(t, "quotient_familial_K7QD2M9XTB4HZ.pdf"),
	}
	body := newFolder(reference)
	list := []any{}
	for _, a := range [][2]string{{"FormulaireQF.json", "application/json"}, {"FormulaireQF.xml", "application/xml"}, {"quotient_familial_SISSOKO.pdf", "application/pdf"}} {
		list = append(list, object{"fileName": a[0], "type": "FormulaireQF", "size": len(files[a[0]]), "mimeType": a[1], "recipients": []string{named}})
	}
	body["attachments"] = list
	made := b.callWith(osl, "POST", folders, body).want(201)
	folder, caseID := made.str("id"), made.str("cases.0.id")
	for _, a := range made.get("attachments").([]any) {
		a := a.(map[string]any)
		upload := osl.Clone()
		upload.Set("Content-Type", "application/octet-stream")
		b.send("PUT", folders+"/"+folder+"/attachments/"+a["id"].(string), upload, files[a["fileName"].(string)]).want(204)
	}
	b.callWith(osl, "PATCH", folders+"/"+folder, object{"globalStatus": "HUBEE_COMPLETED"}).want(204)

	b.mark(SI, caseID, "IN_PROGRESS").want(204)
	b.mark(SI, caseID, "DONE").want(204)
	b.call(SI, "POST", casesPath+"/"+caseID+"/events", statusUpdate("DONE")).want(201)

	closed := 0
	for _, n := range b.send("GET", notifications+"?maxResult=100", osl, nil).want(200).list() {
		n := n.(map[string]any)
		if n["processCode"] != "FormulaireQF" || n["eventId"] == nil || n["caseId"] != caseID {
			continue
		}
		at := casesPath + "/" + caseID + "/events/" + n["eventId"].(string)
		event := b.send("GET", at, osl, nil).want(200)
		if event.str("status") != "SENT" || event.str("actionType") != "STATUS_UPDATE" || event.str("caseNewStatus") != "DONE" {
			t.Fatalf("event: %s", event.Text)
		}
		b.callWith(osl, "PATCH", casesPath+"/"+caseID, object{"status": "CLOSED"}).want(204)
		b.callWith(osl, "POST", casesPath+"/"+caseID+"/events", object{
			"actionType": "STATUS_UPDATE", "notification": true, "author": "DINUM", "caseCurrentStatus": "DONE",
			"caseNewStatus": "CLOSED", "message": "Dossier traité par le service.",
		}).want(201)
		b.callWith(osl, "PATCH", folders+"/"+folder, object{"globalStatus": "CLOSED"}).want(204)
		b.callWith(osl, "PATCH", at, object{"status": "RECEIVED"}).want(204)
		b.send("DELETE", notifications+"/"+n["id"].(string), osl, nil).want(204)
		closed++
	}
	if got := b.statusOf(caseID); closed != 1 || got != "CLOSED" {
		t.Errorf("%d closed, the case is %s", closed, got)
	}
}

// DataPass's bridge: a token, the organisation looked up and made, the
// subscription, which is born inactive; a second run meets what exists.
func TestHS11DataPasssBridgeRunsTwiceUnchanged(t *testing.T) {
	t.Parallel()
	b := start(t)
	const siret, code = "21380999900013", "38999"
	id := "SI-" + siret + "-" + code
	organization := object{
		"type": "SI", "companyRegister": siret, "branchCode": code, "name": "COMMUNE DE VALBRISE-SUR-ORMES", "country": "France",
		"postalCode": "38990", "territory": "VALBRISE-SUR-ORMES", "email": "accueil@valbrise.fr", "phoneNumber": "0465710012", "status": "Actif",
	}
	subscription := object{
		"datapassId": 49117, "processCode": "FormulaireQF", "notificationFrequency": "unitaire",
		"subscriber": object{"type": "SI", "companyRegister": siret, "branchCode": code}, "email": "accueil@valbrise.fr",
		"localAdministrator": object{
			"email": "jeanne.morvan@valbrise.fr", "firstName": "Jeanne", "lastName": "MORVAN", "function": "Responsable", "phoneNumber": "0465710012", "mobileNumber": nil,
		},
		"accessMode": nil, "delegationActor": nil, "validateDateTime": "2026-10-05T10:12:40+02:00", "rejectDateTime": nil, "endDateTime": nil,
		"updateDateTime": "2026-10-05T10:12:40+02:00", "rejectionReason": nil, "status": "Inactif",
	}
	bridge := b.dressed("DATAPASS", http.Header{"User-Agent": {"Faraday v2.14.3"}})
	b.send("GET", organizations+"/"+id, bridge, nil).want(404)
	b.callWith(bridge, "POST", organizations, organization).want(201)
	made := b.callWith(bridge, "POST", subscriptions, subscription).want(201)
	if made.str("status") != "Inactif" {
		t.Errorf("born %s", made.Text)
	}
	b.send("GET", organizations+"/"+id, bridge, nil).want(200)
	b.callWith(bridge, "POST", organizations, organization).want(400)
	b.callWith(bridge, "POST", subscriptions, subscription).refused(400, "Subscription FormulaireQF for organization "+id+" already exists")
	found := b.send("GET", subscriptions+"?datapassId=49117&companyRegister="+siret, bridge, nil).want(200)
	if found.str("0.id") != made.str("id") || len(found.list()) != 1 {
		t.Errorf("found %s", found.Text)
	}
}

// Token requests as HTTP libraries write them.
func TestHS2TokenRequestsOfSeveralLibrariesAreTaken(t *testing.T) {
	t.Parallel()
	b := start(t)
	c := b.Credential(SI)
	pair := "Basic " + base64.StdEncoding.EncodeToString([]byte(c.ClientID+":"+c.ClientSecret))
	for name, r := range map[string]struct{ kind, body string }{
		"curl":              {"application/x-www-form-urlencoded", "grant_type=client_credentials&scope=SI"},
		"with a charset":    {"application/x-www-form-urlencoded; charset=utf-8", "scope=SI&grant_type=client_credentials"},
		"with upper case":   {"APPLICATION/X-WWW-FORM-URLENCODED", "grant_type=client_credentials&scope=SI"},
		"with percent code": {"application/x-www-form-urlencoded", "grant_type=client%5Fcredentials&scope=" + url.QueryEscape("SI")},
	} {
		got := b.send("POST", tokenPath, http.Header{"Authorization": {pair}, "Content-Type": {r.kind}}, []byte(r.body))
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(got.Text), &answer); err != nil || got.Status != 200 || answer.AccessToken == "" {
			t.Errorf("%s: %d %s", name, got.Status, got.Text)
		}
	}
}

func exampleFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("seed", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

package hubeetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHS4AFolderNeedsARecipientThatReceives(t *testing.T) {
	t.Parallel()
	b := start(t)
	to := func(recipient OrganizationID) object {
		made := newFolder("R")
		made["cases"] = []any{object{"recipient": recipient, "externalId": "Formulaire-QF-R-01"}}
		return made
	}
	b.call(OSL, "POST", folders, to(majastres)).want(201)
	for recipient, text := range map[OrganizationID]string{
		{"SI", "21040107100019", "04999"}: "Case recipient SI-21040107100019-04999 does not exist",
		dinum:                             "Case recipient OSL-13002526500013-75107 does not exist",
		{"SI", "21350998700011", "35998"}: "Case recipient SI-21350998700011-35998 does not suscribed to FormulaireQF",
	} {
		b.call(OSL, "POST", folders, to(recipient)).refused(400, text)
	}
	unknown := newFolder("R")
	unknown["processCode"] = "Inconnue"
	b.call(OSL, "POST", folders, unknown).refused(400, "Case recipient SI-21040107100019-04107 does not suscribed to Inconnue")

	invalid := map[string]func(object){
		"[Path '/cases/0/externalId'] String": func(o object) {
			o["cases"] = []any{object{"recipient": majastres, "externalId": "Formulaire-QF-" + strings.Repeat("x", 17)}}
		},
		"[Path '/cases'] Array is too short: must have at least 1 elements but instance has 0 elements":       func(o object) { o["cases"] = []any{} },
		"[Path '/attachments'] Array is too short: must have at least 1 elements but instance has 0 elements": func(o object) { o["attachments"] = []any{} },
		"[Path '/attachments/0/recipients/0'] No case has the external id": func(o object) {
			o["attachments"] = []any{object{"fileName": "a", "type": "b", "size": 1, "mimeType": "text/plain", "recipients": []string{"autre"}}}
		},
		"/allOf/1/recipients: Array is too short": func(o object) {
			o["attachments"] = []any{object{"fileName": "a", "type": "b", "size": 1, "mimeType": "text/plain", "recipients": []string{}}}
		},
		"#/applicant/email: String is not a valid email value": func(o object) {
			o["applicant"] = object{"firstName": "A", "lastName": "B", "email": "pas un courriel"}
		},
	}
	for text, change := range invalid {
		body := newFolder("I")
		change(body)
		if r := b.call(OSL, "POST", folders, body).want(400); !strings.Contains(r.str("errors.0.message"), text) {
			t.Errorf("%s\nwant %s", r.Text, text)
		}
	}

	// Ids are the hub's: a client's own are read only.
	own := newFolder("O")
	own["id"] = nobody
	own["cases"] = []any{object{"id": nobody, "recipient": majastres, "externalId": "Formulaire-QF-O-01"}}
	if made := b.call(OSL, "POST", folders, own).want(201); made.str("id") == nobody || made.str("cases.0.id") == nobody {
		t.Errorf("%s", made.Text)
	}
	// The same external id twice is taken, unless the switch says otherwise.
	b.call(OSL, "POST", folders, newFolder("O")).want(201)
	if got := b.Totals().Duplicates; got != 1 {
		t.Errorf("%d duplicates", got)
	}
	b.SetSwitches(func(s *Switches) { s.DuplicateFolderRefused = true })
	b.call(OSL, "POST", folders, newFolder("O")).refused(400, "Folder Formulaire-QF-O already exists")
}

func TestHS5AFileIsWhatItsMetadataSays(t *testing.T) {
	t.Parallel()
	pdf := []byte("%PDF-1.7 ")
	cases := map[string]struct {
		mimeType string
		size     int
		content  []byte
		digest   string
		text     string // "" for 204
	}{
		"the announced bytes":                    {"application/json", 2, []byte("{}"), "", ""},
		"with their digest":                      {"application/json", 2, []byte("{}"), digestOf([]byte("{}")), ""},
		"one byte more":                          {"application/json", 2, []byte("{ }"), "", sizeMismatch},
		"one byte less":                          {"application/json", 2, []byte("1"), "", sizeMismatch},
		"another digest":                         {"application/json", 2, []byte("{}"), digestOf([]byte("x")), digestMismatch},
		"JSON that is none":                      {"application/json", 2, []byte("{["), "", mimeMismatch},
		"a PDF":                                  {"application/pdf", 9, pdf, "", ""},
		"a PDF that is text":                     {"application/pdf", 5, []byte("texte"), "", mimeMismatch},
		"text that is a PDF":                     {"text/plain", 9, pdf, "", mimeMismatch},
		"XML":                                    {"application/xml", 4, []byte("<a/>"), "", ""},
		"XML that does not end":                  {"application/xml", 3, []byte("<a>"), "", mimeMismatch},
		"a type that no first bytes tell":        {"application/jose", 5, []byte("a.b.c"), "", ""},
		"an image that is text":                  {"image/png", 5, []byte("texte"), "", mimeMismatch},
		"a type that is none":                    {"n'importe quoi", 2, []byte("{}"), "", mimeMismatch},
		"nothing where nothing was announced":    {"text/plain", 0, nil, "", ""},
		"an office document, which is a zip":     {"application/vnd.oasis.opendocument.text", 4, []byte("PK\x03\x04"), "", ""},
		"whatever bytes are as an octet-stream":  {"application/octet-stream", 3, []byte{0, 1, 2}, "", ""},
		"binary that is announced as plain text": {"text/plain", 3, []byte{0, 1, 2}, "", mimeMismatch},
	}
	b := start(t)
	number := 0
	for name, c := range cases {
		number++
		reference := fmt.Sprintf("F%d", number)
		t.Run(name, func(t *testing.T) {
			body := newFolder(reference)
			body["attachments"] = []any{object{
				"fileName": "f", "type": "t", "size": c.size, "mimeType": c.mimeType, "recipients": []string{"Formulaire-QF-" + reference + "-01"},
			}}
			made := b.call(OSL, "POST", folders, body).want(201)
			folder := folders + "/" + made.str("id")
			more := []string{}
			if c.digest != "" {
				more = []string{"digest", c.digest}
			}
			r := b.put(OSL, folder+"/attachments/"+made.str("attachments.0.id"), c.content, more...)
			r.t = t
			after := b.call(OSL, "GET", folder, nil).want(200).str("attachments.0.status")
			if c.text != "" {
				r.refused(400, c.text)
				if after != string(Rejected) {
					t.Errorf("status %s, want REJECTED", after)
				}
				return
			}
			r.want(204)
			if after != string(Received) {
				t.Errorf("status %s, want RECEIVED", after)
			}
			got := b.call(OSL, "GET", casesPath+"/"+made.str("cases.0.id")+"/attachments/"+made.str("attachments.0.id"), nil).want(200)
			if got.Text != string(c.content) || got.Header.Get("digest") != digestOf(c.content) ||
				got.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("%q %v", got.Text, got.Header)
			}
		})
	}
	// Sent again after a refusal, as a client does that has mended itself.
	made := b.call(OSL, "POST", folders, newFolder("AGAIN")).want(201)
	at := folders + "/" + made.str("id") + "/attachments/" + made.str("attachments.0.id")
	b.put(OSL, at, []byte("[")).want(400)
	b.put(OSL, at, []byte("[]")).want(204)
	b.put(OSL, at, []byte("{}")).want(204)
	b.call(OSL, "PATCH", folders+"/"+made.str("id"), object{"globalStatus": "HUBEE_COMPLETED"}).want(204)
	b.put(OSL, at, []byte("[]")).refused(400, "Bad request")
	if got := b.Folders("Formulaire-QF-AGAIN")[0].Attachments[0]; got.Uploads != 3 || got.Digest != digestOf([]byte("{}")) {
		t.Errorf("%+v", got)
	}
}

func TestHS6TheAntivirusComesAfterTheUploadAndDoesNotStopTheFolder(t *testing.T) {
	t.Parallel()
	b := start(t, func(s *Switches) { s.AntivirusAfter = Duration(time.Minute) })
	eicar := []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}` + `$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`)
	body := newFolder("V")
	body["attachments"] = []any{object{
		"fileName": "f", "type": "t", "size": len(eicar), "mimeType": "text/plain", "recipients": []string{"Formulaire-QF-V-01"},
	}}
	made := b.call(OSL, "POST", folders, body).want(201)
	folder, one, file := folders+"/"+made.str("id"), casesPath+"/"+made.str("cases.0.id"), made.str("attachments.0.id")
	b.put(OSL, folder+"/attachments/"+file, eicar).want(204)
	if got := b.call(OSL, "GET", folder, nil).str("attachments.0.status"); got != string(Received) {
		t.Errorf("before the verdict: %s", got)
	}
	b.Advance(time.Minute)
	if got := b.call(OSL, "GET", folder, nil).str("attachments.0.status"); got != string(Corrupted) {
		t.Errorf("after the verdict: %s", got)
	}
	b.call(OSL, "PATCH", folder, object{"globalStatus": "HUBEE_COMPLETED"}).want(204)
	if got := b.call(SI, "GET", one, nil).want(200); got.str("attachments.0.status") != string(Corrupted) {
		t.Errorf("the administration sees %s", got.Text)
	}
	b.call(SI, "GET", one+"/attachments/"+file, nil).refused(404, "File is not found")
	// The OSL sends it again, mended.
	b.put(OSL, folder+"/attachments/"+file, []byte(strings.Repeat("x", len(eicar)))).want(204)
	b.call(SI, "GET", one+"/attachments/"+file, nil).want(200)
	if err := b.JudgeFile(file, Corrupted); err != nil {
		t.Error(err)
	}
	b.call(SI, "GET", one+"/attachments/"+file, nil).want(404)
	if got := b.Totals(); got.Complete != 2 || got.Attachments[Corrupted] != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAFolderIsDeletedOnlyWhileItIsFilled(t *testing.T) {
	t.Parallel()
	b := start(t)
	made := b.call(OSL, "POST", folders, newFolder("D")).want(201)
	folder := folders + "/" + made.str("id")
	b.call(OSL, "DELETE", folder, nil).want(204)
	b.call(OSL, "GET", folder, nil).refused(404, "Folder is not found")
	b.put(OSL, folder+"/attachments/"+made.str("attachments.0.id"), []byte("{}")).refused(404, noMetadata)
	done, _ := b.sent("E")
	b.call(OSL, "DELETE", folders+"/"+done, nil).refused(400, "Bad request")
}

func TestCompletionNeedsFilesWhereTheSwitchSaysSo(t *testing.T) {
	t.Parallel()
	b := start(t)
	complete := func(reference string) int {
		made := b.call(OSL, "POST", folders, newFolder(reference)).want(201)
		return b.call(OSL, "PATCH", folders+"/"+made.str("id"), object{"globalStatus": "HUBEE_COMPLETED"}).Status
	}
	if got := complete("C1"); got != http.StatusNoContent {
		t.Errorf("%d", got)
	}
	b.SetSwitches(func(s *Switches) { s.CompletionNeedsFiles = true })
	if got := complete("C2"); got != http.StatusBadRequest {
		t.Errorf("%d", got)
	}
}

func TestTheExampleSetHoldsOneCompleteFolder(t *testing.T) {
	t.Parallel()
	b := start(t)
	waiting := b.call(SI, "GET", notifications, nil).want(200).list()
	if len(waiting) != 1 {
		t.Fatalf("%d notifications", len(waiting))
	}
	if f := b.Folders("Formulaire-QF-K7QD2M9XTB4HZ"); len(f) != 1 || !f[0].Complete() || f[0].GlobalStatus != HubeeNotified {
		t.Errorf("%+v", f)
	}
	activeQF := b.call(OSL, "GET", subscriptions+"?processCode=FormulaireQF&status=Actif", nil).want(200).list()
	if len(activeQF) != 1 {
		t.Errorf("%d active subscriptions", len(activeQF))
	}
	before := b.Snapshot()
	b.sent("RESET")
	b.Reset()
	if diff := cmp.Diff(before.Totals, b.Snapshot().Totals); diff != "" {
		t.Errorf("a reset is not the seed:\n%s", diff)
	}
}

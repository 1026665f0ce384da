package hubeetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Ids of the example set.
const (
	seedFolder = "3d0c6a7e-2f8b-4a55-9d6e-51c2f0a9e701"
	seedCase   = "94b1b09d-b47f-4480-9b48-93b8b36108f2"
	seedJSON   = "6f0b1a52-7a31-4c0e-9a0e-6a1d5a0b7c11"
	seedXML    = "6f0b1a52-7a31-4c0e-9a0e-6a1d5a0b7c12"
	seedActive = "a0179445-1e8b-46ff-8c1f-4b74d0498833"
	seedIdle   = "7e3b9d54-0c21-4f6a-8b7e-93a5d1f0c622"
	foreignOne = "0a4d9e31-5b7c-4d2f-8e6a-9c1b3d5f7a90"
	nobody     = "00000000-0000-4000-8000-000000000000"

	folders       = foldersBase + "/folders"
	casesPath     = foldersBase + "/cases"
	notifications = foldersBase + "/notifications"
	subscriptions = referential + "/subscriptions"
	organizations = referential + "/organizations"
)

var (
	october   = time.Date(2026, 10, 5, 8, 12, 40, 0, time.UTC)
	majastres = OrganizationID{"SI", "21040107100019", "04107"}
	dinum     = OrganizationID{"OSL", "13002526500013", "75107"}
)

type object map[string]any

type bundle struct {
	*Server
	t      *testing.T
	tokens map[Actor]string
}

// start runs the example set on a clock that stands still.
func start(t *testing.T, change ...func(*Switches)) *bundle {
	t.Helper()
	s, err := Start(Options{Clock: partnertest.NewFrozenClock(october)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, one := range change {
		s.SetSwitches(one)
	}
	return &bundle{s, t, map[Actor]string{}}
}

func strict(s *Switches) { s.Rules = Strict }

type result struct {
	t      *testing.T
	Status int
	Header http.Header
	Text   string
}

// want fails the test unless the status is this one.
func (r result) want(status int) result {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("got %d %s, want %d", r.Status, r.Text, status)
	}
	return r
}

// refused checks an errors[] answer, whose code is the status.
func (r result) refused(status int, message string) {
	r.t.Helper()
	want := compactJSON(map[string]any{"errors": []any{map[string]any{"code": status, "message": message}}})
	var got, wanted any
	_ = json.Unmarshal([]byte(r.Text), &got)
	_ = json.Unmarshal([]byte(want), &wanted)
	if r.Status != status || compactJSON(got) != compactJSON(wanted) {
		r.t.Errorf("got %d %s\nwant %d %s", r.Status, r.Text, status, want)
	}
}

// get walks the JSON with a path like "cases.0.id".
func (r result) get(path string) any {
	r.t.Helper()
	var at any
	if err := json.Unmarshal([]byte(r.Text), &at); err != nil {
		r.t.Fatalf("%d %q: %v", r.Status, r.Text, err)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch value := at.(type) {
		case map[string]any:
			at = value[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(value) {
				return nil
			}
			at = value[i]
		default:
			return nil
		}
	}
	return at
}

func (r result) str(path string) string {
	r.t.Helper()
	text, _ := r.get(path).(string)
	return text
}

func (r result) list() []any {
	r.t.Helper()
	var out []any
	if err := json.Unmarshal([]byte(r.Text), &out); err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (b *bundle) send(method, path string, header http.Header, body []byte) result {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.URL()+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	answered, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answered.Body.Close() }()
	text, err := io.ReadAll(answered.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return result{b.t, answered.StatusCode, answered.Header, string(text)}
}

// token asks for one with the pair of the client and a scope.
func (b *bundle) token(c Credential, scope string) result {
	b.t.Helper()
	pair := base64.StdEncoding.EncodeToString([]byte(c.ClientID + ":" + c.ClientSecret))
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	return b.send("POST", tokenPath, http.Header{
		"Authorization": {"Basic " + pair}, "Content-Type": {"application/x-www-form-urlencoded"},
	}, []byte(form.Encode()))
}

// as calls with a cached token of the example's client of that actor.
func (b *bundle) as(actor Actor) http.Header {
	b.t.Helper()
	if b.tokens[actor] == "" {
		b.tokens[actor] = b.token(b.Credential(actor), string(actor)).want(200).str("access_token")
	}
	return http.Header{"Authorization": {"Bearer " + b.tokens[actor]}}
}

// with is as for one client.
func (b *bundle) with(c Credential) http.Header {
	b.t.Helper()
	return http.Header{"Authorization": {"Bearer " + b.token(c, c.Scopes[0]).want(200).str("access_token")}}
}

func (b *bundle) call(actor Actor, method, path string, body any) result {
	b.t.Helper()
	return b.callWith(b.as(actor), method, path, body)
}

func (b *bundle) callWith(header http.Header, method, path string, body any) result {
	b.t.Helper()
	var text []byte
	if body != nil {
		header = header.Clone()
		header.Set("Content-Type", "application/json")
		text = []byte(compactJSON(body))
	}
	return b.send(method, path, header, text)
}

// put uploads a file with its digest.
func (b *bundle) put(actor Actor, path string, content []byte, more ...string) result {
	b.t.Helper()
	header := b.as(actor).Clone()
	header.Set("Content-Type", "application/octet-stream")
	for i := 0; i+1 < len(more); i += 2 {
		header.Set(more[i], more[i+1])
	}
	return b.send("PUT", path, header, content)
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// newFolder is a good request with one JSON and one text file.
func newFolder(reference string) object {
	return object{
		"processCode": "FormulaireQF", "externalId": "Formulaire-QF-" + reference,
		"applicant": object{"firstName": "Aminata", "lastName": "SISSOKO"},
		"cases":     []any{object{"recipient": majastres, "externalId": "Formulaire-QF-" + reference + "-01"}},
		"attachments": []any{
			object{
				"fileName": "FormulaireQF.json", "type": "FormulaireQF", "size": 2, "mimeType": "application/json",
				"recipients": []string{"Formulaire-QF-" + reference + "-01"},
			},
			object{
				"fileName": "note.txt", "type": "FormulaireQF", "size": 7, "mimeType": "text/plain",
				"recipients": []string{"Formulaire-QF-" + reference + "-01"},
			},
		},
	}
}

// sent is a folder of newFolder, uploaded and completed.
func (b *bundle) sent(reference string) (folderID, caseID string) {
	b.t.Helper()
	made := b.call(OSL, "POST", folders, newFolder(reference)).want(201)
	folderID, caseID = made.str("id"), made.str("cases.0.id")
	b.put(OSL, folders+"/"+folderID+"/attachments/"+made.str("attachments.0.id"), []byte(`{}`)).want(204)
	b.put(OSL, folders+"/"+folderID+"/attachments/"+made.str("attachments.1.id"), []byte("bonjour")).want(204)
	b.call(OSL, "PATCH", folders+"/"+folderID, object{"globalStatus": "HUBEE_COMPLETED"}).want(204)
	return folderID, caseID
}

func (b *bundle) mark(actor Actor, caseID string, status Status) result {
	b.t.Helper()
	return b.call(actor, "PATCH", casesPath+"/"+caseID, object{"status": status})
}

func (b *bundle) statusOf(caseID string) Status {
	b.t.Helper()
	return Status(b.call(OSL, "GET", casesPath+"/"+caseID, nil).want(200).str("status"))
}

// event is a good STATUS_UPDATE.
func statusUpdate(to Status) object {
	return object{"actionType": "STATUS_UPDATE", "notification": true, "caseNewStatus": to, "message": "Vu"}
}

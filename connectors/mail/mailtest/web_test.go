package mailtest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func startWeb(t *testing.T) (s *Server, addr string, call func(method, path, body string) (int, string, http.Header)) {
	t.Helper()
	clock := partnertest.NewFrozenClock(time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC))
	s, addr = start(t, Options{Clock: clock})
	base, err := s.StartWeb("")
	if err != nil {
		t.Fatal(err)
	}
	return s, addr, func(method, path, body string) (int, string, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := new(http.Client).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text), answer.Header
	}
}

func TestAPersonOpensAMailAndItsLink(t *testing.T) {
	t.Parallel()
	_, addr, call := startWeb(t)
	if _, page, _ := call("GET", "/", ""); !strings.Contains(page, "Aucun message.") {
		t.Errorf("%s", page)
	}
	if err := send(addr, "lise@valbrise.example", plainMail); err != nil {
		t.Fatal(err)
	}
	if err := send(addr, "paul@valbrise.example", strings.ReplaceAll(plainMail, "Bonjour", "<script>alert(1)</script>")); err != nil {
		t.Fatal(err)
	}
	if _, page, _ := call("GET", "/", ""); !strings.Contains(page, `<a href="/messages/1">Bonjour</a>`) || strings.Contains(page, "<script>") {
		t.Errorf("%s", page)
	}
	if _, page, _ := call("GET", "/?to=lise@valbrise.example", ""); strings.Contains(page, "/messages/2") {
		t.Errorf("%s", page)
	}
	status, page, header := call("GET", "/messages/1", "")
	if status != 200 || !strings.Contains(page, `<a href="https://hub.example/l/abc?x=1">https://hub.example/l/abc?x=1</a>`) {
		t.Errorf("%d %s", status, page)
	}
	if !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%v", header)
	}
	if _, source, _ := call("GET", "/messages/1/source", ""); source != plainMail {
		t.Errorf("%s", source)
	}
	for _, path := range []string{"/messages/9", "/messages/x", "/autre"} {
		if status, _, _ := call("GET", path, ""); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestAStrangersHTMLCannotRun(t *testing.T) {
	t.Parallel()
	_, addr, call := startWeb(t)
	if err := send(addr, "a@b.example", "Content-Type: text/html; charset=utf-8\r\n\r\n<script>alert(1)</script><a href=\"https://hub.example/l/z\">ici</a>\r\n"); err != nil {
		t.Fatal(err)
	}
	_, body, header := call("GET", "/messages/1/html", "")
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "sandbox allow-popups") || strings.Contains(policy, "allow-scripts") {
		t.Errorf("%s", policy)
	}
	if !strings.Contains(body, `<a href="https://hub.example/l/z">`) {
		t.Errorf("%s", body)
	}
}

func TestTheMailboxAsJSON(t *testing.T) {
	t.Parallel()
	s, addr, call := startWeb(t)
	if err := send(addr, "lise@valbrise.example", plainMail); err != nil {
		t.Fatal(err)
	}
	type view struct {
		ID         int
		ReceivedAt time.Time `json:"received_at"`
		MessageID  string    `json:"message_id"`
		EnvelopeTo []string  `json:"envelope_to"`
		Subject    string
		Links      []string
	}
	want := view{1, s.Web().Now(), "m1@passerelle.example", []string{"lise@valbrise.example"}, "Bonjour", []string{"https://hub.example/l/abc?x=1"}}
	var list []view
	_, text, _ := call("GET", "/api/messages?to=LISE@valbrise.example", "")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]view{want}, list); diff != "" {
		t.Error(diff)
	}
	var one view
	_, text, _ = call("GET", "/api/messages/1", "")
	if err := json.Unmarshal([]byte(text), &one); err != nil || cmp.Diff(want, one) != "" {
		t.Errorf("%s %v", text, err)
	}
	if _, text, _ := call("GET", "/api/messages?to=personne@x.example", ""); text != "[]" {
		t.Errorf("%s", text)
	}
	if status, _, _ := call("DELETE", "/api/messages", ""); status != 204 || len(s.Messages()) != 0 {
		t.Errorf("%d", status)
	}
}

func TestFaultsAreSetFromAnotherProcess(t *testing.T) {
	t.Parallel()
	s, addr, call := startWeb(t)
	if status, text, _ := call("POST", "/_admin/mail-faults", `{"kind":"refuse_recipient","recipient":"lise@*","times":1}`); status != 204 {
		t.Errorf("%d %s", status, text)
	}
	if status, _, _ := call("POST", "/_admin/mail-faults", `[{"kind":"explode"}]`); status != 400 {
		t.Errorf("%d", status)
	}
	if err := send(addr, "lise@valbrise.example", plainMail); code(err) != 550 {
		t.Error(err)
	}
	if status, _, _ := call("POST", "/_admin/bounces", `{"recipient":"["}`); status != 400 {
		t.Errorf("%d", status)
	}
	if _, text, _ := call("GET", "/_admin/state", ""); !strings.Contains(text, `"struck":1`) {
		t.Errorf("%s", text)
	}
	if status, _, _ := call("POST", "/_admin/reset", ""); status != 204 || s.Struck(RefuseRecipient) != 0 {
		t.Errorf("%d", status)
	}
}

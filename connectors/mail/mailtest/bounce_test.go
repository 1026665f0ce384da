package mailtest

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type hub struct {
	mu      sync.Mutex
	reports []string
	header  []http.Header
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports, h.header = append(h.reports, string(body)), append(h.header, r.Header.Clone())
	w.WriteHeader(http.StatusNoContent)
}

func TestABouncedMailIsAcceptedThenReported(t *testing.T) {
	t.Parallel()
	h := &hub{}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s, addr := start(t, Options{Hostname: "relais.example", BounceURL: server.URL + "/bounces", BounceSecret: "partage"})
	s.BounceFor(BounceRule{Recipient: "lise@*"})
	if err := send(addr, "lise@valbrise.example", plainMail); err != nil {
		t.Fatal(err)
	}
	if err := send(addr, "paul@valbrise.example", plainMail); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitBounces(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(h.reports) != 1 || len(s.Bounces()) != 1 || s.Bounces()[0].Status != http.StatusNoContent {
		t.Fatalf("%d reports, %+v", len(h.reports), s.Bounces())
	}
	report := h.reports[0]
	mac := hmac.New(sha256.New, []byte("partage"))
	mac.Write([]byte(report))
	if got := h.header[0].Get("X-Bounce-Signature"); got != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %q", got)
	}
	if got := h.header[0].Get("Content-Type"); got != "message/rfc822" {
		t.Errorf("content type %q", got)
	}

	message, err := mail.ReadMessage(strings.NewReader(report))
	if err != nil {
		t.Fatal(err)
	}
	if message.Header.Get("To") != "retour@passerelle.example" || message.Header.Get("Return-Path") != "<>" ||
		message.Header.Get("Auto-Submitted") != "auto-replied" {
		t.Errorf("%v", message.Header)
	}
	media, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || media != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("%s %v %v", media, params, err)
	}
	parts := multipart.NewReader(message.Body, params["boundary"])
	var types []string
	var status, headers string
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(part)
		types = append(types, strings.SplitN(part.Header.Get("Content-Type"), ";", 2)[0])
		switch len(types) {
		case 2:
			status = string(text)
		case 3:
			headers = string(text)
		}
	}
	if diff := cmp.Diff([]string{"text/plain", "message/delivery-status", "text/rfc822-headers"}, types); diff != "" {
		t.Error(diff)
	}
	reader := textproto.NewReader(bufio.NewReader(strings.NewReader(status + "\r\n")))
	perMessage, err := reader.ReadMIMEHeader()
	if err != nil || perMessage.Get("Reporting-MTA") != "dns; relais.example" {
		t.Errorf("%v %v", perMessage, err)
	}
	perRecipient, err := reader.ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	want := textproto.MIMEHeader{
		"Final-Recipient": {"rfc822; lise@valbrise.example"}, "Original-Recipient": {"rfc822; lise@valbrise.example"},
		"Action": {"failed"}, "Status": {"5.1.1"}, "Remote-Mta": {"dns; mx.valbrise.example"},
		"Diagnostic-Code": {"smtp; 550 5.1.1 Recipient address rejected: User unknown"},
	}
	if diff := cmp.Diff(want, perRecipient); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(headers, "Message-ID: <m1@passerelle.example>") || strings.Contains(headers, "Votre lien") {
		t.Errorf("the third part is not the mail's headers:\n%s", headers)
	}
}

func TestReportsOnDemand(t *testing.T) {
	t.Parallel()
	h := &hub{}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s, addr := start(t, Options{BounceURL: server.URL, BounceSecret: "partage"})
	if err := send(addr, "lise@valbrise.example", plainMail); err != nil {
		t.Fatal(err)
	}
	b, err := s.BounceNow(t.Context(), 1, "lise@valbrise.example", BounceRule{Action: "delayed"})
	if err != nil || b.Status != http.StatusNoContent {
		t.Fatalf("%+v %v", b, err)
	}
	if !strings.Contains(string(b.Report), "Action: delayed\r\nStatus: 4.4.1\r\n") {
		t.Errorf("%s", b.Report)
	}
	if b, err = s.BounceNow(t.Context(), 1, "élise@valbrise.example", BounceRule{}); err != nil ||
		!strings.Contains(string(b.Report), "Content-Type: message/global-delivery-status") ||
		!strings.Contains(string(b.Report), "Final-Recipient: utf-8; élise@valbrise.example") {
		t.Errorf("%s %v", b.Report, err)
	}
	if _, err := s.BounceNow(t.Context(), 7, "x@y.example", BounceRule{}); err == nil {
		t.Error("reported a mail that does not exist")
	}
	server.Close()
	if _, err := s.BounceNow(t.Context(), 1, "lise@valbrise.example", BounceRule{}); err == nil || s.Bounces()[2].Err == nil {
		t.Error("a report that nobody took has no error")
	}
}

func TestReportsAreNeverReported(t *testing.T) {
	t.Parallel()
	h := &hub{}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s, addr := start(t, Options{BounceURL: server.URL})
	s.BounceFor(BounceRule{})
	dialogue(t, dial(t, addr), "", "220", "EHLO x", "250", "MAIL FROM:<>", "250", "RCPT TO:<a@b.example>", "250",
		"DATA", "354", "Subject: rapport\r\n\r\nx\r\n.", "250")
	if err := s.WaitBounces(t.Context()); err != nil || len(h.reports) != 0 || len(s.Bounces()) != 0 {
		t.Errorf("%d reports", len(h.reports))
	}
}

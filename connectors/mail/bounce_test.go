package mail

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/mail/mailtest"
)

// report gives what the simulator posts for a mail that comes back.
func report(t testing.TB, to string, rule mailtest.BounceRule) []byte {
	t.Helper()
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(sink.Close)
	srv, err := mailtest.New(mailtest.Options{BounceURL: sink.URL, BounceSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	addr, err := srv.StartSMTP("")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(addr, ":")
	c := Config{Host: host, TLS: NoTLS, From: "ne-pas-repondre@passerelle.example"}
	for _, r := range port {
		c.Port = c.Port*10 + int(r-'0')
	}
	mailer, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	m := newMail()
	m.To = connectors.NewSecret(to)
	if err := mailer.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	bounce, err := srv.BounceNow(context.Background(), 1, to, rule)
	if err != nil {
		t.Fatal(err)
	}
	return bounce.Report
}

func TestReportsOfTheSimulatorAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to   string
		rule mailtest.BounceRule
		want Bounce
	}{
		"an unknown mailbox": {recipient, mailtest.BounceRule{}, Bounce{
			MessageID: id, Action: "failed", Status: "5.1.1", Permanent: true, Diagnostic: "550 5.1.1 Recipient address rejected: User unknown",
		}},
		"a delay": {recipient, mailtest.BounceRule{Action: "delayed"}, Bounce{
			MessageID: id, Action: "delayed", Status: "4.4.1", Diagnostic: "451 4.4.1 Connection timed out",
		}},
		"given up after a delay": {recipient, mailtest.BounceRule{Status: "4.4.7", Diagnostic: "<" + recipient + ">: expired"}, Bounce{
			MessageID: id, Action: "failed", Status: "4.4.7", Diagnostic: "<[redacted]>: expired",
		}},
		"an address in UTF-8": {"élise@mairie.example", mailtest.BounceRule{}, Bounce{
			MessageID: id, Action: "failed", Status: "5.1.1", Permanent: true, Diagnostic: "550 5.1.1 Recipient address rejected: User unknown",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseBounce(report(t, c.to, c.rule))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const head = "From: MAILER-DAEMON@mx.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n"

func multi(parts ...string) string {
	return "\r\n--b\r\n" + strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\n"
}

const (
	status   = "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2 <a@b.example>\r\n mailbox full\r\n"
	original = "Content-Type: message/rfc822\r\n\r\nReceived: x\r\nMessage-ID:\r\n <abc@passerelle.example>\r\nSubject: x\r\n\r\nMessage-ID: <no@body.example>\r\n"
)

func TestReportsInTheWild(t *testing.T) {
	t.Parallel()
	full := Bounce{MessageID: "abc@passerelle.example", Action: "failed", Status: "5.2.2", Permanent: true, Diagnostic: "552 5.2.2 <[redacted]> mailbox full"}
	with := func(change func(*Bounce)) *Bounce {
		b := full
		change(&b)
		return &b
	}
	for name, c := range map[string]struct {
		text string
		want *Bounce // nil: an error
		not  bool    // the error is ErrNotBounce
	}{
		"whole":            {head + multi("Content-Type: text/plain\r\n\r\nhello", status, original), &full, false},
		"LF line ends":     {strings.ReplaceAll(head+multi(status, original), "\r\n", "\n"), &full, false},
		"original first":   {head + multi(original, status), &full, false},
		"parts in base64":  {head + multi(status, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: base64\r\n\r\nTWVzc2FnZS1JZDogPGFiY0BwYXNzZXJlbGxlLmV4YW1wbGU+DQo="), &full, false},
		"quoted-printable": {head + multi(status, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nMessage-ID: <abc=40passerelle.example>"), &full, false},
		"no original, but an answer to it": {
			head + "In-Reply-To: <abc@passerelle.example>\r\n" + multi(status), &full, false,
		},
		"the last reference": {
			head + "References: <x@y.example>\r\n <abc@passerelle.example>\r\n" + multi(status), &full, false,
		},
		"two recipients, the second failed": {
			head + multi(strings.Replace(status, "Final-Recipient", "Final-Recipient: rfc822; c@d.example\r\nAction: relayed\r\nStatus: 2.0.0\r\n\r\nFinal-Recipient", 1), original), &full, false,
		},
		"the status is in the diagnostic only": {head + multi(strings.Replace(status, "Status: 5.2.2\r\n", "", 1), original), &full, false},
		"no status at all": {
			head + multi(strings.NewReplacer("Status: 5.2.2\r\n", "", "552 5.2.2 ", "").Replace(status), original),
			with(func(b *Bounce) { b.Status, b.Permanent, b.Diagnostic = "", false, "<[redacted]> mailbox full" }), false,
		},
		"an action with a comment": {head + multi(strings.Replace(status, "Action: failed", "Action: Failed (permanent)", 1), original), &full, false},
		"lines of another form":    {head + multi(strings.Replace(status, "Action", "what is this\r\nAction", 1), original), &full, false},
		"an answer of a person":    {"From: a@b.example\r\nContent-Type: text/plain\r\n\r\nMerci !", nil, true},
		"an abuse report":          {strings.Replace(head, "delivery-status", "feedback-report", 1) + multi(status, original), nil, true},
		"no machine-readable part": {head + multi(original), nil, true},
		"nothing about the mail":   {head + multi(status), nil, false},
		"a bad Message-ID":         {head + multi(status, "Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <a b@c d>"), nil, false},
		"no action":                {head + multi(strings.Replace(status, "Action: failed\r\n", "", 1), original), nil, false},
		"cut in the middle":        {head + strings.TrimSuffix(multi(status, original), "\r\n--b--\r\n"), nil, false},
		"no boundary":              {"Content-Type: multipart/report; report-type=delivery-status\r\n\r\nx", nil, true},
		"not a mail":               {"hello", nil, false},
		"too large":                {head + multi(status, original) + strings.Repeat("x", MaxBounce), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseBounce([]byte(c.text))
			if c.want == nil {
				if err == nil || errors.Is(err, ErrNotBounce) != c.not || strings.Contains(err.Error(), "@") {
					t.Errorf("%+v, error %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

var address = regexp.MustCompile(`[a-z]@[a-z]`)

func FuzzParseBounce(f *testing.F) {
	f.Add(report(f, recipient, mailtest.BounceRule{}))
	f.Add([]byte(head + multi(status, original)))
	f.Add([]byte(strings.ReplaceAll(head+multi(status, original), "\r\n", "\n")))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBounce(data)
		if err != nil {
			if b != (Bounce{}) {
				t.Errorf("an error and %+v", b)
			}
			return
		}
		switch {
		case !messageID.MatchString(b.MessageID):
			t.Errorf("Message-ID %q", b.MessageID)
		case b.Status != "" && !enhanced.MatchString(b.Status):
			t.Errorf("status %q", b.Status)
		case b.Permanent && (b.Action != "failed" || b.Status[0] != '5'):
			t.Errorf("permanent: %+v", b)
		case len(b.Diagnostic) > connectors.MaxDetail || !utf8.ValidString(b.Diagnostic) || address.MatchString(b.Diagnostic):
			t.Errorf("diagnostic %q", b.Diagnostic)
		}
	})
}

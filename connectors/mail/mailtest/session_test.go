package mailtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gomail "github.com/wneessen/go-mail"
)

func start(t *testing.T, opts Options) (*Server, string) {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	addr, err := s.StartSMTP("")
	if err != nil {
		t.Fatal(err)
	}
	return s, addr
}

const plainMail = "From: Passerelle <ne-pas-repondre@passerelle.example>\r\nTo: lise@valbrise.example\r\n" +
	"Subject: Bonjour\r\nMessage-ID: <m1@passerelle.example>\r\n\r\nVotre lien : https://hub.example/l/abc?x=1.\r\n.point\r\n"

// send is the standard library's client, one recipient.
func send(addr, to, body string) error {
	return smtp.SendMail(addr, nil, "retour@passerelle.example", []string{to}, []byte(body))
}

func code(err error) int {
	var protocol *textproto.Error
	if errors.As(err, &protocol) {
		return protocol.Code
	}
	return 0
}

func TestAMailIsKeptAsItWasSent(t *testing.T) {
	t.Parallel()
	s, addr := start(t, Options{})
	if err := send(addr, "lise@valbrise.example", plainMail); err != nil {
		t.Fatal(err)
	}
	got := s.To("Lise@Valbrise.example")
	if len(got) != 1 {
		t.Fatalf("%d mails", len(got))
	}
	m := got[0]
	if m.EnvelopeFrom != "retour@passerelle.example" || m.MessageID != "m1@passerelle.example" || m.Subject != "Bonjour" || m.Fault != "" {
		t.Errorf("%+v", m)
	}
	// Dots at the start of a line are doubled on the wire only.
	if string(m.Raw) != plainMail || !strings.HasSuffix(m.Text, "\r\n.point\r\n") {
		t.Errorf("raw:\n%s", m.Raw)
	}
	if diff := cmp.Diff([]string{"https://hub.example/l/abc?x=1"}, m.Links()); diff != "" {
		t.Error(diff)
	}
	if len(s.To("autre@valbrise.example")) != 0 || len(s.ByMessageID("m1@passerelle.example")) != 1 {
		t.Error("found under another address, or not by its Message-ID")
	}
}

// dialogue writes lines and compares the codes of the answers.
func dialogue(t *testing.T, conn net.Conn, steps ...string) {
	t.Helper()
	text := textproto.NewConn(conn)
	for i := 0; i < len(steps); i += 2 {
		if steps[i] != "" {
			if err := text.PrintfLine("%s", steps[i]); err != nil {
				t.Fatal(err)
			}
		}
		var want int
		if _, err := fmt.Sscan(steps[i+1], &want); err != nil {
			t.Fatal(err)
		}
		if _, line, err := text.ReadResponse(want); err != nil {
			t.Errorf("%q: want %d, got %v %s", steps[i], want, err, line)
		}
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestTheRulesOfASession(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		opts  Options
		steps []string
	}{
		"mail before a greeting":    {Options{}, []string{"MAIL FROM:<a@b.example>", "503"}},
		"recipient before a sender": {Options{}, []string{"EHLO x", "250", "RCPT TO:<a@b.example>", "503"}},
		"data before a recipient":   {Options{}, []string{"EHLO x", "250", "DATA", "503", "MAIL FROM:<a@b.example>", "250", "DATA", "554"}},
		"a nested mail":             {Options{}, []string{"EHLO x", "250", "MAIL FROM:<a@b.example>", "250", "MAIL FROM:<a@b.example>", "503"}},
		"a new EHLO starts again": {Options{}, []string{
			"EHLO x", "250", "MAIL FROM:<a@b.example>", "250", "EHLO x", "250", "RCPT TO:<a@b.example>", "503",
		}},
		"RSET forgets the sender": {Options{}, []string{"EHLO x", "250", "MAIL FROM:<a@b.example>", "250", "RSET", "250", "RCPT TO:<c@d.example>", "503"}},
		"malformed addresses": {Options{}, []string{
			"EHLO x", "250", "MAIL FROM:a@b.example", "501", "MAIL FROM:<a@>", "501", "MAIL FROM:<@b>", "501", "MAIL TO:<a@b>", "501",
			"MAIL FROM:<>", "250", "RCPT TO:<>", "501", "RCPT TO:<a@b.example", "501", "RCPT TO:<a@b.example>x", "501",
		}},
		"sizes": {Options{MaxSize: 1000}, []string{
			"EHLO x", "250", "MAIL FROM:<a@b.example> SIZE=1001", "552", "MAIL FROM:<a@b.example> SIZE=x", "501",
			"MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME", "250",
		}},
		"unknown parameters": {Options{}, []string{
			"EHLO x", "250", "MAIL FROM:<a@b.example> BODY=BINARYMIME", "501", "MAIL FROM:<a@b.example> X=1", "555",
			"MAIL FROM:<a@b.example>", "250", "RCPT TO:<a@b.example> NOTIFY=NEVER", "555",
		}},
		"accents need SMTPUTF8": {Options{}, []string{
			"EHLO x", "250", "MAIL FROM:<é@b.example>", "553", "MAIL FROM:<a@b.example>", "250", "RCPT TO:<é@b.example>", "553", "RSET", "250",
			"MAIL FROM:<a@b.example> SMTPUTF8", "250", "RCPT TO:<é@b.example>", "250",
		}},
		"TLS is not offered": {Options{}, []string{"EHLO x", "250", "STARTTLS", "503"}},
		"TLS comes first": {Options{Security: StartTLS, Username: "u", Password: "p"}, []string{
			"EHLO x", "250", "MAIL FROM:<a@b.example>", "530", "AUTH PLAIN AHUAcA==", "538", "STARTTLS x", "501",
		}},
		"credentials come first": {Options{Username: "u", Password: "p"}, []string{
			"EHLO x", "250", "MAIL FROM:<a@b.example>", "530", "AUTH CRAM-MD5", "504", "AUTH PLAIN AHUAeA==", "535", "AUTH PLAIN !", "501",
			"AUTH PLAIN", "334", "*", "501", "AUTH LOGIN", "334", "dQ==", "334", "cA==", "235", "AUTH LOGIN", "503", "MAIL FROM:<a@b.example>", "250",
		}},
		"AUTH is not offered": {Options{}, []string{"EHLO x", "250", "AUTH PLAIN AHUAcA==", "503"}},
		"small talk":          {Options{}, []string{"NOOP", "250", "VRFY x", "252", "TURN", "500", "EHLO", "501", "HELO x", "250", "QUIT", "221"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, addr := start(t, c.opts)
			dialogue(t, dial(t, addr), append([]string{"", "220"}, c.steps...)...)
		})
	}
}

func TestAMailThatIsTooBigIsRefusedAndTheSessionGoesOn(t *testing.T) {
	t.Parallel()
	s, addr := start(t, Options{MaxSize: 1000})
	err := send(addr, "a@b.example", plainMail+strings.Repeat("x", 2000)+"\r\n")
	if code(err) != 552 {
		t.Errorf("%v", err)
	}
	// Far beyond, the connection closes.
	if err := send(addr, "a@b.example", strings.Repeat("x", 200_000)); err == nil {
		t.Error("accepted")
	}
	if len(s.Messages()) != 0 {
		t.Error("kept")
	}
}

// The library that sends Passerelle's mails must get on with this relay.
func TestGoMailSends(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		opts   Options
		client func(*Server) []gomail.Option
	}{
		"in clear": {Options{}, func(*Server) []gomail.Option { return []gomail.Option{gomail.WithTLSPolicy(gomail.NoTLS)} }},
		"with STARTTLS and AUTH PLAIN": {Options{Security: StartTLS, Username: "hub", Password: "s3cret"}, func(s *Server) []gomail.Option {
			return []gomail.Option{
				gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithTLSConfig(&tls.Config{RootCAs: s.RootCAs(), ServerName: "localhost"}),
				gomail.WithSMTPAuth(gomail.SMTPAuthPlain), gomail.WithUsername("hub"), gomail.WithPassword("s3cret"),
			}
		}},
		"over TLS with AUTH LOGIN": {Options{Security: ImplicitTLS, Username: "hub", Password: "s3cret"}, func(s *Server) []gomail.Option {
			return []gomail.Option{
				gomail.WithSSL(), gomail.WithTLSConfig(&tls.Config{RootCAs: s.RootCAs(), ServerName: "localhost"}),
				gomail.WithSMTPAuth(gomail.SMTPAuthLogin), gomail.WithUsername("hub"), gomail.WithPassword("s3cret"),
			}
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := start(t, c.opts)
			host, port, _ := net.SplitHostPort(addr)
			var number int
			_, _ = fmt.Sscan(port, &number)
			client, err := gomail.NewClient(host, append(c.client(s), gomail.WithPort(number), gomail.WithTimeout(5*time.Second))...)
			if err != nil {
				t.Fatal(err)
			}
			m := gomail.NewMsg()
			if err := errors.Join(m.EnvelopeFrom("retour@passerelle.example"), m.FromFormat("Été à la mairie", "hub@passerelle.example"),
				m.To("lise@valbrise.example")); err != nil {
				t.Fatal(err)
			}
			m.Subject("Votre clé expire le 1er août : pensez à la renouveler dès maintenant, s'il vous plaît")
			m.SetMessageIDWithValue("0192@passerelle.example")
			text := "Été : https://hub.example/l/" + strings.Repeat("a", 90) + "\n"
			m.SetBodyString(gomail.TypeTextPlain, text)
			m.AddAlternativeString(gomail.TypeTextHTML, "<p>Été</p>")
			if err := client.DialAndSendWithContext(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			got := s.Messages()
			if len(got) != 1 || got[0].Fault != "" {
				t.Fatalf("%+v", got)
			}
			kept := got[0]
			if strings.TrimSpace(kept.Text) != strings.TrimSpace(text) || kept.HTML != "<p>Été</p>" || kept.MessageID != "0192@passerelle.example" ||
				!strings.HasSuffix(kept.Subject, "s'il vous plaît") || !strings.HasPrefix(kept.From, `Été à la mairie`) && !strings.HasPrefix(kept.From, `"Été`) {
				t.Errorf("%+v", kept)
			}
			if kept.TLS != (c.opts.Security != NoTLS) || kept.User != c.opts.Username || kept.EnvelopeFrom != "retour@passerelle.example" {
				t.Errorf("TLS %t, user %q, envelope %q", kept.TLS, kept.User, kept.EnvelopeFrom)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fault Fault
		code  int // 0: the connection is lost
		kept  int
	}{
		"a busy relay":           {Fault{Kind: Busy}, 421, 0},
		"an address refused":     {Fault{Kind: RefuseRecipient}, 550, 0},
		"an address deferred":    {Fault{Kind: DeferRecipient}, 451, 0},
		"a mail refused":         {Fault{Kind: RefuseMessage}, 554, 0},
		"a mail deferred":        {Fault{Kind: DeferMessage}, 451, 0},
		"dropped before":         {Fault{Kind: Drop}, 0, 0},
		"the answer lost":        {Fault{Kind: LoseAnswer}, 0, 1},
		"for an address by case": {Fault{Kind: RefuseRecipient, Recipient: "LISE@*"}, 550, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := start(t, Options{})
			c.fault.Times = 1
			s.Fail(c.fault)
			err := send(addr, "lise@valbrise.example", plainMail)
			if err == nil || code(err) != c.code {
				t.Errorf("want %d, got %v", c.code, err)
			}
			if len(s.Messages()) != c.kept || s.Struck(c.fault.Kind) != 1 {
				t.Errorf("%d kept, struck %d", len(s.Messages()), s.Struck(c.fault.Kind))
			}
			if err := send(addr, "lise@valbrise.example", plainMail); err != nil {
				t.Errorf("the next mail: %v", err)
			}
			if len(s.Messages()) != c.kept+1 || len(s.ByMessageID("m1@passerelle.example")) != c.kept+1 {
				t.Errorf("%d kept in the end", len(s.Messages()))
			}
		})
	}
}

func TestAFaultStrikesItsRecipientsOnly(t *testing.T) {
	t.Parallel()
	s, addr := start(t, Options{})
	s.Fail(Fault{Kind: RefuseRecipient, Recipient: "lise@*"}, Fault{Kind: DeferRecipient, Recipient: "paul@*", Skip: 1})
	if err := send(addr, "anne@valbrise.example", plainMail); err != nil {
		t.Error(err)
	}
	if err := send(addr, "paul@valbrise.example", plainMail); err != nil {
		t.Errorf("the first one is skipped: %v", err)
	}
	if err := send(addr, "paul@valbrise.example", plainMail); code(err) != 451 {
		t.Error(err)
	}
	s.ClearFaults()
	if err := send(addr, "lise@valbrise.example", plainMail); err != nil {
		t.Error(err)
	}
}

func TestAHungMailEndsWithTheClient(t *testing.T) {
	t.Parallel()
	s, addr := start(t, Options{})
	s.Fail(Fault{Kind: Hang})
	conn := dial(t, addr)
	dialogue(t, conn, "", "220", "EHLO x", "250", "MAIL FROM:<a@b.example>", "250", "RCPT TO:<c@d.example>", "250", "DATA", "354")
	if _, err := io.WriteString(conn, "Subject: x\r\n\r\nx\r\n.\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 100)); n != 0 || !isTimeout(err) {
		t.Errorf("answered %d bytes (%v)", n, err)
	}
	// Close of the relay, in Cleanup, would wait for a session that does not end.
	_ = conn.Close()
	if len(s.Messages()) != 0 {
		t.Error("kept")
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestASlowMailIsKeptBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	s, addr := start(t, Options{})
	s.Fail(Fault{Kind: Slow, Delay: time.Hour, Times: 1})
	done := make(chan error, 1)
	go func() { done <- send(addr, "lise@valbrise.example", plainMail) }()
	if _, err := s.Wait(t.Context(), "lise@valbrise.example", nil); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Errorf("answered at once: %v", err)
	default:
	}
	_ = s.Close()
	if err := <-done; err == nil {
		t.Error("a closed relay acknowledged the mail")
	}
}

func TestAHookSeesTheMailBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	s, addr := start(t, Options{})
	seen := make(chan Message, 2)
	release := make(chan struct{})
	remove := s.AfterAccept(func(m Message) {
		seen <- m
		<-release
	})
	done := make(chan error, 1)
	go func() { done <- send(addr, "lise@valbrise.example", plainMail) }()
	m := <-seen
	select {
	case err := <-done:
		t.Errorf("answered before the hook returned: %v", err)
	default:
	}
	if len(s.Messages()) != 1 || m.MessageID != "m1@passerelle.example" {
		t.Errorf("%+v", m)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	remove()
	if err := send(addr, "lise@valbrise.example", plainMail); err != nil || len(seen) != 0 {
		t.Errorf("%v, %d", err, len(seen))
	}
}

func TestCommandsSentBeforeTheHandshakeAreForgotten(t *testing.T) {
	t.Parallel()
	s, addr := start(t, Options{Security: StartTLS})
	conn := dial(t, addr)
	dialogue(t, conn, "", "220", "EHLO x", "250")
	// One write: a man in the middle adds a command that the TLS client never sent.
	if _, err := io.WriteString(conn, "STARTTLS\r\nNOOP\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	if err != nil || !bytes.HasPrefix(answer[:n], []byte("220 ")) {
		t.Fatalf("%q %v", answer[:n], err)
	}
	secured := tls.Client(conn, &tls.Config{RootCAs: s.RootCAs(), ServerName: "localhost"})
	if err := secured.HandshakeContext(t.Context()); err != nil {
		return // the relay took the stray command for a handshake and hung up: safe
	}
	dialogue(t, secured, "EHLO x", "250", "NOOP", "250", "QUIT", "221")
}

func TestWaitGivesUp(t *testing.T) {
	t.Parallel()
	s, _ := start(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Wait(ctx, "x@y.example", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

package mail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/mail/mailtest"
)

const (
	recipient = "lise.armand@valbrise-sur-ormes.example"
	id        = "0198c5d0-7a5e-7c3e-9a55-3f0f3a1b2c4d@passerelle.example"
)

func newMail() connectors.Mail {
	return connectors.Mail{
		MessageID: id, To: connectors.NewSecret(recipient), Subject: "Votre habilitation « quotient familial » est prête",
		Text: connectors.NewSecret("Bonjour,\r\n\r\nla clé est à retirer ici : https://hub.example/l/é\r\n.\r\nseul un point au-dessus\r\n"),
		HTML: connectors.NewSecret("<p>la clé est à retirer</p>"),
	}
}

// relay runs a simulator and opens a mailer on it.
func relay(t *testing.T, opts mailtest.Options, change ...func(*Config)) (*mailtest.Server, *Mailer) {
	t.Helper()
	srv, err := mailtest.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	addr, err := srv.StartSMTP("")
	if err != nil {
		t.Fatal(err)
	}
	return srv, open(t, addr, change...)
}

func open(t *testing.T, addr string, change ...func(*Config)) *Mailer {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Host: host, TLS: NoTLS, From: "Passerelle <ne-pas-repondre@passerelle.example>", Timeout: 5 * time.Second}
	if c.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(&c)
	}
	mailer, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	return mailer.(*Mailer)
}

func caFile(t *testing.T, pem []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAMailArrivesAsItWasWritten(t *testing.T) {
	t.Parallel()
	srv, mailer := relay(t, mailtest.Options{}, func(c *Config) { c.ReturnPath = "rebond@passerelle.example" })
	want := newMail()
	if err := mailer.Send(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got := srv.To(recipient)
	if len(got) != 1 {
		t.Fatalf("%d mails", len(got))
	}
	m := got[0]
	if m.Fault != "" || m.Text != want.Text.Reveal() || m.HTML != want.HTML.Reveal() || m.Subject != want.Subject {
		t.Errorf("fault %q\nsubject %q\ntext %q\nhtml %q", m.Fault, m.Subject, m.Text, m.HTML)
	}
	if m.MessageID != id || m.EnvelopeFrom != "rebond@passerelle.example" || !strings.Contains(m.From, "<ne-pas-repondre@passerelle.example>") {
		t.Errorf("id %q, envelope %q, from %q", m.MessageID, m.EnvelopeFrom, m.From)
	}
	for name, value := range map[string]string{"Auto-Submitted": "auto-generated", "Mime-Version": "1.0"} {
		if h := m.Header[name]; len(h) != 1 || h[0] != value {
			t.Errorf("%s: %v", name, h)
		}
	}
	if len(m.Header["Date"]) != 1 || len(m.Header["User-Agent"]) != 0 {
		t.Errorf("headers %v", m.Header)
	}
	for _, line := range strings.Split(string(m.Raw), "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets (RFC 5322, 2.1.1)", len(line))
		}
	}
}

func TestALostAnswerIsARepeatWithTheSameID(t *testing.T) {
	t.Parallel()
	srv, mailer := relay(t, mailtest.Options{})
	srv.Fail(mailtest.Fault{Kind: mailtest.LoseAnswer, Times: 1})
	if err := mailer.Send(t.Context(), newMail()); !connectors.Is(err, connectors.Temporary) {
		t.Fatalf("%v", err)
	}
	if err := mailer.Send(t.Context(), newMail()); err != nil {
		t.Fatal(err)
	}
	if n := len(srv.ByMessageID(id)); n != 2 {
		t.Errorf("%d mails of one Message-ID", n)
	}
}

func TestARefusalSaysWhatToDoNext(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  mailtest.Kind
		class  connectors.Class
		status int
		says   string
		kept   int
	}{
		"the relay is busy":                {mailtest.Busy, connectors.Temporary, 421, "4.3.2", 0},
		"the recipient is unknown":         {mailtest.RefuseRecipient, connectors.Rejected, 550, "5.1.1 Adresse inconnue", 0},
		"the recipient is deferred":        {mailtest.DeferRecipient, connectors.Temporary, 451, "4.3.0", 0},
		"the mail is refused":              {mailtest.RefuseMessage, connectors.Rejected, 554, "5.6.0", 0},
		"the mail is deferred":             {mailtest.DeferMessage, connectors.Temporary, 451, "4.3.0", 0},
		"the connection drops at the end":  {mailtest.Drop, connectors.Temporary, 0, "", 0},
		"the answer is lost":               {mailtest.LoseAnswer, connectors.Temporary, 0, "", 1},
		"the relay hangs":                  {mailtest.Hang, connectors.Temporary, 0, "within the time limit", 0},
		"the relay is slower than we wait": {mailtest.Slow, connectors.Temporary, 0, "within the time limit", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, mailer := relay(t, mailtest.Options{}, func(c *Config) { c.Timeout = 500 * time.Millisecond })
			fault := mailtest.Fault{Kind: c.fault}
			if c.fault == mailtest.Slow {
				fault.Delay = time.Hour
			}
			srv.Fail(fault)
			err := mailer.Send(t.Context(), newMail())
			var e *connectors.Error
			if !errors.As(err, &e) || e.Class != c.class || e.Status != c.status || !strings.Contains(e.Detail, c.says) {
				t.Errorf("%v, want %s %d %q", err, c.class, c.status, c.says)
			}
			if err != nil && (strings.Contains(err.Error(), "lise") || strings.Contains(err.Error(), id)) {
				t.Errorf("the error shows whom the mail is for: %v", err)
			}
			if got := len(srv.Messages()); got != c.kept {
				t.Errorf("%d mails kept", got)
			}
		})
	}
}

func TestWaysIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts   mailtest.Options
		change func(*Config)
		class  connectors.Class // "": in
		says   string
	}{
		"plain": {mailtest.Options{}, func(*Config) {}, "", ""},
		"STARTTLS and credentials": {
			mailtest.Options{Security: mailtest.StartTLS, Username: "hub", Password: "s3cret-word"},
			func(c *Config) { c.TLS, c.Username, c.Password = StartTLS, "hub", connectors.NewSecret("s3cret-word") }, "", "",
		},
		"TLS and credentials": {
			mailtest.Options{Security: mailtest.ImplicitTLS, Username: "hub", Password: "s3cret-word"},
			func(c *Config) {
				c.TLS, c.Username, c.Password = ImplicitTLS, "hub", connectors.NewSecret("s3cret-word")
			}, "", "",
		},
		"credentials in clear on loopback": {
			mailtest.Options{Username: "hub", Password: "s3cret-word"},
			func(c *Config) { c.Username, c.Password = "hub", connectors.NewSecret("s3cret-word") }, "", "",
		},
		"wrong credentials": {
			mailtest.Options{Security: mailtest.ImplicitTLS, Username: "hub", Password: "s3cret-word"},
			func(c *Config) {
				c.TLS, c.Username, c.Password = ImplicitTLS, "hub", connectors.NewSecret("other-word")
			},
			connectors.Unauthorized, "5.7.8 Identifiants refusés",
		},
		"no credentials where they are asked for": {
			mailtest.Options{Username: "hub", Password: "s3cret-word"}, func(*Config) {}, connectors.Unauthorized, "5.7.0",
		},
		"no TLS where it is asked for": {mailtest.Options{Security: mailtest.StartTLS}, func(*Config) {}, connectors.Unauthorized, "STARTTLS"},
		"no STARTTLS where we ask for it": {
			mailtest.Options{}, func(c *Config) { c.TLS, c.CAFile = StartTLS, "" }, connectors.Temporary, "does not support STARTTLS",
		},
		"a certificate that we do not know": {
			mailtest.Options{Security: mailtest.ImplicitTLS},
			func(c *Config) { c.TLS, c.CAFile = ImplicitTLS, "" },
			connectors.Temporary, "certificate",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, err := mailtest.New(c.opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = srv.Close() })
			addr, err := srv.StartSMTP("")
			if err != nil {
				t.Fatal(err)
			}
			mailer := open(t, addr, func(config *Config) {
				if c.opts.Security != mailtest.NoTLS {
					config.CAFile = caFile(t, srv.CertificatePEM())
				}
				c.change(config)
			})
			err = mailer.Send(t.Context(), newMail())
			if c.class == "" {
				if err != nil || len(srv.Messages()) != 1 || srv.Messages()[0].User != c.opts.Username {
					t.Errorf("%v, %d mails", err, len(srv.Messages()))
				}
				if _, err := mailer.Health(t.Context()); err != nil {
					t.Errorf("health: %v", err)
				}
				return
			}
			if !connectors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %s %q", err, c.class, c.says)
			}
			for _, secret := range []string{"s3cret-word", "other-word", "lise"} {
				if strings.Contains(fmt.Sprint(err), secret) {
					t.Errorf("%v shows %q", err, secret)
				}
			}
		})
	}
}

// speak answers a connection with fixed lines, one for each command, then closes.
func speak(t *testing.T, lines ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				commands := bufio.NewReader(conn)
				for i, line := range lines {
					if i > 0 {
						if _, err := commands.ReadString('\n'); err != nil {
							return
						}
					}
					if line == "wait" {
						_, _ = commands.ReadString(0)
						return
					}
					if _, err := fmt.Fprint(conn, line+"\r\n"); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func TestRelaysThatAreNotWell(t *testing.T) {
	t.Parallel()
	nobody := speak(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	_ = listener.Close()
	for name, c := range map[string]struct {
		addr   string
		class  connectors.Class
		status int
	}{
		"nobody listens":                    {closed, connectors.Temporary, 0},
		"it closes without a word":          {nobody, connectors.Temporary, 0},
		"it does not speak":                 {speak(t, "wait"), connectors.Temporary, 0},
		"it speaks HTTP":                    {speak(t, "HTTP/1.1 400 Bad Request"), connectors.Temporary, 0},
		"it refuses us at the door":         {speak(t, "554 5.7.1 your address is on a list"), connectors.Unauthorized, 554},
		"it refuses our name":               {speak(t, "220 hi", "550 5.7.1 no", "550 5.7.1 no"), connectors.Unauthorized, 550},
		"it closes in the middle of EHLO":   {speak(t, "220 hi", "250-relay"), connectors.Temporary, 0},
		"it refuses the sender":             {speak(t, "220 hi", "250 relay", "250 ok", "553 5.1.8 <ne-pas-repondre@passerelle.example> unknown", "250 ok"), connectors.Rejected, 553},
		"it defers the sender":              {speak(t, "220 hi", "250 relay", "250 ok", "450 4.7.1 greylisted", "250 ok"), connectors.Temporary, 450},
		"it refuses DATA":                   {speak(t, "220 hi", "250 relay", "250 ok", "250 ok", "250 ok", "503 5.5.1 no", "250 ok"), connectors.Rejected, 503},
		"it hangs after MAIL":               {speak(t, "220 hi", "250 relay", "250 ok", "wait"), connectors.Temporary, 0},
		"it asks for credentials at MAIL":   {speak(t, "220 hi", "250 relay", "250 ok", "530 5.7.0 sign in", "250 ok"), connectors.Unauthorized, 530},
		"its answer to NOOP is no good day": {speak(t, "220 hi", "250 relay", "421 4.3.2 closing"), connectors.Temporary, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := open(t, c.addr, func(c *Config) { c.Timeout = 400 * time.Millisecond }).Send(t.Context(), newMail())
			var e *connectors.Error
			if !errors.As(err, &e) || e.Class != c.class || e.Status != c.status {
				t.Errorf("%v, want %s %d", err, c.class, c.status)
			}
			if err != nil && strings.Contains(err.Error(), "@") {
				t.Errorf("the error shows an address: %v", err)
			}
		})
	}
}

func TestAMailThatWasTakenIsSentEvenIfTheGoodbyeFails(t *testing.T) {
	t.Parallel()
	addr := speak(t, "220 hi", "250 relay", "250 ok", "250 ok", "250 ok", "354 go on")
	// After 354 the fake closes: the mail is not taken.
	if err := open(t, addr).Send(t.Context(), newMail()); !connectors.Is(err, connectors.Temporary) {
		t.Errorf("%v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		commands := bufio.NewReader(conn)
		fmt.Fprint(conn, "220 hi\r\n")
		for _, reply := range []string{"250 relay", "250 ok", "250 ok", "250 ok", "354 go on"} {
			_, _ = commands.ReadString('\n')
			fmt.Fprint(conn, reply+"\r\n")
		}
		for {
			line, err := commands.ReadString('\n')
			if err != nil || line == ".\r\n" {
				break
			}
		}
		fmt.Fprint(conn, "250 taken\r\n") // then the connection is gone
	}()
	if err := open(t, listener.Addr().String()).Send(t.Context(), newMail()); err != nil {
		t.Errorf("taken, yet %v", err)
	}
}

func TestACallerWhoLeavesEndsTheSession(t *testing.T) {
	t.Parallel()
	srv, mailer := relay(t, mailtest.Options{}, func(c *Config) { c.Timeout = time.Hour })
	srv.Fail(mailtest.Fault{Kind: mailtest.Hang})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := mailer.Send(ctx, newMail()); !connectors.Is(err, connectors.Temporary) {
		t.Errorf("%v", err)
	}
}

func TestMailsThatCannotBeWrittenAreRejectedWithoutACall(t *testing.T) {
	t.Parallel()
	_, mailer := relay(t, mailtest.Options{})
	for name, change := range map[string]func(*connectors.Mail){
		"no recipient":                   func(m *connectors.Mail) { m.To = connectors.Secret{} },
		"two recipients":                 func(m *connectors.Mail) { m.To = connectors.NewSecret(recipient + ", x@y.example") },
		"a recipient with a line break":  func(m *connectors.Mail) { m.To = connectors.NewSecret("a@b.example\r\nBcc: x@y.example") },
		"no Message-ID":                  func(m *connectors.Mail) { m.MessageID = "" },
		"a Message-ID in brackets":       func(m *connectors.Mail) { m.MessageID = "<" + id + ">" },
		"a Message-ID with a line break": func(m *connectors.Mail) { m.MessageID = id + "\r\nBcc: x@y.example" },
		"no text":                        func(m *connectors.Mail) { m.Text = connectors.Secret{} },
		"no subject":                     func(m *connectors.Mail) { m.Subject = " " },
	} {
		m := newMail()
		change(&m)
		if err := mailer.Send(t.Context(), m); !connectors.Is(err, connectors.Rejected) || strings.Contains(err.Error(), "@") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASubjectCannotAddAHeader(t *testing.T) {
	t.Parallel()
	srv, mailer := relay(t, mailtest.Options{})
	m := newMail()
	m.Subject = "Bonjour\r\nBcc: x@y.example"
	if err := mailer.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := srv.Messages()[0]; len(got.Header["Bcc"]) != 0 || got.Subject != "Bonjour Bcc: x@y.example" {
		t.Errorf("subject %q, headers %v", got.Subject, got.Header)
	}
}

func TestSettingsGiveEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	err := Config{
		TLS: "ssl", Port: 70000, Username: "u", From: "nobody", Timeout: -1, CAFile: "/nowhere",
	}.Validate()
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{"host:", "tls:", "port:", "go together", "from:", "timeout:", "ca_file:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault about %q in %v", want, err)
		}
	}
	clear := Config{Host: "relay.example", TLS: NoTLS, From: "a@b.example", Username: "u", Password: connectors.NewSecret("p")}
	if err := clear.Validate(); err == nil || !strings.Contains(err.Error(), "in clear") {
		t.Errorf("a password in clear: %v", err)
	}
	if _, err := clear.Open(); err == nil {
		t.Error("opened all the same")
	}
	good := Config{Host: "relay.example", From: "Passerelle <a@b.example>"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if full := good.withDefaults(); full.Port != 587 || full.TLS != StartTLS || full.Domain != "b.example" || full.ReturnPath != "a@b.example" {
		t.Errorf("%+v", full)
	}
}

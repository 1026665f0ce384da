package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/textproto"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// partner names the relay in errors.
const partner = "mail"

// Mailer sends through one relay, a connection a mail.
type Mailer struct {
	config Config
	tls    *tls.Config
}

var _ connectors.Mailer = (*Mailer)(nil)

// Send hands the mail to the relay. What the relay refuses before the mail
// itself (its greeting, TLS, our credentials) is never the mail's fault: 5xx is
// Unauthorized then, and the mail waits. From MAIL on, 5xx is Rejected and 4xx
// Temporary; no answer is Temporary, wherever it is missing.
func (m *Mailer) Send(ctx context.Context, mail connectors.Mail) error {
	const op = "send"
	message, err := m.message(mail)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	s, err := m.connect(ctx, op)
	if err != nil {
		return err
	}
	defer s.end()
	if err := s.client.SendWithSMTPClient(s.conn, message); err != nil && !message.IsDelivered() {
		return m.fail(ctx, op, err, false)
	}
	return nil
}

// Health signs in as Send does, and asks for nothing (NOOP).
func (m *Mailer) Health(ctx context.Context) (connectors.Health, error) {
	const op = "health"
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	s, err := m.connect(ctx, op)
	if err != nil {
		return connectors.Health{}, err
	}
	defer s.end()
	if err := s.conn.Noop(); err != nil {
		return connectors.Health{}, m.fail(ctx, op, err, true)
	}
	return connectors.Health{Latency: time.Since(start)}, nil
}

// session is one connection, greeted and signed in.
type session struct {
	client *gomail.Client
	conn   *smtp.Client
	stop   func() bool
}

// end says goodbye. What is said after the mail was taken does not matter.
func (s *session) end() {
	_ = s.client.CloseWithSMTPClient(s.conn)
	s.stop()
}

func (m *Mailer) connect(ctx context.Context, op string) (*session, error) {
	stop := func() bool { return true }
	// The library waits for each answer on its own: closing the connection under
	// it is what ends a session when the context does.
	dial := func(ctx2 context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx2, network, address)
		if err != nil {
			return nil, err
		}
		stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
		if m.config.TLS != ImplicitTLS {
			return conn, nil
		}
		secured := tls.Client(conn, m.tls)
		if err := secured.HandshakeContext(ctx2); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return secured, nil
	}
	client, err := m.client(dial)
	if err != nil {
		return nil, &connectors.Error{Class: connectors.Rejected, Partner: partner, Op: op, Detail: outbound.Redact(err.Error()), Err: err}
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		stop()
		return nil, m.fail(ctx, op, err, true)
	}
	return &session{client, conn, stop}, nil
}

func (m *Mailer) client(dial gomail.DialContextFunc) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(m.config.Port), gomail.WithTimeout(m.config.Timeout), gomail.WithHELO(m.config.Domain),
		gomail.WithTLSConfig(m.tls), gomail.WithDialContextFunc(dial), gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithoutRset(),
	}
	if m.config.TLS == StartTLS {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if m.config.Username != "" {
		options = append(options,
			gomail.WithUsername(m.config.Username), gomail.WithPassword(m.config.Password.Reveal()),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return gomail.NewClient(m.config.Host, options...)
}

// fail classifies an error by the relay's status. before: the mail itself was
// not offered yet.
func (m *Mailer) fail(ctx context.Context, op string, err error, before bool) error {
	e := &connectors.Error{Class: connectors.Temporary, Partner: partner, Op: op, Status: statusOf(err), Err: causeOf(err)}
	switch {
	case e.Status >= 500 && (before || aboutUs(e.Status)):
		e.Class = connectors.Unauthorized
	case e.Status >= 500:
		e.Class = connectors.Rejected
	}
	switch {
	case e.Status != 0:
		e.Detail = outbound.Redact(words(err), m.config.Password)
	case overdue(ctx):
		e.Detail = "no answer within the time limit"
	default:
		e.Detail = outbound.Redact(words(err), m.config.Password)
	}
	return e
}

// aboutUs lists the statuses of RFC 4954 (6) and RFC 3207 (4) that refuse our
// way in, at whatever command they come.
func aboutUs(status int) bool {
	switch status {
	case 530, 534, 535, 538:
		return true
	}
	return false
}

// statusOf finds the relay's status; 0 when it gave none.
func statusOf(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	var refused *gomail.SendError
	if errors.As(err, &refused) {
		return refused.ErrorCode()
	}
	return 0
}

// causeOf keeps a cause for errors.Is, unless its text holds addresses.
func causeOf(err error) error {
	var refused *gomail.SendError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// overdue reports whether the time limit has passed: the connection, which has
// the same one, may notice before ctx does.
func overdue(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return limited && !time.Now().Before(deadline)
}

// words drops what the library adds about recipient and Message-ID.
func words(err error) string {
	text := err.Error()
	for _, added := range []string{", affected recipient(s): ", ", affected message ID: "} {
		text, _, _ = strings.Cut(text, added)
	}
	return text
}

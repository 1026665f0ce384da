package mailtest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

const (
	// commandTimeout is what RFC 5321, 4.5.3.2.7 asks of a server.
	commandTimeout = 5 * time.Minute
	// maxCommands bounds what is read between two commands: a line of AUTH may
	// have 12288 octets (RFC 4954, 4), and commands may be sent together.
	maxCommands = 64 << 10
	// maxRecipients is the least a server must take (RFC 5321, 4.5.3.1.8).
	maxRecipients = 100
)

// errQuit ends a session without a word to the client.
var errQuit = errors.New("mailtest: session over")

// session is one connection. Its methods run in one goroutine.
type session struct {
	server *Server
	conn   net.Conn
	limit  *io.LimitedReader
	text   *textproto.Conn
	secure bool
	user   string

	greeted    bool
	mail       bool // MAIL was accepted
	from       string
	utf8       bool
	recipients []string
}

func (s *Server) converse(conn net.Conn) {
	c := &session{server: s}
	if s.opts.Security == ImplicitTLS {
		conn = tls.Server(conn, s.tlsConfig())
		c.secure = true
	}
	c.use(conn)
	if _, struck := s.strike(nil, Busy); struck {
		_ = c.reply(421, "4.3.2 Service momentanément indisponible")
		return
	}
	// A client that has gone away ends the session like any other error.
	_ = c.run()
}

// use reads and writes through conn from now on. What was buffered of the former
// connection is forgotten: commands sent before a TLS handshake do not count
// after it (RFC 3207, 4.2).
func (c *session) use(conn net.Conn) {
	c.conn = conn
	c.limit = &io.LimitedReader{R: conn, N: maxCommands}
	c.text = textproto.NewConn(struct {
		io.Reader
		io.Writer
		io.Closer
	}{c.limit, conn, conn})
}

func (c *session) reply(code int, text string) error {
	return c.text.PrintfLine("%d %s", code, text)
}

func (c *session) line() (string, error) {
	c.limit.N = maxCommands
	if err := c.conn.SetReadDeadline(time.Now().Add(commandTimeout)); err != nil {
		return "", err
	}
	return c.text.ReadLine()
}

func (c *session) run() error {
	if err := c.reply(220, c.server.opts.Hostname+" ESMTP"); err != nil {
		return err
	}
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		verb, rest, _ := strings.Cut(line, " ")
		if err := c.command(strings.ToUpper(verb), strings.TrimSpace(rest)); err != nil {
			return err
		}
	}
}

func (c *session) command(verb, rest string) error {
	switch verb {
	case "EHLO", "HELO":
		return c.hello(verb, rest)
	case "NOOP":
		return c.reply(250, "2.0.0 OK")
	case "RSET":
		c.reset()
		return c.reply(250, "2.0.0 OK")
	case "QUIT":
		return errors.Join(c.reply(221, "2.0.0 Au revoir"), errQuit)
	case "VRFY":
		return c.reply(252, "2.5.0 Essayez toujours")
	case "STARTTLS":
		return c.startTLS(rest)
	case "AUTH":
		return c.auth(rest)
	case "MAIL":
		return c.mailFrom(rest)
	case "RCPT":
		return c.rcptTo(rest)
	case "DATA":
		return c.data()
	}
	return c.reply(500, "5.5.2 Commande inconnue")
}

func (c *session) hello(verb, name string) error {
	if name == "" {
		return c.reply(501, "5.5.4 Un nom est attendu")
	}
	c.reset()
	c.greeted = true
	if verb == "HELO" {
		return c.reply(250, c.server.opts.Hostname)
	}
	lines := []string{
		c.server.opts.Hostname, "PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
		fmt.Sprintf("SIZE %d", c.server.opts.MaxSize),
	}
	if c.server.opts.Security == StartTLS && !c.secure {
		lines = append(lines, "STARTTLS")
	} else if c.server.opts.Username != "" && c.user == "" {
		lines = append(lines, "AUTH PLAIN LOGIN")
	}
	for i, line := range lines {
		format := "250-%s"
		if i == len(lines)-1 {
			format = "250 %s"
		}
		if err := c.text.PrintfLine(format, line); err != nil {
			return err
		}
	}
	return nil
}

func (c *session) startTLS(rest string) error {
	switch {
	case c.server.opts.Security != StartTLS || c.secure:
		return c.reply(503, "5.5.1 TLS n'est pas proposé ici")
	case rest != "":
		return c.reply(501, "5.5.4 STARTTLS n'a pas de paramètre")
	}
	if err := c.reply(220, "2.0.0 Prêt"); err != nil {
		return err
	}
	conn := tls.Server(c.conn, c.server.tlsConfig())
	if err := conn.HandshakeContext(c.server.stopping); err != nil {
		return err
	}
	c.use(conn)
	// The client starts again as if it had just connected (RFC 3207, 4.2).
	c.reset()
	c.secure, c.greeted, c.user = true, false, ""
	return nil
}

func (c *session) auth(rest string) error {
	mechanism, initial, _ := strings.Cut(rest, " ")
	switch {
	case c.server.opts.Username == "" || !c.greeted || c.user != "" || c.mail:
		return c.reply(503, "5.5.1 AUTH n'est pas attendu ici")
	case c.server.opts.Security == StartTLS && !c.secure:
		return c.reply(538, "5.7.11 TLS d'abord")
	}
	var user, password string
	var err error
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		var text string
		if text, err = c.secret(initial, ""); err == nil {
			parts := strings.Split(text, "\x00")
			if len(parts) != 3 {
				return c.reply(501, "5.5.2 Réponse mal formée")
			}
			user, password = parts[1], parts[2]
		}
	case "LOGIN":
		if user, err = c.secret(initial, "Username:"); err == nil {
			password, err = c.secret("", "Password:")
		}
	default:
		return c.reply(504, "5.5.4 Mécanisme inconnu")
	}
	switch {
	case errors.Is(err, errAuthFormat):
		return c.reply(501, "5.5.2 Réponse mal formée ou abandonnée")
	case err != nil:
		return err
	case user != c.server.opts.Username || password != c.server.opts.Password:
		return c.reply(535, "5.7.8 Identifiants refusés")
	}
	c.user = user
	return c.reply(235, "2.7.0 Bienvenue")
}

var errAuthFormat = errors.New("mailtest: not base64, or given up")

// secret reads one answer of AUTH, or takes the one that came with the command.
func (c *session) secret(initial, prompt string) (string, error) {
	if initial == "" {
		if err := c.reply(334, base64.StdEncoding.EncodeToString([]byte(prompt))); err != nil {
			return "", err
		}
		var err error
		if initial, err = c.line(); err != nil {
			return "", err
		}
	}
	if initial == "=" { // an empty answer (RFC 4954, 4)
		return "", nil
	}
	text, err := base64.StdEncoding.DecodeString(initial)
	if err != nil { // "*" gives up
		return "", errAuthFormat
	}
	return string(text), nil
}

func (c *session) mailFrom(rest string) error {
	switch {
	case !c.greeted:
		return c.reply(503, "5.5.1 EHLO d'abord")
	case c.server.opts.Security == StartTLS && !c.secure:
		return c.reply(530, "5.7.0 STARTTLS d'abord")
	case c.server.opts.Username != "" && c.user == "":
		return c.reply(530, "5.7.0 Authentification requise")
	case c.mail:
		return c.reply(503, "5.5.1 MAIL déjà reçu")
	}
	address, params, ok := parsePath(rest, "FROM:")
	if !ok {
		return c.reply(501, "5.1.7 Expéditeur mal formé")
	}
	utf8 := false
	for _, param := range params {
		name, value, _ := strings.Cut(param, "=")
		switch strings.ToUpper(name) {
		case "SIZE":
			var size int64
			if _, err := fmt.Sscanf(value, "%d", &size); err != nil || size < 0 {
				return c.reply(501, "5.5.4 SIZE mal formé")
			}
			if size > c.server.opts.MaxSize {
				return c.reply(552, "5.3.4 Message trop gros")
			}
		case "BODY":
			if v := strings.ToUpper(value); v != "7BIT" && v != "8BITMIME" {
				return c.reply(501, "5.5.4 BODY inconnu")
			}
		case "SMTPUTF8":
			utf8 = true
		default:
			return c.reply(555, "5.5.4 Paramètre inconnu")
		}
	}
	if !utf8 && !isASCII(address) {
		return c.reply(553, "5.6.7 SMTPUTF8 est nécessaire")
	}
	c.mail, c.from, c.utf8 = true, address, utf8
	return c.reply(250, "2.1.0 OK")
}

func (c *session) rcptTo(rest string) error {
	if !c.mail {
		return c.reply(503, "5.5.1 MAIL d'abord")
	}
	address, params, ok := parsePath(rest, "TO:")
	switch {
	case !ok || address == "":
		return c.reply(501, "5.1.3 Destinataire mal formé")
	case len(params) > 0:
		return c.reply(555, "5.5.4 Paramètre inconnu")
	case !c.utf8 && !isASCII(address):
		return c.reply(553, "5.6.7 SMTPUTF8 est nécessaire")
	case len(c.recipients) == maxRecipients:
		return c.reply(452, "4.5.3 Trop de destinataires")
	}
	if fault, struck := c.server.strike([]string{address}, RefuseRecipient, DeferRecipient); struck {
		if fault.Kind == DeferRecipient {
			return c.reply(451, "4.3.0 Réessayez plus tard")
		}
		return c.reply(550, "5.1.1 Adresse inconnue")
	}
	c.recipients = append(c.recipients, address)
	return c.reply(250, "2.1.5 OK")
}

// data reads a mail. It ends the session where a fault closes the connection.
func (c *session) data() error {
	switch {
	case !c.mail:
		return c.reply(503, "5.5.1 MAIL d'abord")
	case len(c.recipients) == 0:
		return c.reply(554, "5.5.1 Aucun destinataire")
	}
	if err := c.reply(354, "Terminez par un point seul"); err != nil {
		return err
	}
	// Four times the limit is read to the end and refused; beyond, the connection closes.
	c.limit.N = 4*c.server.opts.MaxSize + maxCommands
	raw, fits, err := readMail(c.text.DotReader(), c.server.opts.MaxSize)
	if err != nil {
		return err
	}
	recipients := c.recipients
	from := c.from
	c.reset()
	if !fits {
		return c.reply(552, "5.3.4 Message trop gros")
	}
	fault, struck := c.server.strike(recipients, RefuseMessage, DeferMessage, Drop, LoseAnswer, Hang, Slow)
	if struck {
		switch fault.Kind {
		case RefuseMessage:
			return c.reply(554, "5.6.0 Message refusé")
		case DeferMessage:
			return c.reply(451, "4.3.0 Réessayez plus tard")
		case Drop:
			return errQuit
		case Hang:
			c.hang()
			return errQuit
		}
	}
	m := c.server.keep(Message{EnvelopeFrom: from, EnvelopeTo: recipients, TLS: c.secure, User: c.user}, raw)
	defer c.server.bounce(m)()
	c.server.runHooks(m)
	if struck && fault.Kind == LoseAnswer {
		return errQuit
	}
	if struck && fault.Kind == Slow && !c.wait(fault.Delay) {
		return errQuit
	}
	return c.reply(250, fmt.Sprintf("2.0.0 OK %d", m.ID))
}

// readMail gives the mail with CRLF line ends, which DotReader takes off, and
// whether it fits.
func readMail(r io.Reader, limit int64) (raw []byte, fits bool, err error) {
	var out bytes.Buffer
	lines := bufio.NewReader(r)
	fits = true
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return nil, false, err
		}
		if text, full := bytes.CutSuffix(line, []byte("\n")); full {
			_, _ = out.Write(text)
			_, _ = out.WriteString("\r\n")
		} else {
			_, _ = out.Write(line)
		}
		if int64(out.Len()) > limit {
			fits = false
			out.Reset()
		}
		if errors.Is(err, io.EOF) {
			return out.Bytes(), fits, nil
		}
	}
}

// hang waits for the client to go away, or for the relay to close.
func (c *session) hang() {
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		return
	}
	c.limit.N = maxCommands
	_, _ = io.Copy(io.Discard, c.text.R)
}

// wait holds the answer, and reports whether the relay is still up.
func (c *session) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.server.stopping.Done():
		return false
	}
}

func (c *session) reset() {
	c.mail, c.from, c.utf8, c.recipients = false, "", false, nil
}

// parsePath reads "FROM:<address> PARAM=value ...". The empty path <> is the
// sender of reports.
func parsePath(rest, prefix string) (address string, params []string, ok bool) {
	if len(rest) < len(prefix) || !strings.EqualFold(rest[:len(prefix)], prefix) {
		return "", nil, false
	}
	rest = strings.TrimSpace(rest[len(prefix):])
	if !strings.HasPrefix(rest, "<") {
		return "", nil, false
	}
	address, after, closed := strings.Cut(rest[1:], ">")
	if !closed || (after != "" && after[0] != ' ') {
		return "", nil, false
	}
	at := strings.LastIndexByte(address, '@')
	if address != "" && (at < 1 || at == len(address)-1 || strings.ContainsAny(address, " \t<")) {
		return "", nil, false
	}
	return address, strings.Fields(after), true
}

func isASCII(text string) bool {
	for _, r := range text {
		if r > 127 {
			return false
		}
	}
	return true
}

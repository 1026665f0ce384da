package mailtest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Message is one mail that the relay accepted.
type Message struct {
	ID         int       `json:"id"` // 1 for the first one
	ReceivedAt time.Time `json:"received_at"`
	// EnvelopeFrom and EnvelopeTo are those of the SMTP session: the bounce
	// address, and who really gets it.
	EnvelopeFrom string   `json:"envelope_from"`
	EnvelopeTo   []string `json:"envelope_to"`
	TLS          bool     `json:"tls"`
	User         string   `json:"user,omitempty"` // who signed in
	// MessageID is without angle brackets. A repeat carries the same one.
	MessageID   string              `json:"message_id"`
	From        string              `json:"from"` // decoded
	To          string              `json:"to"`
	Subject     string              `json:"subject"`
	Text        string              `json:"text"` // the text/plain part, decoded
	HTML        string              `json:"html"` // the text/html part, decoded
	Attachments []Attachment        `json:"attachments,omitempty"`
	Header      map[string][]string `json:"header"`          // as sent
	Fault       string              `json:"fault,omitempty"` // why the mail cannot be read, when it cannot
	Raw         []byte              `json:"-"`
}

// Attachment is a part that is neither the text nor its HTML alternative.
type Attachment struct {
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	Content     []byte `json:"-"`
	Size        int    `json:"size"`
}

var linkPattern = regexp.MustCompile(`https?://[^\s<>"'()\[\]]*[^\s<>"'()\[\].,;:!?]`)

// Links are the URLs of the text part, in order; of the HTML part when there is
// no text.
func (m Message) Links() []string {
	if m.Text == "" {
		return linkPattern.FindAllString(m.HTML, -1)
	}
	return linkPattern.FindAllString(m.Text, -1)
}

// parse reads what it can: a mail that cannot be read is kept all the same, with
// the fault.
func (m *Message) parse(raw []byte) {
	m.Raw = raw
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		m.Fault = err.Error()
		return
	}
	m.Header = message.Header
	var faults []error
	header := func(name string) string {
		text, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get(name))
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
		return text
	}
	m.MessageID = strings.Trim(strings.TrimSpace(message.Header.Get("Message-Id")), "<>")
	m.From, m.To, m.Subject = header("From"), header("To"), header("Subject")
	faults = append(faults, m.addPart(textproto.MIMEHeader(message.Header), message.Body, 0))
	if err := errors.Join(faults...); err != nil {
		m.Fault = err.Error()
	}
}

// maxNesting bounds multiparts in multiparts.
const maxNesting = 10

func (m *Message) addPart(header textproto.MIMEHeader, body io.Reader, depth int) error {
	contentType := header.Get("Content-Type")
	if contentType == "" {
		contentType = "text/plain; charset=us-ascii" // RFC 2045, 5.2
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	if strings.HasPrefix(media, "multipart/") {
		return m.addParts(multipart.NewReader(body, params["boundary"]), depth+1)
	}
	content, err := io.ReadAll(decoded(body, header.Get("Content-Transfer-Encoding")))
	if err != nil {
		return fmt.Errorf("%s: %w", media, err)
	}
	disposition, dispositionParams, _ := mime.ParseMediaType(header.Get("Content-Disposition"))
	if disposition != "attachment" && (media == "text/plain" && m.Text == "" || media == "text/html" && m.HTML == "") {
		text, err := inUTF8(content, params["charset"])
		if err != nil {
			return fmt.Errorf("%s: %w", media, err)
		}
		if media == "text/plain" {
			m.Text = text
		} else {
			m.HTML = text
		}
		return nil
	}
	name := dispositionParams["filename"]
	if name == "" {
		name = params["name"]
	}
	m.Attachments = append(m.Attachments, Attachment{Name: name, ContentType: media, Content: content, Size: len(content)})
	return nil
}

func (m *Message) addParts(parts *multipart.Reader, depth int) error {
	if depth > maxNesting {
		return errors.New("multiparts are nested too deep")
	}
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF { // not errors.Is: a multipart that is cut short wraps io.EOF
			return nil
		}
		if err != nil {
			return err
		}
		if err := m.addPart(part.Header, part, depth); err != nil {
			return err
		}
	}
}

func decoded(body io.Reader, encoding string) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body) // skips line ends
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}

// inUTF8 reads the character sets that a French mail may have.
func inUTF8(content []byte, charset string) (string, error) {
	switch strings.ToLower(charset) {
	case "", "us-ascii", "utf-8":
		if !utf8.Valid(content) {
			return "", fmt.Errorf("the text is not in %q", charset)
		}
		return string(content), nil
	case "iso-8859-1":
		runes := make([]rune, len(content))
		for i, b := range content {
			runes[i] = rune(b)
		}
		return string(runes), nil
	}
	return "", fmt.Errorf("character set %q is not read here", charset)
}

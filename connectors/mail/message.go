package mail

import (
	"net/mail"
	"regexp"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/passerelle-hub/passerelle/connectors"
)

// messageID is the id-left and id-right of RFC 5322, 3.6.4, without brackets.
var messageID = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{1,128}@[A-Za-z0-9.-]{1,128}$`)

// message writes the mail: UTF-8, plain text and its HTML alternative. It is
// marked as automatic (RFC 3834, 5), so that no robot answers it.
func (m *Mailer) message(mail connectors.Mail) (*gomail.Msg, error) {
	reject := func(detail string) (*gomail.Msg, error) {
		return nil, &connectors.Error{Class: connectors.Rejected, Partner: partner, Op: "send", Detail: detail}
	}
	if !messageID.MatchString(mail.MessageID) {
		return reject("the Message-ID is not one")
	}
	if mail.Text.IsZero() || strings.TrimSpace(mail.Subject) == "" {
		return reject("a mail has a subject and a text")
	}
	to, err := parseRecipient(mail.To)
	if err != nil {
		return reject("the recipient is not an address")
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithCharset(gomail.CharsetUTF8))
	if err := message.From(m.config.From); err != nil {
		return reject("from is not an address")
	}
	if err := message.EnvelopeFrom(m.config.ReturnPath); err != nil {
		return reject("return_path is not an address")
	}
	if err := message.To(to); err != nil {
		return reject("the recipient is not an address")
	}
	message.Subject(strings.Join(strings.Fields(mail.Subject), " "))
	message.SetMessageIDWithValue(mail.MessageID)
	message.SetDateWithValue(time.Now())
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetBodyString(gomail.TypeTextPlain, mail.Text.Reveal())
	if !mail.HTML.IsZero() {
		message.AddAlternativeString(gomail.TypeTextHTML, mail.HTML.Reveal())
	}
	return message, nil
}

// parseRecipient takes one address, without a name.
func parseRecipient(to connectors.Secret) (string, error) {
	parsed, err := mail.ParseAddress(to.Reveal())
	if err != nil {
		return "", err
	}
	return parsed.Address, nil
}

package mailtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// BounceSignature is the header that signs a posted report:
// sha256=<hex HMAC-SHA256(secret, body)>.
const BounceSignature = "X-Bounce-Signature"

// BounceRule makes the mails to some recipients come back after they were accepted.
type BounceRule struct {
	// Recipient is an address, or a pattern of path.Match over one; "" is all.
	Recipient string `json:"recipient" yaml:"recipient"`
	// Action is "failed" (default) or "delayed" (RFC 3464, 2.3.3).
	Action string `json:"action,omitempty" yaml:"action"`
	// Status is the enhanced code; default 5.1.1, or 4.4.1 when delayed.
	Status string `json:"status,omitempty" yaml:"status"`
	// Diagnostic is what the far server said; default fits a mailbox that does not exist.
	Diagnostic string `json:"diagnostic,omitempty" yaml:"diagnostic"`
}

// Bounce is one report that was posted.
type Bounce struct {
	MessageID int    // the mail's number here
	Recipient string // whose mail came back
	Report    []byte // the posted message
	Status    int    // of the hub's answer
	Err       error
}

// BounceFor makes mails come back from now on: each is accepted, and a report
// for it is posted to Options.BounceURL.
func (s *Server) BounceFor(rules ...BounceRule) {
	for _, rule := range rules {
		if err := validPattern(rule.Recipient); err != nil {
			panic(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, rules...)
}

// BounceNow reports one recipient of a mail as undeliverable and waits for the
// hub's answer. Reports about reports are never made (RFC 5321, 6.1).
func (s *Server) BounceNow(ctx context.Context, messageID int, recipient string, rule BounceRule) (Bounce, error) {
	m, ok := s.Message(messageID)
	switch {
	case !ok:
		return Bounce{}, fmt.Errorf("mailtest: no mail %d", messageID)
	case m.EnvelopeFrom == "":
		return Bounce{}, fmt.Errorf("mailtest: mail %d has no sender to report to", messageID)
	}
	report, err := s.report(m, recipient, rule.withDefaults())
	if err != nil {
		return Bounce{}, err
	}
	b := Bounce{MessageID: messageID, Recipient: recipient, Report: report}
	b.Status, b.Err = s.PostReport(ctx, report)
	s.mu.Lock()
	s.bounces = append(s.bounces, b)
	s.mu.Unlock()
	return b, b.Err
}

// PostReport posts any bytes to the bounce URL, signed, and gives the status.
func (s *Server) PostReport(ctx context.Context, report []byte) (int, error) {
	if s.opts.BounceURL == "" {
		return 0, errors.New("mailtest: no bounce URL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opts.BounceURL, bytes.NewReader(report))
	if err != nil {
		return 0, err
	}
	mac := hmac.New(sha256.New, []byte(s.opts.BounceSecret))
	_, _ = mac.Write(report)
	req.Header.Set("Content-Type", "message/rfc822")
	req.Header.Set(BounceSignature, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	answer, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20))
	return answer.StatusCode, nil
}

// Bounces lists the reports posted so far.
func (s *Server) Bounces() []Bounce {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bounces)
}

// WaitBounces waits until no report is under way.
func (s *Server) WaitBounces(ctx context.Context) error {
	for {
		s.mu.Lock()
		pending := s.pending
		s.mu.Unlock()
		if pending == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// bounce prepares the reports that the rules ask for, and gives what posts them
// beside the session. They count as under way from now on.
func (s *Server) bounce(m Message) (post func()) {
	if m.EnvelopeFrom == "" {
		return func() {}
	}
	type due struct {
		recipient string
		rule      BounceRule
	}
	var list []due
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, recipient := range m.EnvelopeTo {
		at := slices.IndexFunc(s.rules, func(rule BounceRule) bool { return picks(rule.Recipient, recipient) })
		if at >= 0 {
			list = append(list, due{recipient, s.rules[at]})
		}
	}
	s.pending += len(list)
	return func() {
		for _, d := range list {
			s.running.Go(func() {
				// The outcome is kept in Bounces.
				_, _ = s.BounceNow(s.stopping, m.ID, d.recipient, d.rule)
				s.mu.Lock()
				s.pending--
				s.mu.Unlock()
			})
		}
	}
}

func (r BounceRule) withDefaults() BounceRule {
	if r.Action == "" {
		r.Action = "failed"
	}
	if r.Status == "" {
		r.Status = "5.1.1"
		if r.Action == "delayed" {
			r.Status = "4.4.1"
		}
	}
	if r.Diagnostic == "" {
		r.Diagnostic = "550 " + r.Status + " Recipient address rejected: User unknown"
		if r.Action == "delayed" {
			r.Diagnostic = "451 " + r.Status + " Connection timed out"
		}
	}
	return r
}

// report writes a delivery status notification (RFC 3464): what people read,
// what programs read, and the headers of the mail it is about.
func (s *Server) report(m Message, recipient string, rule BounceRule) ([]byte, error) {
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	kind, addressType := "message/delivery-status", "rfc822"
	if !isASCII(recipient) {
		kind, addressType = "message/global-delivery-status", "utf-8" // RFC 6533
	}
	sections := []struct{ contentType, text string }{
		{
			"text/plain; charset=utf-8",
			"This is the mail system at host " + s.opts.Hostname + ".\r\n\r\nYour message could not be delivered to one recipient:\r\n\r\n<" +
				recipient + ">: " + rule.Diagnostic + "\r\n",
		},
		{kind, strings.Join([]string{
			"Reporting-MTA: dns; " + s.opts.Hostname,
			"X-Queue-ID: " + fmt.Sprintf("%08X", m.ID),
			"Arrival-Date: " + m.ReceivedAt.Format(time.RFC1123Z),
			"",
			"Final-Recipient: " + addressType + "; " + recipient,
			"Original-Recipient: " + addressType + "; " + recipient,
			"Action: " + rule.Action,
			"Status: " + rule.Status,
			"Remote-MTA: dns; mx." + recipient[strings.LastIndexByte(recipient, '@')+1:],
			"Diagnostic-Code: smtp; " + rule.Diagnostic,
			"",
		}, "\r\n")},
		{"text/rfc822-headers; charset=utf-8", string(headerOf(m.Raw))},
	}
	for _, section := range sections {
		part, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {section.contentType}})
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(part, section.text); err != nil {
			return nil, err
		}
	}
	if err := parts.Close(); err != nil {
		return nil, err
	}
	now := s.web.Now()
	subject := "Undelivered Mail Returned to Sender"
	if rule.Action == "delayed" {
		subject = "Delayed Mail (still being retried)"
	}
	head := strings.Join([]string{
		"Return-Path: <>",
		"Date: " + now.Format(time.RFC1123Z),
		"From: MAILER-DAEMON@" + s.opts.Hostname + " (Mail Delivery System)",
		"To: " + m.EnvelopeFrom,
		"Subject: " + subject,
		fmt.Sprintf("Message-ID: <%d.%d@%s>", now.UnixNano(), m.ID, s.opts.Hostname),
		"Auto-Submitted: auto-replied",
		"MIME-Version: 1.0",
		fmt.Sprintf("Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=%q", parts.Boundary()),
		"", "",
	}, "\r\n")
	return append([]byte(head), body.Bytes()...), nil
}

func headerOf(raw []byte) []byte {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return append(bytes.Clone(head), "\r\n"...)
}

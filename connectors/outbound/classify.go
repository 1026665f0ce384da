package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// The names of connectors.DeliveryResult.ErrorClass.
const (
	ClassDNS            = "dns"
	ClassRefused        = "refused"
	ClassConnectTimeout = "connect_timeout"
	ClassTLS            = "tls"
	ClassReset          = "reset"
	ClassTimeout        = "timeout"
	ClassBlocked        = "blocked"
	ClassTooLarge       = "too_large"
	ClassInvalidURL     = "invalid_url"
)

// ErrorClass names a transport error of Client.Do; "" for nil. Whatever it does
// not know broke the exchange: reset.
func ErrorClass(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrBlocked):
		return ClassBlocked
	case errors.Is(err, ErrInvalidURL), isParseError(err):
		return ClassInvalidURL
	case errors.Is(err, ErrTooLarge), strings.Contains(err.Error(), "response headers exceeded"):
		return ClassTooLarge
	case errors.As(err, &dns):
		return ClassDNS
	case isTLS(err):
		return ClassTLS
	case errors.As(err, &op) && op.Op == "dial" && op.Timeout():
		return ClassConnectTimeout
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, errProxy), errors.Is(err, ErrCircuitOpen):
		return ClassRefused
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ClassTimeout
	case errors.As(err, &timeout) && timeout.Timeout():
		return ClassTimeout
	}
	return ClassReset
}

func isParseError(err error) bool {
	var u *url.Error
	return errors.As(err, &u) && u.Op == "parse"
}

func isTLS(err error) bool {
	var (
		record  tls.RecordHeaderError
		alert   tls.AlertError
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		own     *OwnCertificateError
	)
	if errors.As(err, &own) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify) || errors.As(err, &unknown) ||
		errors.As(err, &invalid) || errors.As(err, &host) || errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	// The handshake's other errors have no type: "tls: ...", "remote error: tls: ...",
	// "net/http: TLS handshake timeout".
	text := err.Error()
	return strings.Contains(text, "tls: ") || strings.Contains(text, "TLS handshake")
}

// words are what people read for a class.
var words = map[string]string{
	ClassDNS:            "the name does not resolve",
	ClassRefused:        "the connection was refused",
	ClassConnectTimeout: "no connection within the time limit",
	ClassTLS:            "the TLS handshake failed",
	ClassReset:          "the connection broke before the end of the answer",
	ClassTimeout:        "no answer within the time limit",
	ClassBlocked:        "the egress guard refuses the address",
	ClassTooLarge:       "the answer is too large",
	ClassInvalidURL:     "the URL is not valid",
}

// Explain says a transport error to people, without the URL.
func Explain(err error) string {
	if err == nil {
		return ""
	}
	class := ErrorClass(err)
	if errors.Is(err, ErrCircuitOpen) {
		return "left alone for a while after repeated failures; nothing was sent"
	}
	text := words[class]
	switch class {
	case ClassBlocked, ClassInvalidURL, ClassTLS, ClassTooLarge:
		cause := innermost(err)
		if over := ended(err); over != "" {
			cause = over
		}
		for _, sentinel := range []error{ErrBlocked, ErrInvalidURL, ErrTooLarge} {
			cause = strings.TrimPrefix(cause, sentinel.Error()+": ")
		}
		text += ": " + cause
	}
	return Redact(text)
}

// ended says that a partner's certificate has ended, and when; "" for any other error.
func ended(err error) string {
	var (
		verify  *tls.CertificateVerificationError
		invalid x509.CertificateInvalidError
	)
	if !errors.As(err, &verify) || !errors.As(err, &invalid) || invalid.Reason != x509.Expired || invalid.Cert == nil {
		return ""
	}
	if start := invalid.Cert.NotBefore; time.Now().Before(start) {
		return fmt.Sprintf("the partner's certificate %q begins on %s only: one of the two clocks is wrong, or the certificate", invalid.Cert.Subject.CommonName, start.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("the partner's certificate %q ended on %s", invalid.Cert.Subject.CommonName, invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
}

// innermost drops the wrapping that shows URLs (url.Error) and addresses (net.OpError).
func innermost(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}

// TransportError turns an error of Client.Do into the connector's: Temporary,
// except where a retry cannot help (blocked, invalid URL, too large: Rejected).
func TransportError(partner, op string, err error) *connectors.Error {
	e := &connectors.Error{Class: connectors.Temporary, Partner: partner, Op: op, Detail: Explain(err), Err: err}
	switch ErrorClass(err) {
	case ClassBlocked, ClassInvalidURL, ClassTooLarge:
		e.Class = connectors.Rejected
	}
	return e
}

package connectors

import (
	"errors"
	"fmt"
	"time"
)

// Class says what the caller does next with a failed call.
type Class string

const (
	// Temporary: 5xx, reset, timeout, half a body. Retry with growing waits.
	Temporary Class = "temporary"
	// RateLimited: 429 with a delay in Error.After. Nothing is sent before it has passed.
	RateLimited Class = "rate_limited"
	// Unauthorized: the partner refuses our own credentials. Stop its queue and alert.
	Unauthorized Class = "unauthorized"
	// Pending: the partner took the request and a person there must act first.
	// Look again later; nothing failed.
	Pending Class = "pending"
	// NotFound: the partner's own "object missing" answer on a path that exists.
	NotFound Class = "not_found"
	// Conflict: the object exists and is not ours. A human decides.
	Conflict Class = "conflict"
	// Rejected: the request or the configuration is wrong. A retry cannot help.
	Rejected Class = "rejected"
)

// Error is the only error a connector returns for a failed call.
//
// Detail is shown to operators and kept in the database: it holds the partner's
// own words, already redacted, never a secret, never personal data, 500
// characters at most.
type Error struct {
	Class   Class
	Partner string        // instance name, e.g. "gravitee-dinum"
	Op      string        // what was asked, e.g. "issue"
	Status  int           // HTTP or SMTP status, 0 when there was no answer
	Detail  string        // the partner's words, redacted
	After   time.Duration // RateLimited: do not call before this has passed
	Err     error         // cause, for errors.Is; never shown
}

// MaxDetail bounds Error.Detail, in bytes.
const MaxDetail = 500

// Error gives partner, operation, class and the partner's words.
func (e *Error) Error() string {
	msg := fmt.Sprintf("%s: %s: %s", e.Partner, e.Op, e.Class)
	if e.Status != 0 {
		msg += fmt.Sprintf(" (%d)", e.Status)
	}
	if e.Detail != "" {
		msg += ": " + e.Detail
	}
	return msg
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf gives the class of err. Whatever is not an *Error is Temporary: an
// unknown fault is retried, never dropped.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Temporary
}

// Is reports whether err is a connector error of that class.
func Is(err error, class Class) bool {
	var e *Error
	return errors.As(err, &e) && e.Class == class
}

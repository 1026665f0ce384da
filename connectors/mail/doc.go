// Package mail hands the hub's mails to an SMTP relay and reads the reports that
// come back when one could not be delivered.
//
// A mail has one recipient and a Message-ID chosen by the caller: SMTP cannot say
// whether a mail whose answer was lost has been taken, so it is sent again under
// the same Message-ID. Errors show the relay's status and words, never an
// address.
//
// ParseBounce reads delivery status notifications (RFC 3464): it is given what
// anybody may send, so it is bounded and fuzzed.
//
// It imports connectors and connectors/outbound (Redact), and is the only
// package that imports go-mail.
package mail

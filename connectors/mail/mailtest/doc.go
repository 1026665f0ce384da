// Package mailtest is a mail relay and its mailbox: a real SMTP server on a
// loopback address (RFC 5321, with STARTTLS, AUTH, SIZE, 8BITMIME, SMTPUTF8)
// that keeps what it accepts in memory, parsed, and shows it on a small web
// page, so that whoever runs the demo can open a mail and follow its link.
//
// It fails on request: a recipient refused for ever or for now, a connection
// dropped before the mail is kept or after it (the answer is lost), an answer
// that never comes. It can accept a mail and later report that it bounced: a
// delivery status notification (RFC 3464) posted to a URL.
//
// It is imported by tests, by `passerelle demo` and by `passerelle simulate`,
// and imports connectors/partnertest and the standard library only.
package mailtest

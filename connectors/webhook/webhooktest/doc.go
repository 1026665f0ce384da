// Package webhooktest is a receiver of webhooks as a data provider would write
// one: a real HTTP server on a loopback address that verifies both dialects on
// the raw body (X-Hub-Signature-256 of DataPass, and Standard Webhooks),
// records what came, counts repeats, checks the order of each subject, and
// answers what a test tells it to.
//
// It can misbehave as strangers' servers do: an answer that streams for ever, a
// gzip bomb, a redirect, half a body, a bad certificate; and it has the faults
// of connectors/partnertest. In lean mode it only counts, for benches.
//
// Its verification is written from webhooks.md and datapass.md, section 2.3,
// alone: it shares no code with what signs, so that a mistake in one shows.
//
// It is imported by tests, by `passerelle demo` and by `passerelle simulate`,
// and imports connectors/partnertest and the standard library only.
package webhooktest

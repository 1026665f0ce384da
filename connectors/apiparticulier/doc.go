// Package apiparticulier asks API Particulier for a family's quotient familial
// with a citizen's FranceConnect token (api-particulier.md, 1 to 6 and 10).
//
// One call is one attempt: the journey that asks owns budget and retries. What
// went wrong is sorted by one table (api-particulier.md, 4), on the status, the
// last three digits of the code, and the title where a code has two meanings.
//
// An answer is cut down to the scopes asked, then validated, before anybody sees
// it. Dates with zeros stay text. No query string, name, date, value or body is
// in an error or in a log.
//
// It imports connectors and connectors/outbound.
package apiparticulier

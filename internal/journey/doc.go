// Package journey is a citizen's transaction, from her commune's page to her
// folder at HubEE: admitted, at FranceConnect, her quotient familial asked, shown
// to her, sent (qf-form.md, 10; franceconnect.md, 11; api-particulier.md, 10).
//
// One transaction per entry. What is personal is sealed with a key that only her
// browser's cookie holds, until she sends; then it is a folder, and the registry's
// to deliver. It is the one exception to "act in a job": the exchange and the
// question run in the process of the request, apart from her connection, because
// the token lives 60 s and is never stored.
//
// It imports connectors, internal/registry (for what is sent), internal/store and
// internal/journey/qfform.
package journey

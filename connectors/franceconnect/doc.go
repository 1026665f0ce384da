// Package franceconnect identifies citizens with FranceConnect v2
// (franceconnect.md): where to send a browser, who came back, where to log out.
//
// What it does not believe: a callback of another issuer, a key set asked for
// more than once in 30 s, an algorithm that is not the pinned one, a userinfo
// that is not signed or speaks of another subject, an identity with a hole in
// it. Each refusal names its part and its reason (connectors.UnverifiedError).
//
// A code is sent once; a second secret is tried only where the first one was
// refused, before the code is looked at. Nothing of the claims but the pivot
// identity leaves the package; no token, code, name or query string is in an
// error or in a log.
//
// It imports connectors, connectors/outbound and internal/jose.
package franceconnect

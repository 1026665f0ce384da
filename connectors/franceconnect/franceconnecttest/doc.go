// Package franceconnecttest is FranceConnect v2 as a partner: a real OpenID
// provider on a loopback address, with the pages on which a citizen chooses an
// identity and agrees, and the rules that a client library does not expect: a
// closed list of parameters, state and nonce of 22 characters, codes of 30 s,
// tokens of 60 s, signed userinfo, error codes.
//
// It follows franceconnect.md; its bad answers are asked for by name, and its
// people are those of the API Particulier simulator. It says on every page that
// it is a simulator, and does not start under a production issuer.
//
// It is imported by tests, by `passerelle demo` and by `passerelle simulate`,
// and imports connectors/partnertest, internal/jose (to sign), chi and the
// standard library only.
package franceconnecttest

// Package apiparticuliertest is API Particulier as a partner: a real HTTP server
// on a loopback address with both operations on the quotient familial, by
// FranceConnect token and by identity, and what editors use around them (keys,
// delegations, list of errors, availability).
//
// It follows api-particulier.md: parameters and their codes in both numberings,
// the lock that makes strangers collide, the cache that ignores the month, the
// quotas, the days at the beginning of a month when the CAF knows nothing. Its
// families are those of the people of the FranceConnect simulator, which it asks
// about tokens as the real one asks FranceConnect.
//
// It is imported by tests, by `passerelle demo` and by `passerelle simulate`,
// and imports connectors/partnertest, internal/jose (to verify DPoP), chi, uuid
// and the standard library only.
package apiparticuliertest

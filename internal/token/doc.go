// Package token makes and recognises the values of secrets that the hub itself
// gives out: client keys, editor API secrets, hub API tokens, one-time links
// (tokens.md, 7.2).
//
// A value is `<kind>_<env>_<30 base62><6 base62>`: 30 random characters (178
// bits) and the CRC-32 of all that stands before it. The check sum is no
// secret: it lets a typo be refused without a query and a leak be recognised
// without a false positive. What proves a value is the hash kept of it.
//
// The package imports the standard library only. It knows no storage and no
// wrapper for secrets: Value gives the clear string, callers wrap it.
package token

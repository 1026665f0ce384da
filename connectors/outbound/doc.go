// Package outbound is the only way out of the hub.
//
// Partner gives a client for the operator's own URLs: private addresses are
// allowed, idempotent calls get at most two quick retries, a breaker stops
// calling a partner that is down. Public gives a client for URLs given by
// users: an egress guard judges the address really dialled, nothing is retried,
// no redirect is followed. Both bound every phase of a call and the size of the
// answer, and write one log event a call, without path, query or body.
//
// JSON makes one REST call with either; StatusError and TransportError turn
// what went wrong into the one error of package connectors; Redact cleans the
// partner's words before they are kept.
//
// Minutes to days of retry are the queue's business, not this package's.
//
// It imports connectors, and is the only package that imports retryablehttp,
// the breaker and the egress guard.
package outbound

// Package webhook delivers the hub's webhooks to receivers: it signs in the two
// dialects of webhooks.md, posts once through the egress guard, and tells an
// integrator exactly what is wrong with a signature.
//
// Signing and verifying are pure. One secret of 32 bytes serves both dialects:
// DataPass's HMAC is keyed with its 64 hexadecimal characters as text, Standard
// Webhooks 1.0 with its bytes, shown as whsec_ and base64.
//
// What a delivery's outcome means (retry, throttle, disable) is not decided here.
//
// It imports connectors and connectors/outbound.
package webhook

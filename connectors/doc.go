// Package connectors says what a partner can do for the hub: small capability
// interfaces, one error type that says what to do next, and what the hub lends
// to a connector (Deps).
//
// A connector is one folder below this one. It imports this package,
// connectors/outbound and internal/jose, and nothing else of ours. The hub
// never asks which partner it talks to: it asks for a capability and reads the
// Capabilities a connector declares.
//
// This package imports the standard library only.
package connectors

// Package eventtype is the catalogue of what webhooks tell: for each type its
// meaning, the JSON Schema (2020-12) of its bodies and an example, in both
// formats: Standard Webhooks and DataPass (datapass.md, 2.4; webhooks.md,
// Dialects).
//
// The registry publishes no type that is not here; tests hold every body that it
// publishes against its schema. A new type is a line of list.go, and a schema of
// its data below schema/ with one example.
//
// It is pure: standard library only.
package eventtype

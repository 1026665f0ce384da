// Package habilitation is the domain: requests for an habilitation, the
// habilitations granted, their states and events, and the rules between them.
//
// It is pure: no I/O, no clock, no randomness. Whoever calls it gives the time
// and the ids. It imports the standard library and uuid only. States, events
// and JSON keys are DataPass's own, to the letter (datapass.md, 1 and 2).
package habilitation

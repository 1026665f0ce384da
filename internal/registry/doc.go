// Package registry is the one way state changes.
//
// Receive stores an incoming DataPass webhook and gives its answer. Record runs
// a command: it locks the rows, asks the pure rules of internal/habilitation,
// saves, writes the history line and queues what must follow, in one
// transaction. If it commits, everything that must follow is already queued;
// if it does not, nothing happened.
//
// A command is a struct; its result, where it has one, is a field that Record
// fills. The outbox that turns what follows into jobs is declared here and
// implemented by jobs.
//
// It may import connectors, internal/habilitation, internal/store and
// internal/token.
package registry

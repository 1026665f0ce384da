// Package jobs does the work that follows a change: one River job does one
// thing with one partner through a connector, and is safe to repeat.
//
// One file per kind, named verb_object.go; client.go sets up River (queues,
// retry policy, periodic jobs), followup.go is the table from what follows to
// the jobs that do it, outcome.go says what a partner's error means for a job.
// A job's arguments are identifiers only: the queue's table is read by people.
// Outcomes are recorded through the registry, which queues what follows next.
//
// One queue per partner: what is slow or down never delays the rest.
//
// It may import connectors, internal/registry, internal/habilitation,
// internal/store and internal/token.
package jobs

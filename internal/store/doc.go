// Package store keeps the hub's state in Postgres: all SQL, and the sealing of
// secrets at rest.
//
// Queries live in queries/*.sql, checked against the migrations when db is
// generated (make generate); nobody else imports db. Reads are methods of
// Store; what changes state is a method of Tx, so that a caller decides what
// commits together. Sealed columns are opened here, with the row's id as
// associated data, and leave as connectors.Secret.
//
// It may import connectors, internal/habilitation, internal/jose and the
// standard library.
package store

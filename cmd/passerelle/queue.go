package main

import (
	"crypto/rand"
	"encoding/base64"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/passerelle-hub/passerelle/connectors"
)

// insertOnly is a River client that works no jobs.
func insertOnly(pool *pgxpool.Pool) (*river.Client[pgx.Tx], error) {
	return river.NewClient(riverpgxv5.New(pool), &river.Config{})
}

// newSealingKey draws 32 bytes, in base64.
func newSealingKey() connectors.Secret {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	return connectors.NewSecret(base64.StdEncoding.EncodeToString(key))
}

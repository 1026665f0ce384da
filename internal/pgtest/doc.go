// Package pgtest gives each test a PostgreSQL database of its own.
//
// The first test of a binary starts one throwaway server (internal/localpg) and
// migrates one template; each database is a copy of it, which takes tens of
// milliseconds. The server ends with the test binary, however that ends: no
// TestMain is needed. With TEST_DATABASE_URL the databases are made on that
// server instead, dropped after their tests, and what a killed run left there
// is dropped by a later one.
//
//	pool := pgtest.New(t, store.Migrate)
//
// The migration is handed in, so that the package that defines it can be tested
// with this one. Imports: internal/localpg and pgx. Imported by tests only.
package pgtest

// Package localpg runs a private PostgreSQL server: for `serve` without a
// database of its own (durable), for the demo and the tests (throwaway).
//
// The server listens on a Unix socket in a directory of mode 0700 and on no
// port. It is a direct child of this process: on Linux a parent-death signal
// stops it when this process is killed, elsewhere a throwaway server is ended by
// the small shell that also removes its directory.
//
// PostgreSQL refuses to run as root. As root on Linux the server runs in a user
// namespace that maps root to an ordinary user, or else with the credentials of
// postgres or nobody; as anyone else it runs plainly.
//
// Imports: the standard library and pgx (to see that the server answers).
// Imported by cmd/passerelle and internal/pgtest.
package localpg

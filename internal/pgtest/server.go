package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/localpg"
)

// urlVar names the server to use instead of a private one: a connection URL
// whose role may create databases, and whose own database is left alone.
const urlVar = "TEST_DATABASE_URL"

// prefix of all databases made here, before the id of the run.
const prefix = "passerelle_test_"

// server is where a test binary makes its databases.
type server struct {
	base string // URL of the maintenance database
	run  string // id of this test binary, part of its databases' names

	keeper    *pgx.Conn // says, while it is open, that the run is alive
	templates sync.Map  // of functions that give a migrated database's name, by Migrate's code pointer
	names     atomic.Int64
}

// shared is started by the first test that needs it.
var shared = sync.OnceValues(func() (*server, error) {
	// The server belongs to the test binary, not to the test that came first.
	return start(context.Background(), os.Getenv(urlVar))
})

func start(ctx context.Context, external string) (*server, error) {
	s := &server{base: external, run: strings.ToLower(rand.Text()[:10])}
	if external == "" {
		srv, err := localpg.Start(ctx, localpg.Options{Throwaway: true, Settings: map[string]string{
			"max_connections": "300",
			// CREATE DATABASE waits while a vacuum works in its template.
			"autovacuum": "off",
		}})
		if err != nil {
			return nil, fmt.Errorf("pgtest: %w (tests: %s)", err, urlVar)
		}
		s.base = srv.URL("postgres")
		return s, nil
	}
	if err := s.claim(ctx); err != nil {
		return nil, fmt.Errorf("pgtest: %s: %w", urlVar, err)
	}
	if err := s.sweep(ctx); err != nil {
		return nil, fmt.Errorf("pgtest: %s: drop what an earlier run left: %w", urlVar, err)
	}
	return s, nil
}

// claim opens the connection whose application name tells other runs that this
// one is alive.
func (s *server) claim(ctx context.Context) error {
	config, err := pgx.ParseConfig(s.base)
	if err != nil {
		return errors.New("not a connection URL") // Its text may hold a password.
	}
	if !strings.HasPrefix(s.base, "postgres://") && !strings.HasPrefix(s.base, "postgresql://") {
		return errors.New("must start with postgres://")
	}
	config.RuntimeParams["application_name"] = prefix + s.run
	s.keeper, err = pgx.ConnectConfig(ctx, config)
	return err
}

// sweep drops the databases of runs that are no longer alive.
func (s *server) sweep(ctx context.Context) error {
	rows, err := s.keeper.Query(ctx, `
		SELECT database.datname FROM pg_database AS database
		WHERE starts_with(database.datname, $1) AND NOT EXISTS (
			SELECT FROM pg_stat_activity AS session WHERE session.application_name = substring(database.datname, $2))`,
		prefix, "^("+prefix+"[a-z0-9]+)_")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		// IF EXISTS: another run may be sweeping too.
		if _, err := s.keeper.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

// maintain runs one statement on the maintenance database.
func (s *server) maintain(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.base)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// name gives the next database name of this run.
func (s *server) name() string {
	return fmt.Sprintf("%s%s_%d", prefix, s.run, s.names.Add(1))
}

// url gives the connection URL of one of the server's databases.
func (s *server) url(database string) (string, error) {
	u, err := url.Parse(s.base)
	if err != nil {
		return "", errors.New("pgtest: the server's URL cannot be parsed")
	}
	u.Path = "/" + database
	return u.String(), nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

package pgtest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Migrate brings the empty database at a connection URL to the schema that the
// test needs. It closes what it opens: a template with a connection cannot be
// copied. It runs once a test binary: functions made by the same literal count
// as one, whatever they capture.
type Migrate func(ctx context.Context, url string) error

// New gives a pool on a fresh database that was migrated by migrate; nil leaves
// it empty. Pool and database are gone after the test. It ends the test when
// there is no server.
func New(t testing.TB, migrate Migrate) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), URL(t, migrate))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// URL gives the connection URL of a fresh database, like New, for what opens
// connections itself. What is still connected after the test is cut off.
func URL(t testing.TB, migrate Migrate) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	url, drop, err := s.database(t.Context(), migrate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("pgtest: drop the database: %v", err)
		}
	})
	return url
}

// database makes a fresh copy of the template of migrate.
func (s *server) database(ctx context.Context, migrate Migrate) (url string, drop func(context.Context) error, err error) {
	template, err := s.template(migrate)
	if err != nil {
		return "", nil, err
	}
	name := s.name()
	if err := s.maintain(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(template)); err != nil {
		return "", nil, fmt.Errorf("pgtest: copy the template: %w", err)
	}
	drop = func(ctx context.Context) error {
		return s.maintain(ctx, "DROP DATABASE "+quote(name)+" WITH (FORCE)")
	}
	url, err = s.url(name)
	return url, drop, err
}

// template gives the name of the database that was migrated by migrate, making
// it for the first that asks.
func (s *server) template(migrate Migrate) (string, error) {
	if migrate == nil {
		return "template0", nil
	}
	made, _ := s.templates.LoadOrStore(reflect.ValueOf(migrate).Pointer(), sync.OnceValues(func() (string, error) {
		name := s.name()
		return name, s.migrated(context.Background(), name, migrate)
	}))
	return made.(func() (string, error))() //nolint:forcetypeassert // The map holds nothing else.
}

func (s *server) migrated(ctx context.Context, name string, migrate Migrate) error {
	if err := s.maintain(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
		return fmt.Errorf("pgtest: create the template: %w", err)
	}
	url, err := s.url(name)
	if err != nil {
		return err
	}
	if err := migrate(ctx, url); err != nil {
		return fmt.Errorf("pgtest: migrate the template: %w", err)
	}
	return nil
}

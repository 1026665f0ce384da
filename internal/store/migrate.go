package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/passerelle-hub/passerelle/migrations"
)

// riverVersion is the version of River's schema that this build works with.
const riverVersion = 8

// Migrate brings the schema up to date: ours, then River's. Several processes
// may call it at once; a session lock lets one work.
func Migrate(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return fmt.Errorf("open the database to migrate it: %w", err)
	}
	defer pool.Close()
	provider, err := gooseProvider(pool)
	if err != nil {
		return err
	}
	defer provider.Close() //nolint:errcheck // the pool is closed next
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate our schema: %w", err)
	}
	river, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	if _, err := river.Migrate(ctx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: riverVersion}); err != nil {
		return fmt.Errorf("migrate the queue's schema: %w", err)
	}
	return nil
}

// CheckSchema says what keeps this build from working on the database: a schema
// that is behind. One that is a version ahead is fine (migrations are additive).
func CheckSchema(ctx context.Context, pool *pgxpool.Pool) error {
	provider, err := gooseProvider(pool)
	if err != nil {
		return err
	}
	defer provider.Close() //nolint:errcheck // ends the provider's own goroutine; the pool stays
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	if pending {
		return fmt.Errorf("the schema is behind this build: run `passerelle migrate`")
	}
	river, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	result, err := river.Validate(ctx, &rivermigrate.ValidateOpts{TargetVersion: riverVersion})
	if err != nil {
		return fmt.Errorf("read the version of the queue's schema: %w", err)
	}
	if !result.OK {
		return fmt.Errorf("the queue's schema is behind this build: run `passerelle migrate`: %v", result.Messages)
	}
	return nil
}

func gooseProvider(pool *pgxpool.Pool) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, stdlib.OpenDBFromPool(pool), migrations.Files, goose.WithSessionLocker(locker))
}

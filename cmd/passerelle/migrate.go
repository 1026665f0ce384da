package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func migrate(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "migrate")
	if err := parse(fs, args); err != nil {
		return err
	}
	c, err := config.Load(*path, env.vars)
	if err != nil {
		return err
	}
	if c.Database.Private() {
		return errors.New("no database.url is set: the private Postgres is migrated by `passerelle serve`")
	}
	if err := store.Migrate(ctx, ownerURL(c).Reveal()); err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, "the schema is up to date")
	return nil
}

// withHub builds the hub for a command that changes or reads its state beside a
// running one.
func withHub(ctx context.Context, env environment, path string, do func(h *hub) error) error {
	c, err := config.Load(path, env.vars)
	if err != nil {
		return err
	}
	if c.Database.Private() {
		return errors.New("this command talks to the hub's database: set database.url (or DATABASE_URL); a private Postgres serves its own process only")
	}
	h, err := build(ctx, c, zerolog.New(env.stderr).Level(zerolog.WarnLevel))
	if err != nil {
		return err
	}
	defer h.close()
	if err := store.CheckSchema(ctx, h.pool); err != nil {
		return err
	}
	return do(h)
}

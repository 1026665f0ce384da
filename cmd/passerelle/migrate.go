package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/localpg"
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
	if err := migrateSchema(ctx, c); err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, "the schema is up to date")
	return nil
}

// migrateSchema brings the schema up to date as its owner, then gives the role
// that the hub works with its rights: it cannot change what is append-only.
func migrateSchema(ctx context.Context, c *config.Config) error {
	owner, err := store.LoginOf(ownerURL(c).Reveal())
	if err != nil {
		return err
	}
	app, err := store.LoginOf(c.Database.URL.Reveal())
	if err != nil {
		return err
	}
	if owner.Name == app.Name { // one role for all: `passerelle audit verify` says so
		return store.Migrate(ctx, ownerURL(c).Reveal())
	}
	if err := store.EnsureRoles(ctx, ownerURL(c).Reveal(), owner, app); err != nil {
		return err
	}
	if err := store.Migrate(ctx, ownerURL(c).Reveal()); err != nil {
		return err
	}
	return store.GrantApp(ctx, ownerURL(c).Reveal(), app.Name)
}

// privateRoles makes the two roles of a private Postgres and gives their URLs.
func privateRoles(ctx context.Context, adminURL string) (owner, app connectors.Secret, err error) {
	if err := store.EnsureRoles(ctx, adminURL, store.Login{Name: store.OwnerRole}, store.Login{Name: store.AppRole}); err != nil {
		return owner, app, err
	}
	return roleURLs(adminURL)
}

// roleURLs gives the URLs of the two roles.
func roleURLs(adminURL string) (owner, app connectors.Secret, err error) {
	ownerURL, err := store.WithUser(adminURL, store.OwnerRole)
	if err != nil {
		return owner, app, err
	}
	appURL, err := store.WithUser(adminURL, store.AppRole)
	return connectors.NewSecret(ownerURL), connectors.NewSecret(appURL), err
}

// besidePrivate gives a command the private Postgres of the hub that runs here.
func besidePrivate(c *config.Config) error {
	admin, err := localpg.RunningURL(c.Database.DataDir, "postgres")
	if err != nil {
		return err
	}
	if c.Database.OwnerURL, c.Database.URL, err = roleURLs(admin); err != nil {
		return err
	}
	if len(c.Sealing.Keys) > 0 {
		return nil
	}
	key, err := os.ReadFile(sealingFile(c))
	if err != nil {
		return err
	}
	sealWith(c, connectors.NewSecret(string(key)))
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
		if err := besidePrivate(c); err != nil {
			return fmt.Errorf("this command talks to the hub's database: set database.url (or DATABASE_URL), or let `passerelle serve` run in %s: %w", c.Database.DataDir, err)
		}
	}
	h, err := build(ctx, c, zerolog.New(env.stderr).Level(zerolog.WarnLevel))
	if err != nil {
		return err
	}
	defer h.close()
	if err := store.CheckSchema(ctx, h.pool); err != nil {
		return err
	}
	if err := h.definitions.adopt(ctx); err != nil {
		return err
	}
	return do(h)
}

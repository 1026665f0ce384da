package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// catalogue keeps the definitions of this process those that are in force for
// all: a changed folder is taken up without a restart, or refused as a whole;
// the database says which set is in force.
type catalogue struct {
	live     *definitions.Live
	folder   fs.FS // nil: the catalogue that the program brings along
	options  definitions.Options
	store    *store.Store
	registry *registry.Registry
	log      zerolog.Logger
	seen     string // what the folder looked like when it was last read
	started  bool
}

// definitionOptions are what the folder's values depend on besides its files.
func definitionOptions(c *config.Config) definitions.Options {
	return definitions.Options{Production: c.Hub.Environment == config.Production, Contacts: c.Definitions.Contacts}
}

// openCatalogue reads the folder. One with faults keeps no hub from starting that
// has a set in force: it is refused as a whole, as it is while the hub runs.
func (h *hub) openCatalogue(ctx context.Context) error {
	c := &catalogue{options: definitionOptions(h.config), store: h.store, log: h.log}
	if h.config.Definitions.Dir != "" {
		c.folder = os.DirFS(h.config.Definitions.Dir)
		c.seen = looks(c.folder)
	}
	set, report := definitions.Load(c.source(), c.options)
	if err := report.Err(); err != nil {
		inForce, kept := c.inForce(ctx)
		if kept != nil {
			return fmt.Errorf("%w (`passerelle definitions check` tells all)", err)
		}
		if err := c.refuse(report, "definitions: the folder is refused as a whole; the set in force stays"); err != nil {
			return err
		}
		set, c.started = inForce, true
	}
	c.live = definitions.NewLive(set)
	h.definitions, h.catalogue = c, c.live
	return nil
}

func (c *catalogue) source() fs.FS {
	if c.folder == nil {
		return definitions.Catalogue()
	}
	return c.folder
}

// keepEvery is how soon a change is taken up.
const keepEvery = 5 * time.Second

// keep follows the folder and the database until ctx ends.
func (c *catalogue) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := c.sync(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn().Err(err).Msg("definitions: what is in force could not be read; the running set stays")
			}
		}
	}
}

// sync takes up the folder if it has changed, then adopts what is in force.
func (c *catalogue) sync(ctx context.Context) error {
	if !c.started {
		if err := c.put(ctx, c.live.Set(), true); err != nil {
			return err
		}
		c.started = true
	}
	if c.folder != nil {
		if now := looks(c.folder); now != c.seen {
			c.seen = now
			if err := c.reload(ctx); err != nil {
				return err
			}
		}
	}
	return c.adopt(ctx)
}

// reload reads the changed folder: it is taken as a whole, or not at all.
func (c *catalogue) reload(ctx context.Context) error {
	set, report := definitions.Load(c.folder, c.options)
	if len(report.Faults) > 0 {
		return c.refuse(report, "definitions: the changed folder is refused as a whole; the running set stays")
	}
	return c.put(ctx, set, false)
}

// refuse tells every fault of a folder.
func (c *catalogue) refuse(report definitions.Report, message string) error {
	var text strings.Builder
	if _, err := report.WriteTo(&text); err != nil {
		return err
	}
	c.log.Error().Int("faults", len(report.Faults)).Str("report", text.String()).Msg(message)
	return nil
}

// inForce reads the set that the database says is in force.
func (c *catalogue) inForce(ctx context.Context) (*definitions.Set, error) {
	stored, err := c.store.DefinitionsInForce(ctx)
	if err != nil {
		return nil, err
	}
	set, err := definitions.FromBundle(stored.Bundle)
	if err != nil {
		return nil, fmt.Errorf("the set in force, %s, cannot be read by this version: %w", short(stored.Hash), err)
	}
	return set, nil
}

// put puts a set in force for all processes.
func (c *catalogue) put(ctx context.Context, set *definitions.Set, start bool) error {
	cmd := &registry.PutDefinitions{Hash: set.Hash(), Bundle: set.Bundle(), Start: start}
	if err := c.registry.Record(ctx, cmd); err != nil {
		c.seen = "" // the folder is read again
		return err
	}
	switch {
	case cmd.Superseded:
		c.log.Warn().Str("folder", short(cmd.Hash)).Str("in_force", short(cmd.InForce)).
			Msg("definitions: this process brings a set that was replaced since; `passerelle definitions use` puts it back in force")
	case cmd.Put:
		c.log.Info().Str("set", short(cmd.Hash)).Str("before", short(cmd.InForce)).Msg("definitions: put in force")
	}
	return nil
}

// adopt makes the set in force this process's own.
func (c *catalogue) adopt(ctx context.Context) error {
	hash, err := c.store.DefinitionsHashInForce(ctx)
	if err != nil || hash == "" || hash == c.live.Hash() {
		return err
	}
	set, err := c.inForce(ctx)
	if err != nil {
		return err
	}
	before := c.live.Hash()
	c.live.Replace(set)
	c.log.Info().Str("set", short(set.Hash())).Str("before", short(before)).Int("definitions", len(set.Definitions())).Msg("definitions: taken up")
	return nil
}

// short is enough of a hash to tell two apart.
func short(hash string) string { return hash[:min(12, len(hash))] }

// looks is what a folder's files show from outside: names, sizes and dates.
func looks(folder fs.FS) string {
	var b strings.Builder
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		return "unreadable: " + err.Error()
	}
	return b.String()
}

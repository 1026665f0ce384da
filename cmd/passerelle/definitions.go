package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const definitionsUsage = `usage: passerelle definitions check [--production] DIR
       passerelle definitions use [--config FILE] DIR
       passerelle definitions show [--config FILE]`

// definitionsCommand checks a folder of definitions, puts one in force, or says
// what is.
func definitionsCommand(ctx context.Context, env environment, args []string) error {
	if len(args) == 0 {
		return &usageError{definitionsUsage}
	}
	switch args[0] {
	case "check":
		return checkDefinitions(env, args[1:])
	case "use":
		return useDefinitions(ctx, env, args[1:])
	case "show":
		return showDefinitions(ctx, env, args[1:])
	}
	return &usageError{definitionsUsage}
}

// checkDefinitions tells every fault of a folder at once.
func checkDefinitions(env environment, args []string) error {
	fs, _ := flags(env, "definitions check")
	production := fs.Bool("production", false, "read the folder as production does")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return &usageError{definitionsUsage}
	}
	if err := isFolder(fs.Arg(0)); err != nil {
		return err
	}
	report := definitions.Check(os.DirFS(fs.Arg(0)), definitions.Options{Production: *production})
	if _, err := report.WriteTo(env.stdout); err != nil {
		return err
	}
	if len(report.Faults) > 0 {
		return errors.New("the folder cannot be used")
	}
	return nil
}

func isFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	}
	return nil
}

// useDefinitions puts a folder in force now, for all processes.
func useDefinitions(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "definitions use")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return &usageError{definitionsUsage}
	}
	if err := isFolder(fs.Arg(0)); err != nil {
		return err
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		set, report := definitions.Load(os.DirFS(fs.Arg(0)), definitionOptions(h.config))
		if _, err := report.WriteTo(env.stdout); err != nil {
			return err
		}
		if err := report.Err(); err != nil {
			return errors.New("the folder cannot be used: what is in force stays")
		}
		cmd := &registry.PutDefinitions{Hash: set.Hash(), Bundle: set.Bundle()}
		if err := h.registry.Record(ctx, cmd); err != nil {
			return err
		}
		if !cmd.Put {
			fmt.Fprintf(env.stdout, "%s is in force already\n", short(cmd.Hash))
			return nil
		}
		fmt.Fprintf(env.stdout, "%s is in force, %q was; processes take it up within %s\n", short(cmd.Hash), short(cmd.InForce), keepEvery)
		return nil
	})
}

func showDefinitions(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "definitions show")
	if err := parse(fs, args); err != nil {
		return err
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		stored, err := h.store.DefinitionsInForce(ctx)
		if errors.Is(err, store.ErrNotFound) {
			fmt.Fprintln(env.stdout, "no set is in force yet: the hub has not run")
			return nil
		}
		if err != nil {
			return err
		}
		set, err := definitions.FromBundle(stored.Bundle)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "%s since %s\n", stored.Hash, stored.Since.Format("2006-01-02 15:04:05 MST"))
		for _, d := range set.Definitions() {
			fmt.Fprintf(env.stdout, "  %-40s %s (%d forms, %d scopes)\n", d.UID, d.NameWithStage(), len(set.FormsOf(d.UID)), len(d.Scopes))
		}
		return nil
	})
}

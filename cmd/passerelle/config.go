package main

import (
	"context"

	"github.com/passerelle-hub/passerelle/config"
)

func printConfig(_ context.Context, env environment, args []string) error {
	fs, path := flags(env, "config")
	example := fs.Bool("example", false, "print an example with every setting explained")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *example {
		_, err := env.stdout.Write(config.Example())
		return err
	}
	c, err := loadConfig(*path, env.vars)
	if err != nil {
		return err
	}
	return c.Print(env.stdout)
}

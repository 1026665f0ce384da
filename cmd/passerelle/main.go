// Command passerelle is the hub. main picks a command; each has a file of its
// own; wire.go builds the hub and is the only file that sees every package.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // a bare machine has no time zones; mails and days are told in Paris's
)

// command is one of the program's words.
type command struct {
	name, summary string
	run           func(ctx context.Context, env environment, args []string) error
}

func commands() []command {
	return []command{
		{"serve", "run the hub (--only=http or --only=jobs for one half)", serve},
		{"demo", "play the whole story with simulated partners (--once --report FILE to check it)", demo},
		{"simulate", "run one partner alone: `simulate hubee --listen 127.0.0.1:8090 --seed FILE`", simulate},
		{"migrate", "bring the database's schema up to date", migrate},
		{"audit", "`audit verify` checks that no history was changed", audit},
		{"config", "print the effective settings, secrets hidden", printConfig},
		{"definitions", "`definitions check DIR` tells every fault of a folder; `use DIR` puts it in force; `show`", definitionsCommand},
		{"jobs", "say what waits and why; `jobs take-up ID`, `jobs retry ID`, `jobs remind TASK`, `jobs pause|resume PARTNER`", waitingJobs},
		{"connectors", "`connectors check` asks every manager whether it fits the settings; `connectors plan REQUEST`; `pause|resume NAME`", managersCommand},
		{"links", "make, list and end keys with which editors sign links to communes' pages, and their return addresses", editorLinks},
		{"folders", "say which families' folders wait and where communes stand; `folders receivers`, `folders retry ID`, `folders wishes SIRET-COG`", folders},
		{"traces", "export the record of citizens' connections and sendings as lines of JSON (--since, --until, --siret)", traces},
		{"keys", "`keys rotate-credential ID --grace 24h` replaces a holder's key; `keys rotate` and `keys status` change the hub's own", keys},
		{"clients", "add, end or list the applications that may call the hub", clients},
		{"roles", "list who may do what, `roles grant|revoke EMAIL ROLE...`", roles},
		{"webhooks", "add or list the endpoints that are told; `webhooks replay ENDPOINT` sends again; `webhooks verify` checks a delivery", webhooks},
	}
}

// environment is what a command gets from the process.
type environment struct {
	vars           []string
	stdin          io.Reader // nil: nothing to read
	stdout, stderr io.Writer
}

// usageError ends the program with status 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func main() {
	os.Exit(program(environment{vars: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

// program runs until its command ends, or is asked to stop by Ctrl-C or SIGTERM.
func program(env environment) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, env, os.Args[1:])
}

func run(ctx context.Context, env environment, args []string) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		err := c.run(ctx, env, args[1:])
		var usage *usageError
		switch {
		case err == nil:
			return 0
		case errors.Is(err, flag.ErrHelp):
			return 0
		case errors.As(err, &usage):
			fmt.Fprintln(env.stderr, err)
			return 2
		default:
			fmt.Fprintf(env.stderr, "passerelle %s: %v\n", name, err)
			return 1
		}
	}
	var b strings.Builder
	b.WriteString("usage: passerelle COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.summary)
	}
	b.WriteString("\n`passerelle COMMAND -h` lists a command's flags.\n")
	if name == "help" || name == "-h" || name == "--help" {
		fmt.Fprint(env.stdout, b.String())
		return 0
	}
	fmt.Fprint(env.stderr, b.String())
	return 2
}

// flags gives a flag set whose faults are usage errors, with --config.
func flags(env environment, name string) (*flag.FlagSet, *string) {
	fs := flag.NewFlagSet("passerelle "+name, flag.ContinueOnError)
	fs.SetOutput(env.stderr)
	return fs, fs.String("config", "", "settings file (default passerelle.yml, where there is one)")
}

// parse has a fault told once, by run: flag would print it too, with the list of
// the flags, which is shown when it is asked for.
func parse(fs *flag.FlagSet, args []string) error {
	out := fs.Output()
	fs.SetOutput(io.Discard)
	err := fs.Parse(args)
	fs.SetOutput(out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.Usage()
		return err
	case err != nil:
		return &usageError{fmt.Sprintf("%s: %v (%s -h lists the flags)", fs.Name(), err, fs.Name())}
	}
	return nil
}

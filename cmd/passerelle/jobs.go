package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const waitingLimit = 500

// waitingJobs says what waits, why and for whom, and mends it.
func waitingJobs(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "jobs")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, args); err != nil {
		return err
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		if fs.NArg() == 0 {
			w, err := h.store.Waiting(ctx, waitingLimit)
			if err != nil {
				return err
			}
			if *asJSON {
				return json.NewEncoder(env.stdout).Encode(w)
			}
			return printWaiting(env.stdout, w)
		}
		cmd, err := mending(fs.Args())
		if err != nil {
			return err
		}
		err = h.registry.Record(registry.WithActor(ctx, "operator:"+whoami()), cmd)
		var unknown *registry.UnknownPartnerError
		if errors.As(err, &unknown) {
			return &usageError{unknown.Error()}
		}
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("nothing waits under %s", fs.Arg(1))
		}
		return err
	})
}

func mending(words []string) (registry.Command, error) {
	if len(words) != 2 {
		return nil, &usageError{"jobs take-up ID | retry ID | remind TASK | pause PARTNER | resume PARTNER"}
	}
	switch words[0] {
	case "take-up", "retry", "remind":
		id, err := uuid.Parse(words[1])
		if err != nil {
			return nil, &usageError{words[1] + " is no id"}
		}
		switch words[0] {
		case "retry":
			return &registry.RetryProvisioning{CredentialID: id}, nil
		case "remind":
			return &registry.RemindTask{ID: id, Now: true}, nil
		}
		return &registry.TakeUp{InboundID: id}, nil
	case "pause":
		return &registry.PausePartner{Name: words[1], For: 10 * 365 * 24 * time.Hour, By: whoami(), Reason: "mis en pause par un opérateur"}, nil
	case "resume":
		return &registry.ResumePartner{Name: words[1]}, nil
	}
	return nil, &usageError{"jobs take-up ID | retry ID | remind TASK | pause PARTNER | resume PARTNER"}
}

func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "cli"
}

func printWaiting(out io.Writer, w store.Waiting) error {
	if w.Empty() {
		_, err := fmt.Fprintln(out, "nothing waits")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	section := func(title, columns string, n int) {
		if n > 0 {
			fmt.Fprintf(t, "%s\n%s\n", title, columns)
		}
	}
	section("partners", "  name\tclass\tfailures\tpaused until\tby\twhy", len(w.Partners))
	for _, p := range w.Partners {
		until := "-"
		if p.PausedUntil != nil {
			until = p.PausedUntil.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "  %s\t%s\t%d\t%s\t%s\t%s\n", p.Name, p.Class, p.Failures, until, p.PausedBy, p.Reason)
	}
	section("parked events", "  id\tsource\tevent\tdefinition\trequest\twhy", len(w.Parked))
	for _, p := range w.Parked {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\tD%d\t%s\n", p.ID, p.Source, p.Event, p.Definition, p.ExternalID, p.Reason)
	}
	section("keys", "  id\tref\tdefinition\tmanager\tstate\tstep\ttries\twhy", len(w.Credentials))
	for _, c := range w.Credentials {
		why := c.Detail
		if why == "" {
			why = c.Reason
		}
		if c.Manager == "" {
			why = "no manager is configured for the definition"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%d\t%s %s\n", c.ID, c.Ref, c.Definition, c.Manager, c.State, c.Step, c.Attempts, c.Class, why)
	}
	section("tasks by hand", "  id\tmanager\ttask\tdefinition\tasked\tmails\tnext reminder", len(w.Tasks))
	for _, k := range w.Tasks {
		next := "-"
		if k.RemindAt != nil {
			next = k.RemindAt.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%d\t%s\n", k.ID, k.Manager, k.Key, k.Definition, k.AskedAt.Format(time.RFC3339), k.Mails, next)
	}
	section("webhooks", "  endpoint\tmessage\tevent\tdefinition\ttries\tnext\twhy", len(w.Deliveries))
	for _, d := range w.Deliveries {
		fmt.Fprintf(t, "  %d\t%s\t%s\t%s\t%d\t%s\t%s\n", d.EndpointID, d.EventID, d.Type, d.Definition, d.Attempts, d.NextAt.Format(time.RFC3339), d.LastError)
	}
	section("mails", "  id\ttemplate\tstate\ttries\twhy", len(w.Mails))
	for _, m := range w.Mails {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%s\n", m.ID, m.Template, m.State, m.Attempts, m.Detail)
	}
	return t.Flush()
}

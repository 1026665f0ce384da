package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const replayUsage = "webhooks replay ENDPOINT --message ID | --failed --since TIME | --all --since TIME [--follow]\n" +
	"webhooks replay ENDPOINT --show [ID] | --cancel ID"

// replayWebhooks has an endpoint sent again what it was told of, and says how far that is.
func replayWebhooks(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "webhooks replay")
	message := fs.String("message", "", "send this one again (webhook-id)")
	failed := fs.Bool("failed", false, "send again what was given up, of events since --since")
	all := fs.Bool("all", false, "send every event since --since, told before or not")
	since := fs.String("since", "", "RFC 3339, for instance 2026-03-24T11:05:18+01:00")
	follow := fs.Bool("follow", false, "say how far it is until it is over")
	show := fs.Bool("show", false, "list the endpoint's replays, or show one")
	cancel := fs.String("cancel", "", "end this replay")
	if err := parse(fs, args); err != nil {
		return err
	}
	words := fs.Args()
	if len(words) == 0 {
		return &usageError{replayUsage}
	}
	if err := parse(fs, words[1:]); err != nil { // flags may follow the words
		return err
	}
	endpoint, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil || fs.NArg() > 1 || fs.NArg() == 1 && !*show {
		return &usageError{replayUsage}
	}
	asked := 0
	for _, given := range []bool{*message != "", *failed, *all, *show, *cancel != ""} {
		if given {
			asked++
		}
	}
	if asked != 1 {
		return &usageError{replayUsage}
	}
	start := &registry.StartReplay{EndpointID: endpoint, Scope: store.ReplayMessage}
	var id uuid.UUID
	switch {
	case *message != "":
		start.EventID, err = uuid.Parse(*message)
	case *cancel != "":
		id, err = uuid.Parse(*cancel)
	case *show && fs.NArg() == 1:
		id, err = uuid.Parse(fs.Arg(0))
	case *failed, *all:
		start.Scope = store.ReplayFailed
		if *all {
			start.Scope = store.ReplayAll
		}
		start.Since, err = time.Parse(time.RFC3339, *since)
		start.Since = start.Since.UTC().Truncate(time.Microsecond) // as it is stored
	}
	if err != nil {
		return &usageError{replayUsage + "\n" + err.Error()}
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		err := h.replay(registry.WithActor(ctx, "operator:"+whoami()), env.stdout, start, id, *cancel != "", *show, *follow)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("no such endpoint, message or replay: %w", err)
		}
		return err
	})
}

func (h *hub) replay(ctx context.Context, out io.Writer, start *registry.StartReplay, id uuid.UUID, cancel, show, follow bool) error {
	if cancel {
		cmd := &registry.CancelReplay{EndpointID: start.EndpointID, ID: id}
		if err := h.registry.Record(ctx, cmd); err != nil {
			return err
		}
		return printReplays(out, cmd.Replay)
	}
	if show {
		if id != uuid.Nil {
			r, err := h.store.Replay(ctx, start.EndpointID, id)
			if err != nil {
				return err
			}
			return printReplays(out, r)
		}
		list, err := h.store.Replays(ctx, start.EndpointID, uuid.Max, 50)
		if err != nil {
			return err
		}
		return printReplays(out, list...)
	}
	if err := h.registry.Record(ctx, start); err != nil {
		return err
	}
	r := start.Replay
	if err := printReplays(out, r); err != nil {
		return err
	}
	for follow && r.FinishedAt.IsZero() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
		var err error
		if r, err = h.store.Replay(ctx, r.EndpointID, r.ID); err != nil {
			return err
		}
		if err := printReplays(out, r); err != nil {
			return err
		}
	}
	return nil
}

func printReplays(out io.Writer, list ...store.ListedReplay) error {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "replay\tscope\tstate\tqueued\tdelivered\twaiting\tfailed\twithdrawn\talready waiting\tpast retention")
	for _, r := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.ID, r.Scope, r.State, r.Queued, r.Delivered, r.Waiting, r.Failed, r.Withdrawn, r.Owed, r.Past)
	}
	return t.Flush()
}

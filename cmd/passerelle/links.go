package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// editorLinks makes, lists and ends what lets an editor lead families to its
// communes' pages and back. A key is shown once.
func editorLinks(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "links")
	months := fs.Int("months", 12, "with key: how long it signs")
	if err := parse(fs, args); err != nil {
		return err
	}
	usage := &usageError{"links | links [--months N] key EDITOR | links end KEY | links return EDITOR ADDRESS | links forget EDITOR ADDRESS"}
	return withHub(ctx, env, *path, func(h *hub) error {
		ctx := registry.WithActor(ctx, "operator:"+whoami())
		switch {
		case fs.NArg() == 0:
			return h.printLinks(ctx, env)
		case fs.Arg(0) == "key" && fs.NArg() == 2:
			return h.addLinkKey(ctx, env, fs.Arg(1), *months)
		case fs.Arg(0) == "end" && fs.NArg() == 2:
			return h.registry.Record(ctx, &registry.EndEditorLinkKey{ID: fs.Arg(1)})
		case (fs.Arg(0) == "return" || fs.Arg(0) == "forget") && fs.NArg() == 3:
			if err := h.knownEditor(fs.Arg(1)); err != nil {
				return err
			}
			if !h.links().ValidReturnAddress(fs.Arg(2)) {
				return &usageError{fmt.Sprintf("%q is not an https address without user, fragment or steps upwards", fs.Arg(2))}
			}
			return h.registry.Record(ctx, &registry.SetReturnAddress{Editor: fs.Arg(1), Address: fs.Arg(2), Forget: fs.Arg(0) == "forget"})
		}
		return usage
	})
}

func (h *hub) knownEditor(id string) error {
	if _, ok := h.catalogue.ServiceProvider(id); !ok {
		return &usageError{fmt.Sprintf("the catalogue has no editor %q", id)}
	}
	return nil
}

const maxLinkMonths = 24

func (h *hub) addLinkKey(ctx context.Context, env environment, editor string, months int) error {
	if months < 1 || months > maxLinkMonths {
		return &usageError{fmt.Sprintf("--months is from 1 to %d", maxLinkMonths)}
	}
	if err := h.knownEditor(editor); err != nil {
		return err
	}
	cmd := &registry.AddEditorLinkKey{Editor: editor, Until: h.now().AddDate(0, months, 0), ID: uuid.NewString(), Key: newLinkKey()}
	if err := h.registry.Record(ctx, cmd); err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "key_id     %s\nkey        %s\nuntil      %s\nThe key is not shown again.\n", cmd.ID, cmd.Key.Reveal(), cmd.Until.Format(time.DateOnly))
	return nil
}

// newLinkKey draws a key of 256 bits; its text is what signs.
func newLinkKey() connectors.Secret {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	return connectors.NewSecret("pel_" + base64.RawURLEncoding.EncodeToString(random[:]))
}

func (h *hub) printLinks(ctx context.Context, env environment) error {
	keys, err := h.store.EditorLinkKeys(ctx)
	addresses, aerr := h.store.EditorReturnAddresses(ctx, "")
	if err := errors.Join(err, aerr); err != nil {
		return err
	}
	t := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "editor\tkey or address\tuntil\tstate")
	for _, k := range keys {
		state := "signs"
		switch {
		case k.EndedAt != nil:
			state = "ended"
		case !k.ExpiresAt.After(h.now()):
			state = "expired"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", k.EditorID, k.ID, k.ExpiresAt.Format(time.DateOnly), state)
	}
	for _, a := range addresses {
		fmt.Fprintf(t, "%s\t%s\t\treturn address\n", a.EditorID, a.Address)
	}
	return t.Flush()
}

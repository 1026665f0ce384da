package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const keysUsage = `keys rotate-credential ID [--grace 24h] [--reason TEXT] [--accept-cutover] [--plan]
       keys rotate                    seal anew with the active key what other keys sealed
       keys status                    say which keys seal what, and which may be destroyed
       keys fingerprint-key           print the key of fingerprints, for sealing.fingerprint_key
       keys withdraw-signing-key KID  remove a disclosed signing key, and replace the tokens that it signed`

// keys acts on the keys that holders use, and on those of the hub itself.
func keys(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "keys")
	grace := fs.Duration("grace", 24*time.Hour, "how long the old key works beside the new one; 0 ends it at once")
	reason := fs.String("reason", "", "why, for the history")
	accept := fs.Bool("accept-cutover", false, "accept the interruption where the manager has no overlap")
	plan := fs.Bool("plan", false, "say what the manager would do, and do nothing")
	if err := parse(fs, args); err != nil {
		return err
	}
	words := fs.Args()
	if len(words) > 0 {
		if act, ok := ownKeys[words[0]]; ok {
			return withHub(ctx, env, *path, func(h *hub) error { return act(ctx, env, h, words[1:]) })
		}
	}
	if len(words) < 2 || words[0] != "rotate-credential" {
		return &usageError{keysUsage}
	}
	if err := parse(fs, words[2:]); err != nil { // flags may follow the words
		return err
	}
	id, err := uuid.Parse(words[1])
	if err != nil || fs.NArg() > 0 {
		return &usageError{keysUsage}
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		if *plan {
			planned, err := h.registry.PlanRotation(ctx, id, *grace)
			if err == nil {
				_, err = fmt.Fprintln(env.stdout, sentenceOf(planned))
			}
			return missing(err, id)
		}
		cmd := &registry.RotateCredential{CredentialID: id, Grace: *grace, Reason: *reason, AcceptCutover: *accept}
		err := h.registry.Record(registry.WithActor(ctx, "operator:"+whoami()), cmd)
		if err != nil {
			return missing(err, id)
		}
		_, err = fmt.Fprintf(env.stdout, "new credential %s\n%s\n", cmd.NewID, sentenceOf(cmd.Plan))
		return err
	})
}

func missing(err error, id uuid.UUID) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no credential %s", id)
	}
	return err
}

func sentenceOf(p registry.RotationPlan) string {
	switch p.Overlap {
	case connectors.OverlapUntil:
		return fmt.Sprintf("the old key works for %s beside the new one", p.Grace)
	case connectors.OverlapFixed:
		return "the old key works beside the new one for as long as its manager imposes"
	default:
		return "the old key ends as soon as the new one is made"
	}
}

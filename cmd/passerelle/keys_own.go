package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// ownKeys are the words of `keys` about the hub's own keys.
var ownKeys = map[string]func(context.Context, environment, *hub, []string) error{
	"rotate": rotateSealing, "status": sealingStatus, "fingerprint-key": fingerprintKey, "withdraw-signing-key": withdrawSigningKey,
}

// keepSealingEvery is how often a process tells which sealing keys it holds;
// one that was silent for a minute is over.
const keepSealingEvery = 10 * time.Second

// keepSealing tells the others which sealing keys this process holds, until ctx ends.
func (h *hub) keepSealing(ctx context.Context) {
	id := uuid.New()
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	name := fmt.Sprintf("%s/%d", host, os.Getpid())
	tick := time.NewTicker(keepSealingEvery)
	defer tick.Stop()
	for {
		if err := h.store.SealingSeen(ctx, id, name); err != nil && ctx.Err() == nil {
			h.log.Warn().Err(err).Msg("the other processes are not told which sealing keys this one holds")
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if err := h.store.SealingGone(last, id); err != nil {
				h.log.Debug().Err(err).Msg("this process is counted for a minute more")
			}
			return
		case <-tick.C:
		}
	}
}

// rotateSealing seals anew with the active key what other keys sealed.
//
// It refuses while a process runs that does not hold the active key: it could
// not read what is sealed anew, and would fail. One that holds it and still seals
// with an old key goes on; what it seals is left for another run.
func rotateSealing(ctx context.Context, env environment, h *hub, words []string) error {
	if len(words) > 0 {
		return &usageError{keysUsage}
	}
	state, err := h.store.SealingState(ctx)
	if err != nil {
		return err
	}
	if blind := state.Without(state.Active); len(blind) > 0 {
		return fmt.Errorf("the key %s is not held by %s: add it to sealing.keys there first, and restart", state.Active, strings.Join(blind, ", "))
	}
	lost := int64(0)
	err = h.store.Rewrap(ctx, func(r store.Rewrapped) {
		lost += r.Lost
		fmt.Fprintf(env.stdout, "%s.%s: %d sealed anew, %d changed meanwhile, %d cannot be opened\n", r.Table, r.Column, r.Done, r.Meanwhile, r.Lost)
	})
	if err != nil {
		return fmt.Errorf("stopped (run it again, it goes on where it stopped): %w", err)
	}
	if err := sealingStatus(ctx, env, h, nil); err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%d values cannot be opened with any key that this process holds: their key is missing from sealing.keys, or they are damaged", lost)
	}
	return nil
}

// sealingStatus says which keys seal what, and which may be destroyed.
func sealingStatus(ctx context.Context, env environment, h *hub, words []string) error {
	if len(words) > 0 {
		return &usageError{keysUsage}
	}
	state, err := h.store.SealingState(ctx)
	if err != nil {
		return err
	}
	known := h.ring.KeyIDs()
	for _, use := range state.Uses {
		if !slices.Contains(known, use.Key) {
			known = append(known, use.Key)
		}
	}
	for _, key := range known {
		fmt.Fprintf(env.stdout, "%s: %d values; %s\n", key, state.Left(key), verdict(state, key, h.ring.FingerprintsBy()))
	}
	return nil
}

// verdict says whether a key may be destroyed, or what keeps it.
func verdict(s store.SealingState, key, fingerprints string) string {
	var keeps []string
	if key == s.Active {
		return "active: it seals"
	}
	if s.Left(key) > 0 {
		keeps = append(keeps, "they are lost without it (keys rotate)")
	}
	if names := s.SealingWith(key); len(names) > 0 {
		keeps = append(keeps, "still the active key of "+strings.Join(names, ", ")+": change sealing.active there, restart, and run keys rotate again")
	}
	if key == fingerprints {
		keeps = append(keeps, "it makes the fingerprints: set sealing.fingerprint_key (keys fingerprint-key) first")
	}
	if len(keeps) == 0 {
		return "safe to destroy: take it out of sealing.keys, and out of every copy"
	}
	return "keep it: " + strings.Join(keeps, "; ")
}

// fingerprintKey prints the key of fingerprints.
func fingerprintKey(_ context.Context, env environment, h *hub, words []string) error {
	if len(words) > 0 {
		return &usageError{keysUsage}
	}
	fmt.Fprintln(env.stdout, base64.StdEncoding.EncodeToString(h.ring.FingerprintKey()))
	return nil
}

// withdrawSigningKey removes a disclosed key of the built-in issuer: within a
// second no replica believes what it signed, and each token that it signed is
// replaced at once (tokens.md, 7.6).
func withdrawSigningKey(ctx context.Context, env environment, h *hub, words []string) error {
	if len(words) != 1 {
		return &usageError{keysUsage}
	}
	change, err := h.keys.Withdraw(ctx, words[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "removed %s\n", strings.Join(change.Removed, ", "))
	if change.Added != "" {
		fmt.Fprintf(env.stdout, "made %s\n", change.Added)
	}
	ctx = registry.WithActor(ctx, "operator:"+whoami())
	var errs []error
	const page = 200
	for after := uuid.Nil; ; {
		ids, err := h.store.CredentialsSignedBy(ctx, words[0], after, page)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, id := range ids {
			after = id
			cmd := &registry.RotateCredential{CredentialID: id, Reason: "clé de signature retirée"}
			if err := h.registry.Record(ctx, cmd); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", id, err))
				continue
			}
			fmt.Fprintf(env.stdout, "replaced %s by %s\n", id, cmd.NewID)
		}
		if len(ids) < page {
			return errors.Join(errs...)
		}
	}
}

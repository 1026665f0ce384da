package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// audit verifies the histories: `audit verify`, with the hashes of seals noted
// earlier as arguments.
func audit(ctx context.Context, env environment, args []string) error {
	if len(args) == 0 || args[0] != "verify" {
		return &usageError{"usage: passerelle audit verify [--config FILE] [HASH of a seal noted earlier]..."}
	}
	fs, path := flags(env, "audit verify")
	if err := parse(fs, args[1:]); err != nil {
		return err
	}
	var known [][]byte
	for _, text := range fs.Args() {
		hash, err := hex.DecodeString(strings.TrimSpace(text))
		if err != nil || len(hash) != 32 {
			return &usageError{fmt.Sprintf("%q is not the hash of a seal: 64 hexadecimal digits", text)}
		}
		known = append(known, hash)
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		return verifyHistory(ctx, env, h.store, known)
	})
}

func verifyHistory(ctx context.Context, env environment, s *store.Store, known [][]byte) error {
	a, err := s.VerifyHistory(ctx, known...)
	if err != nil {
		return err
	}
	for _, flaw := range a.Flaws {
		fmt.Fprintln(env.stdout, flaw)
	}
	if a.More {
		fmt.Fprintln(env.stdout, "... and more")
	}
	fmt.Fprintf(env.stdout, "%d requests, %d lines, %d seals, %d lines not sealed yet\n", a.Requests, a.Lines, a.Seals, a.Unsealed)
	if a.Seals > 0 {
		fmt.Fprintf(env.stdout, "last seal: %d of %s, %x\n", a.Last.N, a.Last.At.Format("2006-01-02 15:04:05 MST"), a.Last.Hash)
	}
	connections, wrong, err := s.VerifyTraces(ctx)
	if err != nil {
		return err
	}
	for _, flaw := range wrong {
		fmt.Fprintln(env.stdout, flaw)
	}
	fmt.Fprintf(env.stdout, "%d traces of citizens' connections\n", connections)
	protected, err := s.AppendOnly(ctx)
	if err != nil {
		return err
	}
	if !protected {
		fmt.Fprintln(env.stdout, "warning: this role may change history: give database.url a role of its own (database.owner_url migrates)")
	}
	if len(a.Flaws)+len(wrong) > 0 {
		return errors.New("the history is not what was written")
	}
	fmt.Fprintln(env.stdout, "the history is whole")
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const rolesUsage = "roles list | grant EMAIL ROLE... | revoke EMAIL ROLE... | forget EMAIL (its account at the identity provider)"

// roles says who may do what, and changes it. A role is DataPass's:
// "admin" or "<provider>:<definition or *>:<reporter|instructor|manager|developer>".
func roles(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "roles")
	if err := parse(fs, args); err != nil {
		return err
	}
	words := fs.Args()
	if len(words) == 0 {
		return &usageError{rolesUsage}
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		ctx := registry.WithActor(ctx, "operator:"+whoami())
		switch {
		case words[0] == "list" && len(words) == 1:
			return h.listRoles(ctx, env.stdout)
		case words[0] == "grant" && len(words) > 2:
			return h.changeRoles(ctx, env.stdout, &registry.ChangeRoles{Email: words[1], Grant: words[2:]})
		case words[0] == "revoke" && len(words) > 2:
			return h.changeRoles(ctx, env.stdout, &registry.ChangeRoles{Email: words[1], Revoke: words[2:]})
		case words[0] == "forget" && len(words) == 2:
			return h.forgetIdentity(ctx, words[1])
		}
		return &usageError{rolesUsage}
	})
}

func (h *hub) listRoles(ctx context.Context, out io.Writer) error {
	people, err := h.store.PeopleWithRoles(ctx)
	if err != nil {
		return err
	}
	for _, p := range people {
		fmt.Fprintf(out, "%s  %s\n", p.Email, strings.Join(p.Roles, " "))
	}
	return nil
}

func (h *hub) changeRoles(ctx context.Context, out io.Writer, cmd *registry.ChangeRoles) error {
	if !strings.Contains(cmd.Email, "@") {
		return &usageError{cmd.Email + " is no address"}
	}
	var fault *registry.RoleError
	switch err := h.registry.Record(ctx, cmd); {
	case errors.As(err, &fault):
		return &usageError{fault.Error()}
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("nobody has the address %s", cmd.Email)
	case err != nil:
		return err
	}
	fmt.Fprintf(out, "%s  %s\n", cmd.Person.Email, strings.Join(cmd.Person.Roles, " "))
	if cmd.Disabled > 0 {
		fmt.Fprintf(out, "%d applications ended with the last developer role\n", cmd.Disabled)
	}
	return nil
}

func (h *hub) forgetIdentity(ctx context.Context, email string) error {
	person, err := h.store.PersonByEmail(ctx, email)
	if err == nil {
		err = h.registry.Record(ctx, &registry.ForgetIdentity{PersonID: person.ID})
	}
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no account at an identity provider is known of %s", email)
	}
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// clients adds an application that may call the hub, ends one, or lists them.
// Its secret is shown once.
func clients(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "clients")
	name := fs.String("name", "", "add an application of this name")
	owner := fs.String("owner", "", "address of the person it belongs to: it has his developer roles")
	scopes := fs.String("scopes", "", "its scopes, comma separated (default: with an owner "+strings.Join(auth.DefaultScopes(), ",")+", else "+auth.ScopeIntrospect+")")
	definitions := fs.String("definitions", "", "without an owner: the definitions it may ask about, comma separated; * for all")
	editor := fs.String("editor", "", "the software editor it acts for, by its id in the catalogue or its SIRET (scopes by default: "+strings.Join(auth.EditorScopes(), ",")+")")
	disable := fs.String("disable", "", "end the application of this id, with its tokens")
	if err := parse(fs, args); err != nil {
		return err
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		ctx := registry.WithActor(ctx, "operator:"+whoami())
		switch {
		case *disable != "":
			return h.disableApplication(ctx, *disable)
		case *name == "":
			return h.listApplications(ctx, env)
		}
		cmd := &registry.AddApplication{Name: *name, Scopes: split(*scopes), Definitions: split(*definitions), Editor: *editor}
		if err := h.addApplication(ctx, cmd, *owner); err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "client_id      %s\nclient_secret  %s\nThe secret is not shown again.\n", cmd.ID, cmd.Secret.Reveal())
		return nil
	})
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func (h *hub) listApplications(ctx context.Context, env environment) error {
	list, err := h.store.Applications(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		state := ""
		if c.DisabledAt != nil {
			state = "  disabled"
		}
		fmt.Fprintf(env.stdout, "%s  %s  %s  owner=%s editor=%s  %v  %v%s\n", c.ID, c.Hint, c.Name, c.Owner, c.Editor, c.Scopes, c.Definitions, state)
	}
	return nil
}

func (h *hub) disableApplication(ctx context.Context, id string) error {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return &usageError{id + " is no id"}
	}
	err = h.registry.Record(ctx, &registry.DisableApplication{ID: parsed})
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no live application %s", id)
	}
	return err
}

// addApplication makes an application of a person, or an operator's own when
// there is no owner.
func (h *hub) addApplication(ctx context.Context, cmd *registry.AddApplication, owner string) error {
	if cmd.Editor != "" {
		return h.addEditorClient(ctx, cmd, owner)
	}
	if owner != "" && len(cmd.Definitions) > 0 {
		return &usageError{"--definitions is for applications without an owner: with one, his developer roles say it"}
	}
	if owner == "" && len(cmd.Definitions) == 0 {
		return &usageError{"--owner says whose developer roles it has, --editor for whom it acts, or --definitions which it may ask about"}
	}
	if len(cmd.Scopes) == 0 {
		cmd.Scopes = auth.DefaultScopes()
		if owner == "" {
			cmd.Scopes = []string{auth.ScopeIntrospect}
		}
	}
	for _, s := range cmd.Scopes {
		if !slices.Contains(auth.Scopes(), s) {
			return &usageError{fmt.Sprintf("no scope %s: there are %v", s, auth.Scopes())}
		}
	}
	for _, d := range cmd.Definitions {
		if _, known := h.catalogue.Definition(d); !known && d != "*" {
			return &usageError{"no definition " + d}
		}
	}
	if owner != "" {
		person, err := h.store.PersonByEmail(ctx, owner)
		if errors.Is(err, store.ErrNotFound) || err == nil && len(person.DeveloperRoles().List) == 0 {
			return &usageError{"the owner is no developer of any definition: see `passerelle roles grant`"}
		}
		if err != nil {
			return err
		}
		cmd.OwnerID = person.ID
	}
	return h.registry.Record(ctx, cmd)
}

// addEditorClient makes a machine of a software editor.
func (h *hub) addEditorClient(ctx context.Context, cmd *registry.AddApplication, owner string) error {
	if owner != "" || len(cmd.Definitions) > 0 {
		return &usageError{"--editor goes without --owner and --definitions: an editor sees the requests that it is bound to"}
	}
	p, known := h.catalogue.ServiceProvider(cmd.Editor)
	if !known {
		if p, known = h.catalogue.ServiceProviderBySIRET(cmd.Editor); !known {
			return &usageError{"no editor " + cmd.Editor + " in the catalogue, by its id or as the only one with this SIRET"}
		}
	}
	cmd.Editor = p.ID
	if len(cmd.Scopes) == 0 {
		cmd.Scopes = auth.EditorScopes()
	}
	for _, s := range cmd.Scopes {
		if !slices.Contains(auth.EditorScopes(), s) {
			return &usageError{fmt.Sprintf("no scope %s for an editor: there are %v", s, auth.EditorScopes())}
		}
	}
	return h.registry.Record(ctx, cmd)
}

// addClient makes an operator's own application.
func (h *hub) addClient(ctx context.Context, name string, scopes, definitions []string) (uuid.UUID, string, error) {
	cmd := &registry.AddApplication{Name: name, Scopes: scopes, Definitions: definitions}
	err := h.addApplication(ctx, cmd, "")
	return cmd.ID, cmd.Secret.Reveal(), err
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// clients adds a machine that may call the hub, or lists them. Its secret is
// shown once.
func clients(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "clients")
	name := fs.String("name", "", "add a client of this name")
	scopes := fs.String("scopes", auth.ScopeIntrospect, "its scopes, comma separated")
	definitions := fs.String("definitions", "", "the definitions it may ask about, comma separated; * for all")
	if err := parse(fs, args); err != nil {
		return err
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		if *name == "" {
			list, err := h.store.Clients(ctx)
			if err != nil {
				return err
			}
			for _, c := range list {
				fmt.Fprintf(env.stdout, "%s  %s  %s  %v  %v\n", c.ID, c.Hint, c.Name, c.Scopes, c.Definitions)
			}
			return nil
		}
		id, secret, err := h.addClient(ctx, *name, split(*scopes), split(*definitions))
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "client_id      %s\nclient_secret  %s\nThe secret is not shown again.\n", id, secret)
		return nil
	})
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func (h *hub) addClient(ctx context.Context, name string, scopes, definitions []string) (uuid.UUID, string, error) {
	for _, s := range scopes {
		if !slices.Contains(auth.Scopes(), s) {
			return uuid.Nil, "", &usageError{fmt.Sprintf("no scope %s: there are %v", s, auth.Scopes())}
		}
	}
	for _, d := range definitions {
		if _, known := h.catalogue.Definition(d); !known && d != "*" {
			return uuid.Nil, "", &usageError{"no definition " + d}
		}
	}
	if len(definitions) == 0 {
		return uuid.Nil, "", &usageError{"--definitions says which it may ask about"}
	}
	secret, err := token.New(token.HubToken, h.tokenEnv())
	if err != nil {
		return uuid.Nil, "", err
	}
	id := uuid.New()
	err = h.registry.Record(ctx, &registry.AddClient{Client: store.Client{
		ID: id, Name: name, SecretSha256: token.Hash(secret.Value()), Hint: secret.Display(), Scopes: scopes, Definitions: definitions,
	}})
	return id, secret.Value(), err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// webhooks adds an endpoint that is told of a definition's events, or lists
// them. Its secret is shown once, in the forms of both dialects.
func webhooks(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "webhooks")
	target := fs.String("url", "", "add an endpoint at this https URL")
	definition := fs.String("definition", "", "the definition it is told of")
	events := fs.String("events", "*", "the events it is told of, comma separated; * for all")
	description := fs.String("description", "", "for people")
	if err := parse(fs, args); err != nil {
		return err
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		if *target == "" {
			list, err := h.store.Endpoints(ctx)
			if err != nil {
				return err
			}
			for _, e := range list {
				fmt.Fprintf(env.stdout, "%s  %s  %v  %s  enabled=%t\n", e.ID, e.Definition, e.Events, withoutQuery(e.Url), e.Enabled)
			}
			return nil
		}
		key, err := h.addEndpoint(ctx, *definition, *target, *description, split(*events))
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "secret (X-Hub-Signature-256)   %s\nsecret (Standard Webhooks)     %s\nThe secret is not shown again.\n", key.Hex().Reveal(), key.Whsec().Reveal())
		return nil
	})
}

func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "?"
	}
	u.RawQuery, u.User = "", nil
	return u.String()
}

func (h *hub) addEndpoint(ctx context.Context, definition, target, description string, events []string) (webhook.Key, error) {
	if _, known := h.catalogue.Definition(definition); !known {
		return webhook.Key{}, &usageError{"--definition names none of the catalogue's definitions"}
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return webhook.Key{}, errors.New("the URL of an endpoint is https://host/path")
	}
	key := webhook.NewKey()
	return key, h.registry.Record(ctx, &registry.AddEndpoint{Endpoint: store.NewEndpoint{
		ID: uuid.New(), Definition: definition, URL: target, Description: description, Events: events,
		Secrets: []store.EndpointSecret{{Value: key.Hex().Reveal()}},
	}})
}

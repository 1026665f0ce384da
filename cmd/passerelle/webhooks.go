package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/jobs"
)

// webhooks adds an endpoint that is told of a definition's events, or lists
// them. Its secret is shown once, in the forms of both dialects.
func webhooks(ctx context.Context, env environment, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "replay":
			return replayWebhooks(ctx, env, args[1:])
		case "verify":
			return verifyWebhook(env, args[1:])
		}
	}
	fs, path := flags(env, "webhooks")
	target := fs.String("url", "", "add an endpoint at this https URL")
	definition := fs.String("definition", "", "the definition it is told of")
	events := fs.String("events", "*", "the events it is told of, comma separated; * for all")
	description := fs.String("description", "", "for people")
	untested := fs.Bool("untested", false, "enable the new endpoint without sending it a test event first")
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
				fmt.Fprintf(env.stdout, "%d  %s%s  %v  %s  enabled=%t\n", e.ID, e.Definition, e.Editor, e.Events, withoutQuery(e.URL), e.Enabled)
			}
			return nil
		}
		id, key, err := h.addEndpoint(ctx, *definition, *target, *description, split(*events))
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "secret (X-Hub-Signature-256)   %s\nsecret (Standard Webhooks)     %s\nThe secret is not shown again.\n", key.Hex().Reveal(), key.Whsec().Reveal())
		if *untested {
			err = h.registry.Record(ctx, &registry.EnableEndpoint{EndpointTarget: asOperator(id), Untested: true})
		} else {
			err = h.testAndEnable(ctx, id)
		}
		if err != nil {
			return fmt.Errorf("endpoint %d is there, and disabled: %w", id, err)
		}
		fmt.Fprintf(env.stdout, "endpoint %d is enabled\n", id)
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

func asOperator(id int64) registry.EndpointTarget {
	return registry.EndpointTarget{Caller: registry.Subscriber{Operator: true}, ID: id}
}

// testAndEnable enables an endpoint that takes its test event.
func (h *hub) testAndEnable(ctx context.Context, id int64) error {
	target := asOperator(id)
	test, err := h.tester().Test(ctx, &target)
	switch {
	case err != nil:
		return err
	case !test.Passed && test.Status == 0:
		return fmt.Errorf("its test did not pass (%s): mend it, then test and enable it on the ops page or by the API", test.ErrorClass)
	case !test.Passed:
		return fmt.Errorf("its test did not pass (status %d): mend it, then test and enable it on the ops page or by the API", test.Status)
	}
	return h.registry.Record(ctx, &registry.EnableEndpoint{EndpointTarget: asOperator(id)})
}

// addEndpoint makes an endpoint, disabled as all new ones are.
func (h *hub) addEndpoint(ctx context.Context, definition, target, description string, events []string) (int64, webhook.Key, error) {
	if _, known := h.catalogue.Definition(definition); !known {
		return 0, webhook.Key{}, &usageError{"--definition names none of the catalogue's definitions"}
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return 0, webhook.Key{}, errors.New("the URL of an endpoint is https://host/path")
	}
	key := webhook.NewKey()
	add := &registry.AddEndpoint{Endpoint: store.NewEndpoint{
		Definition: definition, URL: target, Description: description, Events: events, Format: store.FormatStandard,
		Secrets: []store.EndpointSecret{{Value: key.Hex().Reveal()}}, MaxInFlight: defaultInFlight,
	}}
	err = h.registry.Record(ctx, add)
	return add.ID, key, err
}

// defaultInFlight is how many deliveries an endpoint gets at once, unless its owner says otherwise.
const defaultInFlight = registry.DefaultInFlight

// webhookSettings is what lanes deliver with.
func (h *hub) webhookSettings(public connectors.HTTPDoer) jobs.Webhooks {
	c := h.config.Webhooks
	policy := registry.DeliveryPolicy{
		Schedule: c.Schedule, MaxAge: c.MaxAttemptsAge, RetryAfterCap: c.RetryAfterCap, HoldFor: c.HoldFor, BreakAfter: c.BreakAfter,
		Rest: c.Rest, MaxRest: c.MaxRest, DisableAfter: c.DisableAfter,
	}
	return jobs.Webhooks{
		KeepAttempts: c.AttemptRetention, KeepBodies: c.PayloadRetention,
		Deliverer: webhook.New(public), Sign: h.signDelivery, Policy: policy, Timeout: c.Timeout, ClaimFor: c.ClaimFor, Lease: c.Lease,
		Waker: h.outbox.Waker(),
	}
}

// signDelivery gives the headers of one delivery, signed in both dialects. The
// endpoint's own cannot take the place of ours.
func (h *hub) signDelivery(l store.Lane, d store.Due, at time.Time) (map[string]string, error) {
	keys := make([]webhook.Key, len(l.Secrets))
	for i, secret := range l.Secrets {
		var err error
		if keys[i], err = webhook.ParseKey(secret); err != nil {
			return nil, err
		}
	}
	// During a rotation DataPass's one signature is the older key's: a receiver
	// that has not changed yet goes on working (webhook.Headers).
	slices.Reverse(keys)
	header := webhook.Headers(webhook.Message{
		ID: d.EventID.String(), At: at, Attempt: d.Attempts + 1, Sequence: d.Seq,
		Environment: cmp.Or(l.Environment, string(h.config.Hub.Environment)), Body: d.Body,
	}, keys, nil)
	ours := map[string]bool{}
	for name := range header {
		ours[http.CanonicalHeaderKey(name)] = true
	}
	for name, value := range l.Headers {
		if !ours[http.CanonicalHeaderKey(name)] {
			header[name] = value
		}
	}
	return header, nil
}

// signingKeys makes and reads the secrets of endpoints for the registry.
type signingKeys struct{}

func (signingKeys) New() registry.SigningKey { return shownKey(webhook.NewKey()) }

func (signingKeys) Parse(secret connectors.Secret) (registry.SigningKey, error) {
	key, err := webhook.ParseKey(secret)
	return shownKey(key), err
}

func shownKey(k webhook.Key) registry.SigningKey {
	return registry.SigningKey{Hex: k.Hex(), Whsec: k.Whsec()}
}

// tester sends test events as lanes send deliveries.
func (h *hub) tester() *registry.Tester {
	w := h.workers.Webhooks
	return &registry.Tester{Registry: h.registry, Deliverer: w.Deliverer, Sign: w.Sign, Timeout: w.Timeout}
}

// opsAddress is the contact of the people who run the hub, where it is a mail
// address and not a page.
func opsAddress(contact string) string {
	if strings.Contains(contact, "@") && !strings.Contains(contact, "/") {
		return contact
	}
	return ""
}

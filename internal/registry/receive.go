package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Webhook is a DataPass webhook whose signature has been verified.
type Webhook struct {
	Source      string
	Environment string   // the source's own, from the settings
	Declared    string   // X-App-Environment, "" when it was not sent
	Definitions []string // what the source may speak of; none: everything
	Body        []byte   // raw bytes
}

// BodyError: the body is not a webhook of DataPass. Field names the key at
// fault, "" for the whole.
type BodyError struct{ Field, Problem string }

func (e *BodyError) Error() string {
	if e.Field == "" {
		return e.Problem
	}
	return e.Field + ": " + e.Problem
}

// envelope is what a receiver must know to answer (datapass.md, 2.4 and 2.6).
type envelope struct {
	Test      bool   `json:"test"`
	Event     string `json:"event"`
	FiredAt   int64  `json:"fired_at"`
	ModelType string `json:"model_type"`
	ModelID   int64  `json:"model_id"`
	Data      struct {
		State string `json:"state"`
	} `json:"data"`
}

const modelPrefix = "authorization_request/"

var (
	eventName     = regexp.MustCompile(`^[a-z][a-z_]{0,62}$`)
	definitionUID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,99}$`)
)

// latestFiredAt bounds what Postgres and people can read as a date.
var latestFiredAt = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func readEnvelope(body []byte) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return e, &BodyError{Problem: "le corps n'est pas un objet JSON d'événement DataPass"}
	}
	if e.Test && e.Event == "" {
		return e, nil
	}
	switch {
	case !eventName.MatchString(e.Event):
		return e, &BodyError{"event", "nom d'événement absent ou illisible"}
	case e.FiredAt <= 0 || e.FiredAt > latestFiredAt:
		return e, &BodyError{"fired_at", "secondes Unix attendues"}
	case e.ModelID <= 0:
		return e, &BodyError{"model_id", "entier positif attendu"}
	case !strings.HasPrefix(e.ModelType, modelPrefix) || !definitionUID.MatchString(strings.TrimPrefix(e.ModelType, modelPrefix)):
		return e, &BodyError{"model_type", `"authorization_request/<définition>" attendu`}
	}
	return e, nil
}

// Receive stores a webhook and gives the receipt that its answer is made from.
// The same body always gives the same receipt. It is accepted even when it
// cannot be applied yet (unknown definition, another environment): then it is
// parked, with the reason. A *BodyError means that nothing was stored.
func (r *Registry) Receive(ctx context.Context, w Webhook) (store.Receipt, error) {
	e, err := readEnvelope(w.Body)
	if err != nil || e.Test && e.Event == "" {
		return store.Receipt{}, err
	}
	definition := strings.TrimPrefix(e.ModelType, modelPrefix)
	return r.inbox.Put(ctx, store.Incoming{
		Source:      w.Source,
		Hash:        sha256.Sum256(w.Body),
		Body:        w.Body,
		Event:       e.Event,
		Definition:  definition,
		ExternalID:  e.ModelID,
		Environment: w.Environment,
		FiredAt:     time.Unix(e.FiredAt, 0).UTC(),
		Reserve:     e.Event == "approve",
		Close:       e.Data.State == "revoked",
		Correlation: connectors.Correlation(ctx),
		Parked:      r.parkedReason(w, definition),
	})
}

func (r *Registry) parkedReason(w Webhook, definition string) string {
	if w.Declared != "" && w.Declared != w.Environment {
		return fmt.Sprintf("environnement annoncé %q, la source %s est %q", clip(w.Declared, 40), w.Source, w.Environment)
	}
	return r.definitionFault(w.Definitions, definition)
}

func (r *Registry) definitionFault(allowed []string, definition string) string {
	if len(allowed) > 0 && !contains(allowed, definition) {
		return fmt.Sprintf("définition %s hors du périmètre de la source", definition)
	}
	if _, ok := r.catalogue.Definition(definition); !ok {
		return fmt.Sprintf("définition %s inconnue du catalogue", definition)
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// clip keeps printable ASCII only, n bytes at most: what comes from outside goes into a reason.
func clip(s string, n int) string {
	clean := strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return -1
		}
		return r
	}, s)
	return clean[:min(n, len(clean))]
}

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// traces gives the record of citizens' connections and of what was sent, as lines
// of JSON: for FranceConnect, the CNIL, an administration that asks (qf-form.md, M-23).
func traces(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "traces")
	since := fs.String("since", "", "from this day on, 2026-03-24, or instant, 2026-03-24T08:00:00Z")
	until := fs.String("until", "", "before this day or instant")
	siret := fs.String("siret", "", "of one commune")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return &usageError{"traces [--since DAY] [--until DAY] [--siret SIRET]"}
	}
	filter := store.TraceFilter{SIRET: *siret}
	if *siret != "" && !habilitation.ValidSIRET(*siret) {
		return &usageError{fmt.Sprintf("--siret: %q is not a SIRET", *siret)}
	}
	for _, bound := range []struct {
		flag, text string
		into       *time.Time
	}{{"since", *since, &filter.Since}, {"until", *until, &filter.Until}} {
		if bound.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, bound.text)
		if err != nil {
			if at, err = time.Parse(time.DateOnly, bound.text); err != nil {
				return &usageError{fmt.Sprintf("--%s: %q is neither a day (2026-03-24) nor an instant (RFC 3339)", bound.flag, bound.text)}
			}
		}
		*bound.into = at
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		out := json.NewEncoder(env.stdout)
		return h.store.EachTrace(ctx, filter, func(t store.Trace) error { return out.Encode(traceLine(t)) })
	})
}

// shownTrace is a trace as it is exported: hashes in hexadecimal.
type shownTrace struct {
	Siret        string    `json:"siret"`
	Cog          string    `json:"cog"`
	Seq          int64     `json:"seq"`
	At           time.Time `json:"at"`
	Journey      string    `json:"journey_id"`
	Event        string    `json:"event"`
	Outcome      string    `json:"outcome"`
	Habilitation int64     `json:"habilitation_id"`
	SubHash      string    `json:"sub_hash,omitempty"`
	ACR          string    `json:"acr,omitempty"`
	Scopes       []string  `json:"scopes,omitempty"`
	Categories   []string  `json:"categories,omitempty"`
	MonthBefore  bool      `json:"month_before,omitempty"`
	RequestID    string    `json:"request_id,omitempty"`
	Reference    string    `json:"reference,omitempty"`
	Notice       string    `json:"notice,omitempty"`
	Correlation  string    `json:"correlation,omitempty"`
	Hash         string    `json:"hash"`
}

func traceLine(t store.Trace) shownTrace {
	return shownTrace{
		Siret: t.Siret, Cog: t.Cog, Seq: t.Seq, At: t.At.UTC(), Journey: t.JourneyID.String(), Event: t.Event, Outcome: t.Outcome, Habilitation: t.HabilitationID,
		SubHash: hex.EncodeToString(t.SubHash), ACR: t.Acr, Scopes: t.Scopes, Categories: t.Categories, MonthBefore: t.MonthBefore, RequestID: t.RequestID,
		Reference: t.Reference, Notice: t.Notice, Correlation: t.Correlation, Hash: hex.EncodeToString(t.Hash),
	}
}

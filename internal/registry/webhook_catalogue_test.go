package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/eventtype/eventtypetest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// checkEvents holds every event that a test has published against the catalogue,
// in both of its forms.
func (b bench) checkEvents(t *testing.T) {
	t.Helper()
	rows, err := b.pool.Query(context.Background(), `select id from event`)
	if err != nil {
		t.Fatal(err)
	}
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		e, err := b.store.Bodies(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		typ, known := eventtype.Lookup(e.Type)
		if !known {
			t.Errorf("%s was published, and is not in the catalogue", e.Type)
			continue
		}
		if err := eventtypetest.Check(typ, eventtype.Standard, e.Standard); err != nil {
			t.Errorf("%s: %v\n%s", e.Type, err, e.Standard)
		}
		if err := eventtypetest.Check(typ, eventtype.DataPassFormat, e.DataPass); err != nil {
			t.Errorf("%s in DataPass's format: %v\n%s", e.Type, err, e.DataPass)
		}
	}
}

// body gives the newest event of a type, in DataPass's form.
func (b bench) shown(t *testing.T, kind string) []byte {
	t.Helper()
	var id uuid.UUID
	if err := b.pool.QueryRow(t.Context(), `select id from event where type = $1 order by id desc limit 1`, kind).Scan(&id); err != nil {
		t.Fatal(err)
	}
	e, err := b.store.Bodies(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e.DataPass
}

// What the contract allows to differ: our own key, and the moment.
var ours = regexp.MustCompile(`,"authorization_id":\d+|"fired_at":\d+`)

// Sirene's answer is passed on as it was read; Postgres may keep its keys in
// another order, which is no part of any contract.
var insee = regexp.MustCompile(`"insee_payload":\{.*?\},"siret":"\d{14}"\}`)

// The hub keeps no answer that is null: in a habilitation's raw data such a key
// is absent (datapass.md, 2.5). slug, the other null there, is the first key but one.
var null = regexp.MustCompile(`,"[a-rt-z][a-z_]+":null`)

func TestTheBodyInDataPasssFormatIsDataPasssByteForByte(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]int64{"webhook-approve.json": entreprise, "webhook-approve-formulaire-qf.json": 49002} {
		b := open(t, onePolicy{[]string{"m"}})
		given := sample(t, name)
		b.receive(t, given)
		b.apply(t, id)
		var escaped bytes.Buffer
		json.HTMLEscape(&escaped, given) // as Rails writes <, > and &
		cut := func(body []byte) string {
			request, granted, _ := bytes.Cut(insee.ReplaceAll(ours.ReplaceAll(body, nil), nil), []byte(`"authorizations":`))
			return string(request) + string(null.ReplaceAll(granted, nil))
		}
		if want, got := cut(escaped.Bytes()), cut(b.shown(t, "approve")); want != got {
			i := 0
			for i < min(len(want), len(got)) && want[i] == got[i] {
				i++
			}
			t.Errorf("%s differs at byte %d:\nwant …%.200s\ngot  …%.200s", name, i, want[max(0, i-60):], got[max(0, i-60):])
		}
	}
}

func TestWhatRailsEscapesIsEscaped(t *testing.T) {
	t.Parallel()
	b := open(t, onePolicy{[]string{"m"}})
	given := bytes.Replace(sample(t, "webhook-approve.json"), []byte(`"intitule":"`), []byte(`"intitule":"<b>&\u2028`), 1)
	b.receive(t, given)
	b.apply(t, entreprise)
	if !bytes.Contains(b.shown(t, "approve"), []byte(`"intitule":"\u003cb\u003e\u0026\u2028`)) {
		t.Errorf("%s", b.shown(t, "approve"))
	}
}

func TestEventsAboutEndpointsMeetTheCatalogue(t *testing.T) {
	t.Parallel()
	b := open(t, onePolicy{[]string{"m"}})
	add := &registry.AddEndpoint{Endpoint: store.NewEndpoint{
		Definition: "api_entreprise", URL: "https://a.example/", Events: []string{"*"}, Format: store.FormatStandard, MaxInFlight: 1, Enabled: true,
		Ordered: true, Secrets: []store.EndpointSecret{{Value: fmt.Sprintf("%064x", 1)}},
	}}
	record := func(cmd registry.Command) {
		t.Helper()
		if err := b.Record(t.Context(), cmd); err != nil {
			t.Fatal(err)
		}
	}
	record(add)
	b.receive(t, sample(t, "webhook-approve.json"))
	b.apply(t, entreprise)
	var due store.Due
	if err := b.pool.QueryRow(t.Context(), `select d.endpoint_id, d.event_id, d.subject, d.seq, v.type, v.request_id, v.occurred_at
		from delivery d join event v on v.id = d.event_id limit 1`).Scan(&due.EndpointID, &due.EventID, &due.Subject, &due.Seq, &due.Type, &due.RequestID, &due.OccurredAt); err != nil {
		t.Fatal(err)
	}
	record(&registry.GiveUp{Settlement: store.Settlement{Due: due, At: due.OccurredAt, Outcome: store.Abandoned, Reason: registry.ReasonHeld, NextAt: due.OccurredAt}})
	record(&registry.DisableEndpoint{ID: add.ID, Reason: registry.ReasonGone})
	for _, kind := range []string{eventtype.Gap, eventtype.EndpointDisabled} {
		if b.count(t, `select count(*) from event where type = $1`, kind) != 1 {
			t.Errorf("no %s", kind)
		}
	}
}

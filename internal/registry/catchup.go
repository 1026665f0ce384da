package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// CatchUp applies what a source's API shows of one request, true at AsOf by the
// source's clock: what its webhooks should have brought. Webhooks that wait are
// applied first. The same state twice has no effect, and a webhook older than
// AsOf that comes later is history only.
type CatchUp struct {
	Source string
	Shown  connectors.SourceRequest
	AsOf   time.Time

	Verdict habilitation.Verdict // result
}

func (cmd *CatchUp) apply(ctx context.Context, u *unit) error {
	key := store.InboundKey{Source: cmd.Source, ExternalID: cmd.Shown.ID}
	correlation := u.correlation
	if err := (&ApplyInbound{Key: key}).apply(ctx, u); err != nil {
		return err
	}
	u.actor, u.correlation = "source:"+cmd.Source, correlation
	var current *habilitation.Request
	id, err := u.tx.LockExternal(ctx, key)
	if err != nil {
		return err
	}
	if id != 0 {
		known, err := u.tx.LockRequest(ctx, id)
		if err != nil {
			return err
		}
		current = &known
	}
	incoming, err := u.readShown(cmd.Source, cmd.Shown)
	if err != nil {
		return err
	}
	if current == nil {
		if err := u.completeShown(ctx, &incoming); err != nil {
			return err
		}
	}
	var change habilitation.Change
	change, cmd.Verdict = habilitation.Mirror(current, incoming, "", cmd.AsOf)
	if cmd.Verdict.Outcome != habilitation.Applied {
		return nil
	}
	change.Events = dated(change.Events, cmd.Shown.Events)
	if incoming.State == habilitation.Revoked {
		if err := u.tx.CloseReservations(ctx, key, cmd.AsOf); err != nil {
			return err
		}
	}
	_, err = u.saveChange(ctx, &change, map[string]any{"read_at": cmd.AsOf.UTC(), "outcome": cmd.Verdict.Outcome})
	return err
}

// dated gives inferred events the time that the source's own history has for them.
func dated(events []habilitation.Event, history []connectors.SourceEvent) []habilitation.Event {
	for i, e := range events {
		if !e.Inferred {
			continue
		}
		for _, told := range history {
			if told.Name == string(e.Name) && !told.At.After(e.At) && (events[i].At.Equal(e.At) || told.At.After(events[i].At)) {
				events[i].At = told.At
			}
		}
	}
	return events
}

// Unlike gives, of a page of a source, the requests whose state is not the one
// mirrored, and how many it passed over: outside the source's scope (allowed,
// none for all), unknown to the catalogue, or not to be read. Nothing is locked:
// CatchUp judges again.
func (r *Registry) Unlike(ctx context.Context, source string, allowed []string, page connectors.SourcePage[connectors.SourceRequest]) ([]connectors.SourceRequest, int, error) {
	ids := make([]int64, len(page.Items))
	for i, shown := range page.Items {
		ids[i] = shown.ID
	}
	mirrored, err := r.store.MirroredRequests(ctx, source, ids)
	if err != nil {
		return nil, 0, err
	}
	var unlike []connectors.SourceRequest
	skipped := 0
	for _, shown := range page.Items {
		incoming, err := r.readShown(source, shown)
		if err != nil || r.definitionFault(allowed, shown.Definition) != "" {
			skipped++
			continue
		}
		var current *habilitation.Request
		if known, ok := mirrored[shown.ID]; ok {
			current = &known
		}
		if _, verdict := habilitation.Mirror(current, incoming, "", page.AsOf); verdict.Outcome == habilitation.Applied {
			unlike = append(unlike, shown)
		}
	}
	return unlike, skipped, nil
}

// DoubtedHabilitations gives, of a page of a source, the requests of the
// habilitations that are not mirrored, or in another state.
func (r *Registry) DoubtedHabilitations(ctx context.Context, source string, allowed []string, page []connectors.SourceHabilitation) ([]int64, error) {
	ids := make([]int64, len(page))
	for i, h := range page {
		ids[i] = h.ID
	}
	states, err := r.store.MirroredStates(ctx, source, ids)
	if err != nil {
		return nil, err
	}
	doubted := map[int64]bool{}
	for _, h := range page {
		// An active one may be mirrored as ended where the source shows an old one
		// still active (datapass.md, 2.10): its request is compared as a whole.
		state, known := states[h.ID]
		settled := known && (state == habilitation.GrantState(h.State) || h.State == string(habilitation.GrantActive) && state == habilitation.GrantObsolete)
		if !settled && h.RequestID > 0 && r.definitionFault(allowed, h.Definition) == "" {
			doubted[h.RequestID] = true
		}
	}
	return slices.Sorted(maps.Keys(doubted)), nil
}

// readShown gives the request that the API shows, as its source's mirror.
// Errors name keys, never values.
func (r *Registry) readShown(source string, shown connectors.SourceRequest) (habilitation.Request, error) {
	publicID, err := uuid.Parse(shown.PublicID)
	if err != nil || shown.ID <= 0 || shown.Organization.ID <= 0 || shown.Applicant.ID <= 0 || shown.Form == "" || shown.State == "" || shown.Definition == "" {
		return habilitation.Request{}, fmt.Errorf("request %d of %s: id, public_id, definition_id, form_uid, state, organisation.id and applicant.id are expected", shown.ID, source)
	}
	data, err := decodeData(shown.Data)
	if err != nil {
		return habilitation.Request{}, fmt.Errorf("request %d of %s: %w", shown.ID, source, err)
	}
	req := habilitation.Request{
		Origin: habilitation.Mirrored, Source: source, ExternalID: shown.ID, PublicID: publicID, Definition: shown.Definition, Form: shown.Form,
		State: habilitation.State(shown.State), Data: data, CreatedAt: shown.CreatedAt, LastSubmittedAt: shown.LastSubmittedAt,
		LastValidatedAt: shown.LastValidatedAt, ReopenedAt: shown.ReopenedAt,
		Organization: habilitation.Organization{
			ID: shown.Organization.ID, SIRET: clean(shown.Organization.SIRET), INSEEPayload: insee(shown.Organization.INSEEPayload),
		},
		Applicant: habilitation.Applicant{
			ID: shown.Applicant.ID, Email: clean(shown.Applicant.Email), GivenName: clean(shown.Applicant.GivenName),
			FamilyName: clean(shown.Applicant.FamilyName), PhoneNumber: clean(shown.Applicant.PhoneNumber),
		},
	}
	for _, h := range shown.Habilitations {
		granted, err := decodeData(h.Data)
		if err != nil {
			return req, fmt.Errorf("habilitation %d of %s: %w", h.ID, source, err)
		}
		req.Habilitations = append(req.Habilitations, habilitation.Habilitation{
			ExternalID: h.ID, Definition: h.Definition, State: habilitation.GrantState(h.State), Data: granted,
			Organization: req.Organization, Applicant: req.Applicant, CreatedAt: h.CreatedAt,
		})
	}
	return req, nil
}

// completeShown fills what the API does not say of a request never seen: the
// holder's name, the editor that its form names.
func (u *unit) completeShown(ctx context.Context, req *habilitation.Request) error {
	name, err := u.tx.ExternalOrganizationName(ctx, req.Source, req.Organization.ID)
	if err != nil {
		return err
	}
	if name == "" {
		name = nameOf(req.Organization)
	}
	req.Organization.Name = name
	for i := range req.Habilitations {
		req.Habilitations[i].Organization.Name = name
	}
	if form, ok := u.catalogue.Form(req.Form); ok {
		if p, ok := u.catalogue.ServiceProvider(form.ServiceProvider); ok {
			req.ServiceProvider = &p.ServiceProvider
		}
	}
	return nil
}

// nameOf is what INSEE calls the organisation, else what DataPass writes for one
// without a name (datapass.md, 2.4).
func nameOf(o habilitation.Organization) string {
	var payload struct {
		Etablissement struct {
			UniteLegale struct {
				Denomination string `json:"denominationUniteLegale"`
			} `json:"uniteLegale"`
		} `json:"etablissement"`
	}
	if len(o.INSEEPayload) > 0 && json.Unmarshal(o.INSEEPayload, &payload) == nil && payload.Etablissement.UniteLegale.Denomination != "" {
		return clean(payload.Etablissement.UniteLegale.Denomination)
	}
	return "l'organisation " + o.SIRET + " (nom inconnu)"
}

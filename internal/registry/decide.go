package registry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Refusals that the rules cannot give: they know one definition, not the catalogue.
const (
	RefusedFormNotFound        habilitation.RefusalCode = "form_not_found"
	RefusedDefinitionGone      habilitation.RefusalCode = "definition_gone"
	RefusedInvalidApplicant    habilitation.RefusalCode = "invalid_applicant"
	RefusedInvalidOrganization habilitation.RefusalCode = "invalid_organization"
)

// AnswersError: the answers cannot be read against the definition. Nothing was
// done.
type AnswersError struct {
	NotAnObject bool
	Unknown     []string                  // keys that the definition does not have, or that clients may not set
	Faults      []habilitation.FieldError // values of the wrong type
}

func (e *AnswersError) Error() string {
	switch {
	case e.NotAnObject:
		return "the answers are not a JSON object"
	case len(e.Unknown) > 0:
		return fmt.Sprintf("%d unknown keys in the answers", len(e.Unknown))
	}
	return fmt.Sprintf("%d answers of the wrong type", len(e.Faults))
}

// readAnswers reads a client's JSON object; none is no answer. The error is a
// *AnswersError or nil.
func readAnswers(d *habilitation.Definition, object []byte) (habilitation.Data, error) {
	if len(object) == 0 {
		return nil, nil
	}
	answers, unknown, faults, err := d.ReadAnswers(object)
	switch {
	case err != nil:
		return nil, &AnswersError{NotAnObject: true}
	case len(unknown)+len(faults) > 0:
		return answers, &AnswersError{Unknown: unknown, Faults: faults}
	}
	return answers, nil
}

// deliberation is one request under its lock, with what the rules need to know
// of its definition and form.
type deliberation struct {
	*unit
	by         habilitation.By
	request    habilitation.Request
	definition *habilitation.Definition // nil: no longer in the catalogue
	form       *habilitation.Form
	fault      error // of the answers; told only to those who might have given them
}

func (d *deliberation) mirrored() bool { return d.request.Origin == habilitation.Mirrored }

// decide locks the target, makes the rules' command of it, saves what they
// decide, and queues what must follow. ahead is read with the target.
func (u *unit) decide(ctx context.Context, t *Target, command func(*deliberation) (habilitation.Command, error), ahead ...store.Ahead) error {
	req, err := u.tx.LockRequest(ctx, t.ID, ahead...)
	if err != nil {
		return err
	}
	d := &deliberation{unit: u, by: habilitation.By{Actor: t.Caller.Actor, At: u.at, Version: t.Version}, request: req}
	d.definition, _ = u.catalogue.Definition(req.Definition)
	d.form, _ = u.catalogue.Form(req.Form)
	if err := d.visible(t.Caller); err != nil {
		return err
	}
	facts, err := d.facts()
	if err != nil {
		return err
	}
	cmd, err := command(d)
	if err != nil {
		return err
	}
	change, err := habilitation.Decide(req, facts, cmd)
	if err != nil {
		return err
	}
	if d.fault != nil {
		return d.fault
	}
	t.Request, t.Changed = change.Request, len(change.Events) > 0
	if !t.Changed {
		return nil
	}
	t.Request, err = u.saveDecision(ctx, t.Caller, change, nil)
	return err
}

// visible hides a request from those who may not know of it. A colleague whose
// link is not verified may still take it over (datapass.md, 1.2).
func (d *deliberation) visible(caller habilitation.Viewer) error {
	provider := ""
	if d.definition != nil {
		provider = d.definition.Provider
	}
	colleague := !d.mirrored() && caller.Organization != 0 && caller.Organization == d.request.Organization.ID
	if caller.AccessTo(d.request, provider) == habilitation.AccessNone && !colleague {
		return fmt.Errorf("request %d: %w", d.request.ID, store.ErrNotFound)
	}
	return nil
}

// facts of the request's definition and form. A mirrored request needs none:
// whatever is asked of it is refused, and the refusal says where to go.
func (d *deliberation) facts() (habilitation.DefinitionFacts, error) {
	if d.mirrored() {
		return habilitation.DefinitionFacts{UID: d.request.Definition}, nil
	}
	if d.definition == nil || d.form == nil {
		return habilitation.DefinitionFacts{}, &habilitation.Refusal{
			Code: RefusedDefinitionGone, State: d.request.State,
			Message: fmt.Sprintf("Le type d’habilitation « %s » ou son formulaire « %s » n’est plus au catalogue.", d.request.Definition, d.request.Form),
		}
	}
	return d.factsOf(d.definition, d.form), nil
}

func (r *Registry) factsOf(d *habilitation.Definition, form *habilitation.Form) habilitation.DefinitionFacts {
	var next *habilitation.Definition
	if d.Stage != nil && d.Stage.Next != nil {
		next, _ = r.catalogue.Definition(d.Stage.Next.Definition)
	}
	return habilitation.FactsOf(d, form, next)
}

// submissionFacts reads what the definition's own rules ask about the
// organisation, and no more. Where one request bars another, the organisation's
// requests of the definition are judged one at a time.
func (u *unit) submissionFacts(ctx context.Context, d *habilitation.Definition, o habilitation.Organization, except int64) (habilitation.Facts, error) {
	facts := habilitation.Facts{Today: parisDate(u.at), LegalCategory: o.LegalCategory()}
	var err error
	if d.Rules.FranceConnectModality != "" || contains(blockNames(d.Rules.Blocks), string(habilitation.BlockFranceConnect)) {
		if facts.FranceConnect, err = u.tx.FranceConnectIDs(ctx, o); err != nil {
			return facts, err
		}
	}
	if !d.Unique && !d.Rules.OnePerOrganization && !d.Rules.ExclusiveScopes {
		return facts, nil
	}
	if err := u.tx.LockKey(ctx, fmt.Sprintf("siblings/%d/%s", o.ID, d.UID)); err != nil {
		return facts, err
	}
	facts.Siblings, err = u.tx.Siblings(ctx, o.ID, d.UID, except)
	return facts, err
}

func blockNames(blocks []habilitation.Block) []string {
	names := make([]string, len(blocks))
	for i, b := range blocks {
		names[i] = string(b)
	}
	return names
}

func parisDate(t time.Time) habilitation.Date {
	return habilitation.Date(t.In(paris).Format(time.DateOnly))
}

// saveDecision writes a change of a native request with its history, and
// follows its consequences. prefill is what a new request started from.
func (u *unit) saveDecision(ctx context.Context, caller habilitation.Viewer, change habilitation.Change, prefill habilitation.Data) (habilitation.Request, error) {
	ids, err := u.tx.ReserveHabilitationIDs(ctx, len(change.Created))
	if err != nil {
		return habilitation.Request{}, err
	}
	change.AssignIDs(ids)
	saved, err := u.tx.SaveNative(ctx, change, u.catalogue.Hash(), u.at)
	if err != nil {
		return saved, err
	}
	if u.actor == hubActor && caller.Person != 0 {
		u.actor = fmt.Sprintf("person:%d", caller.Person)
	}
	for _, event := range change.Events {
		if err := u.writeDecision(ctx, saved, event, prefill); err != nil {
			return saved, err
		}
	}
	if err := u.bindEditor(ctx, saved); err != nil {
		return saved, err
	}
	u.decided = change.Events
	return saved, u.follow(ctx, saved, change.Consequences)
}

// writeDecision adds an event to the request's history: who, when, why and the
// difference it made.
func (u *unit) writeDecision(ctx context.Context, r habilitation.Request, e habilitation.Event, prefill habilitation.Data) error {
	detail := map[string]any{"state": e.State, "version": r.Version}
	if e.Actor != 0 && !strings.HasPrefix(u.actor, "person:") {
		detail["person"] = e.Actor // an application acts with its owner's rights
	}
	if prefill != nil {
		detail["form"], detail["prefill"] = r.Form, prefill
	}
	if len(e.Diff) > 0 {
		detail["diff"] = e.Diff
	}
	if e.Transfer != nil {
		detail["transfer"] = map[string]any{"type": e.Transfer.Type, "from": e.Transfer.From, "to": e.Transfer.To}
	}
	if e.Name == habilitation.EventStartNextStage || e.Name == habilitation.EventCancelNextStage {
		detail["definition"] = r.Definition
	}
	entityID := ""
	if e.Habilitation != 0 {
		entityID = fmt.Sprint(e.Habilitation)
	}
	return u.write(ctx, r.ID, string(e.Name), string(e.Entity), entityID, e.Reason, detail)
}

package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// AddEndpoint has an endpoint told of events, as an operator's command or a test
// gives it: enabled without a test, if so it says.
type AddEndpoint struct {
	Endpoint store.NewEndpoint

	ID int64 // result
}

func (cmd *AddEndpoint) apply(ctx context.Context, u *unit) error {
	var wrong faults
	if checkEvents(cmd.Endpoint.Events, &wrong); len(wrong) > 0 {
		return wrong.err()
	}
	cmd.Endpoint.Now, cmd.Endpoint.CreatedBy = u.at, u.actor
	var err error
	if cmd.ID, err = u.tx.InsertEndpoint(ctx, cmd.Endpoint); err != nil {
		return err
	}
	e := store.Endpoint{ID: cmd.ID, Definition: cmd.Endpoint.Definition, Editor: cmd.Endpoint.Editor, URL: cmd.Endpoint.URL}
	return u.noteEndpoint(ctx, e, "created", map[string]any{"enabled": cmd.Endpoint.Enabled})
}

// DefaultMaxEndpoints bounds the endpoints of one definition or editor, where
// the settings say nothing else.
const DefaultMaxEndpoints = 50

// Refusals about endpoints.
const (
	RefusedTooManyEndpoints habilitation.RefusalCode = "too_many_endpoints"
	RefusedNotTested        habilitation.RefusalCode = "endpoint_not_tested"
	RefusedTestTooSoon      habilitation.RefusalCode = "test_too_soon"
	RefusedChangedMeanwhile habilitation.RefusalCode = "endpoint_changed"
)

// CreateEndpoint makes a subscription of a definition or of an editor, disabled
// until it is tested.
type CreateEndpoint struct {
	Caller     Subscriber
	Definition string
	Editor     string // id of a service provider, or SIRET
	Settings   EndpointSettings
	Secret     connectors.Secret // zero: one is made

	Endpoint store.Endpoint // result
	Key      SigningKey     // result: shown once
}

func (cmd *CreateEndpoint) apply(ctx context.Context, u *unit) error {
	if err := cmd.authorize(u); err != nil {
		return err
	}
	e := store.Endpoint{
		Definition: cmd.Definition, Editor: cmd.Editor, Format: store.FormatStandard, MaxInFlight: DefaultInFlight, CreatedBy: u.actor,
	}
	var wrong faults
	s := cmd.Settings
	if s.URL == nil {
		s.URL = new(string)
	}
	if s.Events == nil {
		s.Events = &[]string{}
	}
	u.put(s, &e, &wrong)
	cmd.Key = u.readSecret(cmd.Secret, &wrong)
	if err := wrong.err(); err != nil {
		return err
	}
	if err := u.tx.LockKey(ctx, "endpoints of "+cmd.Definition+"/"+cmd.Editor); err != nil {
		return err
	}
	n, err := u.tx.CountEndpoints(ctx, cmd.Definition, cmd.Editor)
	if err != nil {
		return err
	}
	if most := u.maxEndpoints(); n >= most {
		return &habilitation.Refusal{Code: RefusedTooManyEndpoints, Message: fmt.Sprintf("Ce titulaire a déjà %d adresses, le plus qui soit admis.", most)}
	}
	id, err := u.tx.InsertEndpoint(ctx, store.NewEndpoint{
		Definition: e.Definition, Editor: e.Editor, URL: e.URL, Description: e.Description, Events: e.Events, Format: e.Format,
		Secrets: []store.EndpointSecret{cmd.Key.kept(cmd.Secret)}, Headers: valueOf(s.Headers), Ordered: e.Ordered, Rate: e.Rate,
		MaxInFlight: e.MaxInFlight, Environment: e.Environment, Contact: e.Contact, CreatedBy: e.CreatedBy, Now: u.at,
	})
	if err != nil {
		return err
	}
	if cmd.Endpoint, err = u.tx.Endpoint(ctx, id); err != nil {
		return err
	}
	return u.noteEndpoint(ctx, cmd.Endpoint, "created", map[string]any{"events": e.Events, "format": e.Format, "secret_given": !cmd.Secret.IsZero()})
}

func (r *Registry) maxEndpoints() int {
	if r.settings.MaxEndpoints > 0 {
		return r.settings.MaxEndpoints
	}
	return DefaultMaxEndpoints
}

// authorize says whose the endpoint may be. What is unknown and what is another's
// are told apart only for definitions: those are public.
func (cmd *CreateEndpoint) authorize(u *unit) error {
	if (cmd.Definition == "") == (cmd.Editor == "") {
		return &EndpointError{[]EndpointFault{{"definition_id", "definition_id ou editor est attendu, et un seul"}}}
	}
	if cmd.Definition != "" {
		if _, ok := u.catalogue.Definition(cmd.Definition); !ok {
			return &EndpointError{[]EndpointFault{{"definition_id", "définition inconnue"}}}
		}
		if !u.MayManage(cmd.Caller, cmd.Definition, "") {
			return &habilitation.Refusal{Code: habilitation.RefusedUnauthorizedType, Message: "Vous n’êtes pas développeur de cette définition.", Pointer: "/definition_id"}
		}
		return nil
	}
	if !u.MayManage(cmd.Caller, "", cmd.Editor) {
		return &habilitation.Refusal{Code: habilitation.RefusedNotAllowed, Message: "Votre organisation n’est pas celle de cet éditeur, ou n’est pas vérifiée.", Pointer: "/editor"}
	}
	if _, known := u.catalogue.ServiceProvider(cmd.Editor); !known && !isSIRET(cmd.Editor) {
		return &EndpointError{[]EndpointFault{{"editor", "éditeur inconnu : son identifiant ou son SIRET est attendu"}}}
	}
	return nil
}

// EndpointTarget names an endpoint, by whom and at which version it is changed.
type EndpointTarget struct {
	Caller  Subscriber
	ID      int64
	Version int64 // that the caller has seen; 0: any

	Endpoint store.Endpoint // result: as it is afterwards
}

// lock holds the endpoint. store.ErrNotFound for one that the caller does not manage.
func (t *EndpointTarget) lock(ctx context.Context, u *unit) error {
	if err := u.tx.LockEndpoint(ctx, t.ID); err != nil {
		return err
	}
	var err error
	if t.Endpoint, err = u.tx.Endpoint(ctx, t.ID); err != nil {
		return err
	}
	if !u.MayManage(t.Caller, t.Endpoint.Definition, t.Endpoint.Editor) {
		return fmt.Errorf("endpoint %d: %w", t.ID, store.ErrNotFound)
	}
	if t.Version != 0 && t.Version != int64(t.Endpoint.Version) {
		return &habilitation.Refusal{Code: habilitation.RefusedStaleVersion, Message: "L’adresse a changé depuis la version donnée."}
	}
	return nil
}

// done gives the endpoint as it is now, and writes the line of the change.
func (t *EndpointTarget) done(ctx context.Context, u *unit, event string, detail map[string]any) error {
	if err := u.noteEndpoint(ctx, t.Endpoint, event, detail); err != nil {
		return err
	}
	var err error
	t.Endpoint, err = u.tx.Endpoint(ctx, t.ID)
	u.then(EndpointChanged{t.ID})
	return err
}

// ChangeEndpoint changes settings of an endpoint. With another URL or format it
// is disabled until it is tested again.
type ChangeEndpoint struct {
	EndpointTarget
	Settings EndpointSettings

	Disabled bool // result: it was enabled, and has to be tested again
}

func (cmd *ChangeEndpoint) apply(ctx context.Context, u *unit) error {
	if err := cmd.lock(ctx, u); err != nil {
		return err
	}
	before := cmd.Endpoint
	after := before
	var wrong faults
	u.put(cmd.Settings, &after, &wrong)
	if err := wrong.err(); err != nil {
		return err
	}
	detail := changed(before, after, cmd.Settings)
	if len(detail) == 0 {
		return nil // nothing new: no new version
	}
	retest := before.URL != after.URL || before.Format != after.Format
	if retest {
		after.TestedURL = ""
	}
	var headers map[string]string
	if cmd.Settings.Headers != nil {
		headers = *cmd.Settings.Headers
		if headers == nil {
			headers = map[string]string{}
		}
	}
	if err := u.tx.SaveEndpoint(ctx, after, headers, u.at); err != nil {
		return err
	}
	if retest && before.Enabled {
		cmd.Disabled = true
		if err := u.tx.DisableEndpoint(ctx, cmd.ID, ReasonRetest, u.actor, u.at); err != nil {
			return err
		}
		detail["disabled"] = true
	}
	return cmd.done(ctx, u, "changed", detail)
}

// ReasonRetest is why an endpoint whose URL changed is disabled, in words for people.
const ReasonRetest = "à tester de nouveau : l’adresse ou le format a changé"

// changed tells what is new, without what may hold a credential.
func changed(before, after store.Endpoint, s EndpointSettings) map[string]any {
	d := map[string]any{}
	note := func(key string, differs bool, was, is any) {
		if differs {
			d[key] = []any{was, is}
		}
	}
	note("url", before.URL != after.URL, bareURL(before.URL), bareURL(after.URL))
	note("description", before.Description != after.Description, before.Description, after.Description)
	note("events", !slices.Equal(before.Events, after.Events), before.Events, after.Events)
	note("format", before.Format != after.Format, before.Format, after.Format)
	note("rate_limit", before.Rate != after.Rate, before.Rate, after.Rate)
	note("max_in_flight", before.MaxInFlight != after.MaxInFlight, before.MaxInFlight, after.MaxInFlight)
	note("ordered", before.Ordered != after.Ordered, before.Ordered, after.Ordered)
	note("environment", before.Environment != after.Environment, before.Environment, after.Environment)
	if before.Contact != after.Contact {
		d["contact"] = true
	}
	if s.Headers != nil && len(*s.Headers)+len(before.HeaderNames) > 0 {
		d["headers"] = []any{before.HeaderNames, slices.Sorted(maps.Keys(*s.Headers))}
	}
	return d
}

// EnableEndpoint has deliveries begin, or begin again; what waits leaves first.
type EnableEndpoint struct {
	EndpointTarget
	Untested bool // an operator takes the blame (datapass.md, 2.6)
}

func (cmd *EnableEndpoint) apply(ctx context.Context, u *unit) error {
	if err := cmd.lock(ctx, u); err != nil {
		return err
	}
	e := cmd.Endpoint
	if e.Enabled {
		return nil
	}
	if !cmd.Untested {
		if e.TestedURL != e.URL {
			return &habilitation.Refusal{Code: RefusedNotTested, Message: "L’adresse n’a pas passé le test : envoyez-le d’abord."}
		}
		// One that the hub had to disable shows first that it is well again.
		if e.DisabledBy == hubActor && !e.Test.At.After(e.DisabledAt) {
			return &habilitation.Refusal{Code: RefusedNotTested, Message: "L’adresse a été désactivée (" + e.DisabledReason + ") : testez-la de nouveau d’abord."}
		}
	}
	if err := u.tx.EnableEndpoint(ctx, cmd.ID, u.at); err != nil {
		return err
	}
	return cmd.done(ctx, u, "enabled", map[string]any{"untested": e.TestedURL != e.URL})
}

// StopEndpoint disables an endpoint at its owner's or an operator's wish; what
// waits stays, and leaves once it is enabled again.
type StopEndpoint struct{ EndpointTarget }

func (cmd *StopEndpoint) apply(ctx context.Context, u *unit) error {
	if err := cmd.lock(ctx, u); err != nil {
		return err
	}
	if !cmd.Endpoint.Enabled {
		return nil
	}
	if err := u.tx.DisableEndpoint(ctx, cmd.ID, "", u.actor, u.at); err != nil {
		return err
	}
	return cmd.done(ctx, u, "disabled", nil)
}

// DeleteEndpoint deletes an endpoint with all that is owed to it.
type DeleteEndpoint struct{ EndpointTarget }

func (cmd *DeleteEndpoint) apply(ctx context.Context, u *unit) error {
	if err := cmd.lock(ctx, u); err != nil {
		return err
	}
	if err := u.tx.DeleteEndpoint(ctx, cmd.ID, u.at); err != nil {
		return err
	}
	detail := owner(cmd.Endpoint)
	detail["url"] = bareURL(cmd.Endpoint.URL)
	u.then(EndpointChanged{cmd.ID})
	return u.noteEndpoint(ctx, cmd.Endpoint, "deleted", detail)
}

// Bounds of a rotation's overlap.
const (
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 30 * 24 * time.Hour
)

// RotateEndpointSecret gives an endpoint a new secret. During the overlap both
// sign: webhook-signature holds both signatures; X-Hub-Signature-256, which
// holds one, goes on being the old one's, with the new one's beside it.
type RotateEndpointSecret struct {
	EndpointTarget
	Overlap time.Duration     // 0: the old secret ends at once
	Secret  connectors.Secret // zero: one is made

	Key SigningKey // result: shown once
}

func (cmd *RotateEndpointSecret) apply(ctx context.Context, u *unit) error {
	if err := cmd.lock(ctx, u); err != nil {
		return err
	}
	var wrong faults
	if cmd.Overlap < 0 || cmd.Overlap > MaxOverlap {
		wrong.at("overlap_seconds", "de 0 à %d secondes", int(MaxOverlap.Seconds()))
	}
	cmd.Key = u.readSecret(cmd.Secret, &wrong)
	secrets, err := u.tx.EndpointSecrets(ctx, cmd.ID)
	if err != nil {
		return err
	}
	fresh := cmd.Key.kept(cmd.Secret)
	if slices.ContainsFunc(secrets, func(s store.EndpointSecret) bool { return s.Value == fresh.Value }) {
		wrong.at("secret", "c’est déjà un secret de cette adresse")
	}
	if err := wrong.err(); err != nil {
		return err
	}
	after := []store.EndpointSecret{fresh}
	if cmd.Overlap > 0 {
		old := secrets[0] // of two that live, the older one ends now
		old.NotAfter = u.at.Add(cmd.Overlap)
		after = append(after, old)
	}
	if err := u.tx.SaveEndpointSecrets(ctx, cmd.ID, after, true, u.at); err != nil {
		return err
	}
	return cmd.done(ctx, u, "secret_rotated", map[string]any{"overlap_seconds": int(cmd.Overlap.Seconds()), "secret_given": !cmd.Secret.IsZero()})
}

// EndRotation ends the overlap of a rotation now: the old secret is forgotten.
type EndRotation struct{ EndpointTarget }

func (cmd *EndRotation) apply(ctx context.Context, u *unit) error {
	if err := cmd.lock(ctx, u); err != nil {
		return err
	}
	secrets, err := u.tx.EndpointSecrets(ctx, cmd.ID)
	if err != nil || len(secrets) < 2 {
		return err
	}
	if err := u.tx.SaveEndpointSecrets(ctx, cmd.ID, secrets[:1], true, u.at); err != nil {
		return err
	}
	return cmd.done(ctx, u, "rotation_ended", nil)
}

// ForgetOldSecrets forgets the secrets of an endpoint that no longer sign.
type ForgetOldSecrets struct{ ID int64 }

func (cmd *ForgetOldSecrets) apply(ctx context.Context, u *unit) error {
	if err := u.tx.LockEndpoint(ctx, cmd.ID); err != nil {
		return err
	}
	secrets, err := u.tx.EndpointSecrets(ctx, cmd.ID)
	if err != nil {
		return err
	}
	live := slices.DeleteFunc(secrets, func(s store.EndpointSecret) bool { return !s.Live(u.at) })
	if err := u.tx.SaveEndpointSecrets(ctx, cmd.ID, live, false, u.at); err != nil {
		return err
	}
	return u.noteEndpoint(ctx, store.Endpoint{ID: cmd.ID}, "rotation_ended", nil)
}

// noteEndpoint writes who did what to an endpoint.
func (u *unit) noteEndpoint(ctx context.Context, e store.Endpoint, event string, detail map[string]any) error {
	return u.tx.AppendEndpointChange(ctx, e.ID, store.Line{At: u.at, Actor: u.actor, Event: event, Detail: detail, Correlation: u.correlation})
}

// AwaitQuiet waits until no process delivers to an endpoint as it was before a
// change: what is in flight ends. It gives up when ctx ends: a lane is never
// longer than its lease.
func (r *Registry) AwaitQuiet(ctx context.Context, id int64) error {
	for {
		held, err := r.store.LaneHeld(ctx, id)
		if err != nil || !held {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(25 * time.Millisecond):
		}
	}
}

package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Events about webhooks themselves.
const (
	EventGap              = eventtype.Gap
	EventEndpointDisabled = eventtype.EndpointDisabled
)

// Letters about endpoints, to those who own them and to the ops.
const (
	LetterEndpointFailing  = "webhook_en_echec"
	LetterEndpointDisabled = "webhook_desactive"
)

// TokenAnswered keeps the token_id that a receiver answered to an approve, of
// the habilitation and the endpoint (datapass.md, 2.7). The latest one counts.
type TokenAnswered struct {
	Due     store.Due
	TokenID string
	Status  int
	At      time.Time
}

func (cmd *TokenAnswered) apply(ctx context.Context, u *unit) error {
	return u.tx.KeepEndpointToken(ctx, cmd.Due, cmd.TokenID, cmd.Status, cmd.At)
}

// Settle records a try; s.Settled tells when it is committed. Many are recorded
// in one commit.
func (r *Registry) Settle(s store.Settlement) { r.settlements.Add(s) }

// GiveUp records the last try of a message at an ordered endpoint, and puts an
// event in its place that says what is missing: its followers go on behind it.
type GiveUp struct{ Settlement store.Settlement }

func (cmd *GiveUp) apply(ctx context.Context, u *unit) error {
	s := cmd.Settlement
	if err := u.tx.Settle(ctx, s); err != nil {
		return err
	}
	data := map[string]any{
		"endpoint_id": s.Due.EndpointID, "missing": s.Due.EventID, "missing_type": s.Due.Type, "subject": s.Due.Subject, "sequence": s.Due.Seq,
		"reason": s.Reason, "attempts": s.Due.Attempts + 1, "occurred_at": s.Due.OccurredAt,
	}
	if s.Due.RequestID != 0 {
		data["request_id"] = s.Due.RequestID
	}
	e, err := u.ownEvent(Happening{
		Type: EventGap, Request: s.Due.RequestID, Subject: store.GapSubject(s.Due.EndpointID), Data: data,
	})
	if err != nil {
		return err
	}
	if err := u.tx.LockEndpoint(ctx, s.Due.EndpointID); err != nil {
		return err
	}
	if err := u.tx.PublishToEndpoint(ctx, e, s.Due); err != nil {
		return err
	}
	u.then(EventPublished{e.ID, []int64{s.Due.EndpointID}})
	return nil
}

// EndpointFailing tells an endpoint's owners and the ops, once, that it fails.
type EndpointFailing struct {
	ID     int64
	Health store.Health
}

func (cmd *EndpointFailing) apply(ctx context.Context, u *unit) error {
	e, err := u.tx.Endpoint(ctx, cmd.ID)
	if err != nil {
		return err
	}
	first, err := u.tx.MarkWarned(ctx, cmd.ID, u.at)
	if err != nil || !first {
		return err
	}
	return u.mailOwners(ctx, e, LetterEndpointFailing, cmd.Health.FailingSince, map[string]string{
		"since": frenchTime(cmd.Health.FailingSince), "error": cmd.Health.LastError,
	})
}

// DisableEndpoint stops sending to an endpoint: what waits stays, and can be
// sent once it is enabled again. Its owners, the ops and the other subscribers
// are told.
type DisableEndpoint struct {
	ID     int64
	Reason string
}

func (cmd *DisableEndpoint) apply(ctx context.Context, u *unit) error {
	if err := u.tx.LockEndpoint(ctx, cmd.ID); err != nil {
		return err
	}
	e, err := u.tx.Endpoint(ctx, cmd.ID)
	if err != nil || !e.Enabled {
		return err
	}
	if err := u.tx.DisableEndpoint(ctx, cmd.ID, cmd.Reason, hubActor, u.at); err != nil {
		return err
	}
	if err := u.noteEndpoint(ctx, e, "disabled", map[string]any{"reason": cmd.Reason}); err != nil {
		return err
	}
	data := map[string]any{"endpoint_id": cmd.ID, "reason": cmd.Reason, "disabled_at": u.at}
	if e.Definition != "" {
		data["definition_id"] = e.Definition
	}
	err = u.tell(ctx, Happening{
		Type: EventEndpointDisabled, Definition: e.Definition, Editor: e.Editor, Subject: fmt.Sprintf("endpoint/%d", cmd.ID), Data: data,
	})
	if err != nil {
		return err
	}
	return u.mailOwners(ctx, e, LetterEndpointDisabled, u.at, map[string]string{"reason": cmd.Reason, "at": frenchTime(u.at)})
}

// mailOwners writes to the developers of an endpoint's definition, to whoever
// made it, to the contact that it names, and to the ops.
func (u *unit) mailOwners(ctx context.Context, e store.Endpoint, letter string, since time.Time, params map[string]string) error {
	params["endpoint"], params["url"], params["definition"] = fmt.Sprint(e.ID), bareURL(e.URL), u.ownerLabel(e)
	params["description"] = e.Description
	addresses := []string{u.settings.OpsAddress, e.Contact}
	if d, ok := u.catalogue.Definition(e.Definition); ok {
		developers, err := u.tx.Wanting(ctx, habilitation.RolesAllowing(habilitation.ManageSubscriptions, d.Provider, d.UID), d.UID, mailsOfWebhooks)
		if err != nil {
			return err
		}
		for _, p := range developers {
			addresses = append(addresses, p.Email)
		}
	}
	if id, ok := strings.CutPrefix(e.CreatedBy, "person:"); ok {
		maker, err := u.personByText(ctx, id)
		if err != nil {
			return err
		}
		addresses = append(addresses, maker)
	}
	for _, to := range uniqueAddresses(addresses...) {
		dedup := fmt.Sprintf("endpoint/%d/%d", e.ID, since.Unix())
		if err := u.mail(ctx, habilitation.Request{}, letter, to, dedup, params); err != nil {
			return err
		}
	}
	return nil
}

// mailsOfWebhooks is the kind of mail that a developer may switch off.
const mailsOfWebhooks = "webhooks"

func (u *unit) ownerLabel(e store.Endpoint) string {
	if e.Editor != "" {
		return e.Editor
	}
	return u.label(e.Definition)
}

func (u *unit) personByText(ctx context.Context, id string) (string, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return "", fmt.Errorf("the maker of an endpoint: %w", err)
	}
	p, err := u.tx.Person(ctx, n)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return p.Email, err
}

// bareURL is a URL without what may hold a credential.
func bareURL(raw string) string {
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		raw = raw[:i]
	}
	if scheme, rest, ok := strings.Cut(raw, "://"); ok {
		host, path, _ := strings.Cut(rest, "/")
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			host = host[i+1:]
		}
		return scheme + "://" + host + "/" + path
	}
	return raw
}

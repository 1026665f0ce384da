package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// ApplyInbound applies every stored event that waits for a mirrored request, in
// the order of its source. A late one is kept as history and changes nothing.
type ApplyInbound struct{ Key store.InboundKey }

func (cmd *ApplyInbound) apply(ctx context.Context, u *unit) error {
	id, err := u.tx.LockExternal(ctx, cmd.Key)
	if err != nil {
		return err
	}
	events, err := u.tx.WaitingInbound(ctx, cmd.Key)
	if err != nil || len(events) == 0 {
		return err
	}
	var current *habilitation.Request
	if id != 0 {
		r, err := u.tx.LockRequest(ctx, id)
		if err != nil {
			return err
		}
		current = &r
	}
	for _, e := range events {
		if current, err = u.applyEvent(ctx, current, e); err != nil {
			return &InboundError{e.ID, err}
		}
	}
	return nil
}

// InboundError: an incoming event could not be applied; nothing was, of its request.
type InboundError struct {
	ID  uuid.UUID
	Err error
}

func (e *InboundError) Error() string { return fmt.Sprintf("incoming event %s: %v", e.ID, e.Err) }

func (e *InboundError) Unwrap() error { return e.Err }

// ParkInbound sets aside an event that can never be applied as it is, so that
// those behind it are.
type ParkInbound struct {
	InboundID uuid.UUID
	Reason    string
}

func (cmd *ParkInbound) apply(ctx context.Context, u *unit) error {
	return u.tx.SettleInbound(ctx, cmd.InboundID, string(habilitation.Parked), cmd.Reason, 0, u.at)
}

// applyEvent applies one event and settles it. What cannot be read or is not
// known here is parked with its reason: people see it and have it taken up.
func (u *unit) applyEvent(ctx context.Context, current *habilitation.Request, e store.WaitingInbound) (*habilitation.Request, error) {
	u.actor, u.correlation = "source:"+e.Source, e.Correlation
	park := func(reason string) (*habilitation.Request, error) {
		return current, u.tx.SettleInbound(ctx, e.ID, string(habilitation.Parked), reason, requestID(current), u.at)
	}
	if fault := u.definitionFault(nil, e.Definition); fault != "" {
		return park(fault)
	}
	incoming, err := readRequest(e.Source, e.Definition, e.Body)
	if err != nil {
		return park(err.Error())
	}
	if incoming.ExternalID != e.ExternalID {
		return park("data.id et model_id ne désignent pas la même demande")
	}
	change, verdict := habilitation.Mirror(current, incoming, e.Event, e.FiredAt)
	detail := map[string]any{"inbound": e.ID, "outcome": verdict.Outcome}
	switch verdict.Outcome {
	case habilitation.Parked:
		u.doubt(change, incoming)
		return park(verdict.Reason)
	case habilitation.NoEffect, habilitation.Late:
		u.doubt(change, incoming)
		if current != nil {
			if err := u.writeEvents(ctx, current.ID, change.Events, detail); err != nil {
				return current, err
			}
			if change.Request.AppliedAt.After(current.AppliedAt) {
				if err := u.tx.TouchApplied(ctx, current.ID, change.Request.AppliedAt); err != nil {
					return current, err
				}
				current.AppliedAt = change.Request.AppliedAt
			}
		}
		return current, u.tx.SettleInbound(ctx, e.ID, string(verdict.Outcome), verdict.Reason, requestID(current), u.at)
	}
	saved, err := u.saveChange(ctx, &change, detail)
	if err != nil {
		return current, err
	}
	return &saved, u.tx.SettleInbound(ctx, e.ID, string(verdict.Outcome), "", saved.ID, u.at)
}

func requestID(r *habilitation.Request) int64 {
	if r == nil {
		return 0
	}
	return r.ID
}

// doubt has the source asked what is true, where a body cannot be all of it.
func (u *unit) doubt(change habilitation.Change, incoming habilitation.Request) {
	for _, consequence := range change.Consequences {
		if _, ok := consequence.(habilitation.ReadSource); ok {
			u.then(SourceDoubted{store.InboundKey{Source: incoming.Source, ExternalID: incoming.ExternalID}})
		}
	}
}

// saveChange writes what a body made of a mirrored request; detail goes with
// every line of its history.
func (u *unit) saveChange(ctx context.Context, change *habilitation.Change, detail map[string]any) (habilitation.Request, error) {
	ids, err := u.tx.ReserveHabilitationIDs(ctx, len(change.Created))
	if err != nil {
		return habilitation.Request{}, err
	}
	change.AssignIDs(ids)
	saved, err := u.tx.SaveMirrored(ctx, *change, u.at)
	if err != nil {
		return saved, err
	}
	if err := u.writeEvents(ctx, saved.ID, change.Events, detail); err != nil {
		return saved, err
	}
	if err := u.bindEditor(ctx, saved); err != nil {
		return saved, err
	}
	return saved, u.follow(ctx, saved, change.Consequences)
}

// writeEvents adds the lines of a change, or of an event that changed nothing.
func (u *unit) writeEvents(ctx context.Context, id int64, events []habilitation.Event, common map[string]any) error {
	for _, event := range events {
		detail := maps.Clone(common)
		detail["state"] = event.State
		if event.Inferred {
			detail["inferred"] = true
		}
		if len(event.Diff) > 0 {
			detail["diff"] = event.Diff
		}
		entityID := ""
		if event.Habilitation != 0 {
			entityID = fmt.Sprint(event.Habilitation)
		}
		line := store.Line{
			At: event.At, Actor: u.actor, Event: string(event.Name), EntityType: string(event.Entity), EntityID: entityID,
			Reason: event.Reason, Detail: detail, Correlation: u.correlation,
		}
		if err := u.tx.AppendHistory(ctx, id, line); err != nil {
			return err
		}
	}
	return nil
}

// follow turns the consequences of a change into credentials, revocations and
// what is queued for them.
func (u *unit) follow(ctx context.Context, req habilitation.Request, consequences []habilitation.Consequence) error {
	for _, consequence := range consequences {
		var err error
		switch c := consequence.(type) {
		case habilitation.IssueCredentials:
			err = errors.Join(u.issue(ctx, req, c.Grant), u.receive(ctx, req, c.Grant))
		case habilitation.UpdateGrants:
			err = errors.Join(u.updateGrants(ctx, req, c.Grant), u.receive(ctx, req, c.Grant))
		case habilitation.RevokeCredentials:
			err = errors.Join(u.revokeAll(ctx, req, c.Definition, "habilitation révoquée"), u.endRightOf(ctx, req, c.Definition, "habilitation révoquée"))
		case habilitation.ApplyArchivePolicy:
			err = errors.Join(u.archive(ctx, req), u.endRight(ctx, req, "demande archivée"))
		case habilitation.CancelPendingHandovers:
			err = errors.Join(u.cancelHandovers(ctx, req), u.moved(ctx, req))
		case habilitation.CancelPendingWork:
			err = u.cancelPending(ctx, req)
		case habilitation.NotifyWebhooks:
			err = u.notifyWebhooks(ctx, req, c)
		case habilitation.SendMail:
			err = u.sendMail(ctx, req, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// issue opens access for a definition, with the token id that the source was
// answered. Where the modalities leave out calls by parameters, DataPass's own
// receivers make no key either (datapass.md, 2.11).
func (u *unit) issue(ctx context.Context, req habilitation.Request, g habilitation.Grant) error {
	if len(g.Modalities) > 0 && g.Definition == "api_particulier" && !contains(g.Modalities, "params") {
		return nil
	}
	if _, managed := u.policies.Policy(g.Definition); g.Definition == definitionQF && !managed {
		return nil // what it opens is HubEE (2.11), unless the settings name a manager too
	}
	tokenID := uuid.Nil
	if req.Origin == habilitation.Mirrored {
		var err error
		tokenID, err = u.tx.ReserveToken(ctx, store.InboundKey{Source: req.Source, ExternalID: req.ExternalID}, g.Definition, u.at)
		if err != nil {
			return err
		}
	}
	return u.issueFor(ctx, req, g, tokenID)
}

// updateGrants gives the live credentials of a definition their new rights; a
// definition that has none left (or never had) gets new ones.
func (u *unit) updateGrants(ctx context.Context, req habilitation.Request, g habilitation.Grant) error {
	list, err := u.tx.Credentials(ctx, req.ID)
	if err != nil {
		return err
	}
	alive := false
	for _, c := range list {
		state := habilitation.CredentialState(c.State)
		if c.Definition != g.Definition || state.Final() || state.Revoking() {
			continue
		}
		alive = true
		c.HabilitationID = &g.Habilitation
		before := c.Scopes
		if !sameScopes(c.Scopes, g.Scopes) {
			// Before "issuing" nothing was told to the manager; from then on it may hold the old ones.
			told := state != habilitation.CredentialRequested && state != habilitation.CredentialPrepared
			c.Scopes, c.GrantsPending = g.Scopes, told
			if c.Manager != "" {
				u.then(ProvisioningRequested{c.ID, c.Manager})
			}
		}
		if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
			return err
		}
		if !sameScopes(before, c.Scopes) {
			if err := u.reissue(ctx, req, c, before); err != nil {
				return err
			}
		}
	}
	if !alive {
		return u.issue(ctx, req, g)
	}
	return nil
}

// revokeAll ends every credential of a definition, "" for all.
func (u *unit) revokeAll(ctx context.Context, req habilitation.Request, definition, reason string) error {
	list, err := u.tx.Credentials(ctx, req.ID)
	if err != nil {
		return err
	}
	for _, c := range list {
		if definition != "" && c.Definition != definition {
			continue
		}
		if err := u.revoke(ctx, req, c, reason); err != nil {
			return err
		}
	}
	return nil
}

// archive applies each API's policy (tokens.md, 3): keep, or revoke after a notice.
func (u *unit) archive(ctx context.Context, req habilitation.Request) error {
	list, err := u.tx.Credentials(ctx, req.ID)
	if err != nil {
		return err
	}
	for _, c := range list {
		policy, known := u.policies.Policy(c.Definition)
		if state := habilitation.CredentialState(c.State); !known || state.Final() || state.Revoking() {
			continue
		}
		if err := u.archiveKey(ctx, req, c, policy); err != nil {
			return err
		}
	}
	return nil
}

// archiveKey announces what becomes of a key whose request is archived: it is
// never left alive, nor ended, without its people being told.
func (u *unit) archiveKey(ctx context.Context, req habilitation.Request, c store.Credential, policy Policy) error {
	event, detail := "token.archive_kept", map[string]any(nil)
	params := map[string]string{"definition": u.label(c.Definition), "organization": req.Organization.Name, "end": "", "until": ""}
	if c.ExpiresAt != nil {
		params["until"] = frenchTime(*c.ExpiresAt)
	}
	if policy.ArchiveRevoke {
		at := u.at.Add(policy.ArchiveNotice)
		u.then(ArchiveEnds{CredentialID: c.ID, Manager: c.Manager, At: at})
		event, detail, params["end"] = "token.archive_notice", map[string]any{"at": at}, frenchTime(at)
	}
	if err := u.write(ctx, req.ID, event, "credential", c.ID.String(), "", detail); err != nil {
		return err
	}
	if err := u.publish(ctx, req, c, event, detail); err != nil {
		return err
	}
	return u.mailContacts(ctx, req, LetterKeyArchived, fmt.Sprintf("archived/%s/%d", c.ID, u.at.Unix()), params)
}

// RevokeArchived ends a credential whose request is still archived when its
// notice is over.
type RevokeArchived struct{ CredentialID uuid.UUID }

func (cmd *RevokeArchived) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil || req.State != habilitation.Archived {
		return err
	}
	ends, err := u.tx.ArchiveNoticeEnds(ctx, req.ID, c.ID)
	if err != nil {
		return err
	}
	if ends.After(u.at) { // archived again since: that notice counts
		u.then(ArchiveEnds{CredentialID: c.ID, Manager: c.Manager, At: ends})
		return nil
	}
	return u.revoke(ctx, req, c, "demande archivée")
}

func (u *unit) cancelHandovers(ctx context.Context, req habilitation.Request) error {
	list, err := u.tx.Credentials(ctx, req.ID)
	if err != nil {
		return err
	}
	for _, c := range list {
		if err := u.tx.CancelLinks(ctx, c.ID, u.at); err != nil {
			return err
		}
	}
	return nil
}

// cancelPending ends what a refused first request had begun. An earlier stage's
// habilitation stays, and so does its key, made or being made.
func (u *unit) cancelPending(ctx context.Context, req habilitation.Request) error {
	list, err := u.tx.Credentials(ctx, req.ID)
	if err != nil {
		return err
	}
	for _, c := range list {
		held := slices.ContainsFunc(req.Habilitations, func(h habilitation.Habilitation) bool {
			return h.ID == valueOf(c.HabilitationID) && h.State == habilitation.GrantActive
		})
		if !held && habilitation.CredentialState(c.State).Provisioning() {
			if err := u.revoke(ctx, req, c, "demande refusée"); err != nil {
				return err
			}
		}
	}
	return nil
}

package registry

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Why a replay is refused.
const (
	RefusedEndpointDisabled habilitation.RefusalCode = "endpoint_disabled"
	RefusedMessageUnknown   habilitation.RefusalCode = "message_unknown"
	RefusedMessagePurged    habilitation.RefusalCode = "message_purged"
	RefusedReplaySince      habilitation.RefusalCode = "replay_since"
	RefusedTooManyReplays   habilitation.RefusalCode = "too_many_replays"
	RefusedReplayOver       habilitation.RefusalCode = "replay_over"
)

// ReasonReplayCancelled is why a message is given up that a replay had tried in vain.
const ReasonReplayCancelled = "rejeu annulé après un échec"

const (
	// replayAhead is how far ahead of time a replay is queued, which is also the
	// most that can go at once after an endpoint has rested. Steps are more
	// frequent (jobs: the sweep).
	replayAhead = 10 * time.Second
	// replayStep bounds what one step reads and queues.
	replayStep = 5000
	// replaySettled is how old an event must be before a replay passes it by: one
	// that is being written now could become visible behind the cursor.
	replaySettled = 10 * time.Second
	// maxOpenReplays of one endpoint, those of single messages aside.
	maxOpenReplays = 10
)

// ReplayDue: an endpoint's replays are to be carried on.
type ReplayDue struct{ EndpointID int64 }

func (ReplayDue) followup() {}

// StartReplay has an endpoint sent again what it was, or would have been, told
// of, under the same ids, behind what is owed to it. The same replay asked for
// twice is one, while it is not over.
type StartReplay struct {
	EndpointID int64
	Scope      string    // store.ReplayMessage, ReplayFailed or ReplayAll
	EventID    uuid.UUID // of a message
	Since      time.Time // of the others

	Replay store.ListedReplay // result
	Known  bool               // result: it was under way already
}

func (cmd *StartReplay) apply(ctx context.Context, u *unit) error {
	if err := u.tx.LockEndpoint(ctx, cmd.EndpointID); err != nil {
		return err
	}
	e, err := u.tx.Endpoint(ctx, cmd.EndpointID)
	if err != nil {
		return err
	}
	if !e.Enabled {
		return &habilitation.Refusal{Code: RefusedEndpointDisabled, Message: "Ce point d’accès est désactivé : activez-le, puis demandez le rejeu."}
	}
	open, err := u.tx.OpenReplays(ctx, e.ID)
	if err != nil {
		return err
	}
	for _, r := range open {
		if r.Scope == cmd.Scope && r.EventID == cmd.EventID && r.Since.Equal(cmd.Since) {
			cmd.Known = true
			cmd.Replay, err = u.tx.Replay(ctx, e.ID, r.ID)
			return err
		}
	}
	n := store.NewReplay{
		ID: store.EventID(u.at), EndpointID: e.ID, Scope: cmd.Scope, EventID: cmd.EventID, Since: cmd.Since, CreatedBy: u.actor, At: u.at,
		To: store.FirstEventID(u.at.Add(time.Millisecond)),
	}
	if cmd.Scope == store.ReplayMessage {
		err = u.checkMessage(ctx, e, cmd.EventID)
	} else {
		if cmd.Since.After(u.at) {
			return &habilitation.Refusal{Code: RefusedReplaySince, Pointer: "/since", Message: "Cette date est à venir."}
		}
		bulk := slices.DeleteFunc(open, func(r store.OpenReplay) bool { return r.Scope == store.ReplayMessage })
		if len(bulk) >= maxOpenReplays {
			return &habilitation.Refusal{Code: RefusedTooManyReplays, Message: "Trop de rejeux sont en cours pour ce point d’accès : attendez-en la fin, ou annulez-en un."}
		}
		n.From = store.FirstEventID(cmd.Since)
		if cmd.Scope == store.ReplayAll {
			n.Past, n.From, err = u.tx.PastReplay(ctx, e, n.From, n.To)
		}
	}
	if err != nil {
		return err
	}
	if err := u.tx.InsertReplay(ctx, n); err != nil {
		return err
	}
	if err := u.carryOn(ctx, e, append(open, store.OpenReplay{
		ID: n.ID, Scope: n.Scope, EventID: n.EventID, Since: n.Since, State: store.ReplayReading, Cursor: n.From, Last: n.To, CreatedAt: n.At,
	})); err != nil {
		return err
	}
	cmd.Replay, err = u.tx.Replay(ctx, e.ID, n.ID)
	return err
}

// checkMessage lets an endpoint be sent again only what it is, or was, told of.
func (u *unit) checkMessage(ctx context.Context, e store.Endpoint, id uuid.UUID) error {
	told, err := u.tx.ToldTo(ctx, e.ID, id)
	if err != nil {
		return err
	}
	if !told {
		return &habilitation.Refusal{Code: RefusedMessageUnknown, Pointer: "/message_id", Message: "Ce point d’accès n’a pas de message de cet identifiant."}
	}
	kept, err := u.tx.BodyKept(ctx, id)
	if err == nil && !kept {
		return &habilitation.Refusal{Code: RefusedMessagePurged, Pointer: "/message_id", Message: "Le corps de ce message n’est plus conservé."}
	}
	return err
}

// CarryReplaysOn queues the next messages of an endpoint's replays, and ends
// those that are over. It is safe to repeat, and to do twice at once.
type CarryReplaysOn struct{ EndpointID int64 }

func (cmd *CarryReplaysOn) apply(ctx context.Context, u *unit) error {
	if err := u.tx.LockEndpoint(ctx, cmd.EndpointID); err != nil {
		return err
	}
	e, err := u.tx.Endpoint(ctx, cmd.EndpointID)
	if err != nil || !e.Enabled {
		return err
	}
	open, err := u.tx.OpenReplays(ctx, e.ID)
	if err != nil {
		return err
	}
	return u.carryOn(ctx, e, open)
}

// carryOn makes one step: single messages at once, of the others the oldest only,
// at the hub's rate or the endpoint's, whichever is lower.
func (u *unit) carryOn(ctx context.Context, e store.Endpoint, open []store.OpenReplay) error {
	read := false // one of several messages was read
	for _, r := range open {
		var err error
		switch {
		case r.State == store.ReplaySending:
			err = u.finishReplay(ctx, r)
		case r.Scope == store.ReplayMessage:
			err = u.replayMessage(ctx, e, r)
		case !read:
			read = true
			err = u.readOn(ctx, e, r)
		}
		if err != nil {
			return err
		}
	}
	u.then(EventPublished{Endpoints: []int64{e.ID}})
	return nil
}

func (u *unit) finishReplay(ctx context.Context, r store.OpenReplay) error {
	waits, err := u.tx.ReplayWaits(ctx, r.ID)
	if err != nil || waits {
		return err
	}
	return u.tx.FinishReplay(ctx, r.ID, store.ReplayDone, 0, u.at)
}

func (u *unit) replayMessage(ctx context.Context, e store.Endpoint, r store.OpenReplay) error {
	if _, err := u.tx.HastenDelivery(ctx, e.ID, r.EventID, u.at); err != nil {
		return err
	}
	p, err := u.tx.QueueReplay(ctx, store.ReplayStep{Replay: r, Endpoint: e, UpTo: r.Last, N: 1, Base: u.at, Rate: 1, Now: u.at})
	if err != nil {
		return err
	}
	p.PacedUntil = u.at // takes no part in the pace of the others
	return u.tx.MoveReplay(ctx, r.ID, store.ReplaySending, p)
}

func (u *unit) readOn(ctx context.Context, e store.Endpoint, r store.OpenReplay) error {
	rate := u.settings.ReplayRate
	if e.Rate > 0 {
		rate = min(rate, e.Rate)
	}
	window := max(1, int(rate*replayAhead.Seconds()))
	paced, untried, err := u.tx.ReplayPace(ctx, e.ID, window)
	if err != nil {
		return err
	}
	base := u.at
	if paced.After(base) {
		base = paced
	}
	room := int(u.at.Add(replayAhead).Sub(base).Seconds() * rate)
	if room < 1 && !base.After(u.at) {
		room = 1
	}
	room = min(room, window-untried, replayStep)
	if room < 1 {
		return nil
	}
	upTo, whole := r.Last, true
	if settled := store.FirstEventID(u.at.Add(-replaySettled)); string(settled[:]) < string(upTo[:]) {
		upTo, whole = settled, false
	}
	p, err := u.tx.QueueReplay(ctx, store.ReplayStep{Replay: r, Endpoint: e, UpTo: upTo, N: room, Base: base, Rate: rate, Now: u.at})
	if err != nil {
		return err
	}
	state := store.ReplayReading
	if whole && p.Read < room {
		state = store.ReplaySending
	}
	return u.tx.MoveReplay(ctx, r.ID, state, p)
}

// CancelReplay ends a replay. What it queued is taken back, but for what is being
// sent right now.
type CancelReplay struct {
	EndpointID int64
	ID         uuid.UUID

	Replay store.ListedReplay // result
}

func (cmd *CancelReplay) apply(ctx context.Context, u *unit) error {
	// In the order of CarryReplaysOn: it holds the endpoint first.
	if err := u.tx.LockEndpoint(ctx, cmd.EndpointID); err != nil {
		return err
	}
	state, err := u.tx.LockReplay(ctx, cmd.EndpointID, cmd.ID)
	if err != nil {
		return err
	}
	switch state {
	case store.ReplayDone:
		return &habilitation.Refusal{Code: RefusedReplayOver, Message: "Ce rejeu est terminé."}
	case store.ReplayCancelled:
	default:
		withdrawn, err := u.tx.WithdrawReplay(ctx, cmd.ID, ReasonReplayCancelled, u.at)
		if err != nil {
			return err
		}
		if err := u.tx.FinishReplay(ctx, cmd.ID, store.ReplayCancelled, withdrawn, u.at); err != nil {
			return err
		}
	}
	cmd.Replay, err = u.tx.Replay(ctx, cmd.EndpointID, cmd.ID)
	return err
}

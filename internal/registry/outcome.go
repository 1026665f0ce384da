package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// MailRelay is the partner under whose name the relay is paused and resumed.
const MailRelay = "mail"

// MailOutcome records what came of handing a mail to the relay.
type MailOutcome struct {
	MailID uuid.UUID
	Err    error // nil: accepted
}

func (cmd *MailOutcome) apply(ctx context.Context, u *unit) error {
	state, status, detail, sentAt := "sent", 250, "", u.at
	if cmd.Err != nil {
		state, status, detail, sentAt = "queued", 0, "", time.Time{}
		var e *connectors.Error
		if errors.As(cmd.Err, &e) {
			status, detail = e.Status, e.Detail
		}
		if connectors.Is(cmd.Err, connectors.Rejected) {
			state = "refused"
		}
	}
	if err := u.tx.SettleMail(ctx, cmd.MailID, state, status, detail, sentAt); err != nil {
		return err
	}
	if state == "queued" {
		return nil
	}
	return u.partnerAnswered(ctx, MailRelay)
}

// MailBounced records that a mail came back. store.ErrNotFound when no such mail is out.
type MailBounced struct {
	MailID uuid.UUID
	Detail string // status and the relay's words, without the address
}

func (cmd *MailBounced) apply(ctx context.Context, u *unit) error {
	known, err := u.tx.BounceMail(ctx, cmd.MailID, cmd.Detail)
	if err == nil && !known {
		return store.ErrNotFound
	}
	return err
}

// UnknownPartnerError: an operator named a partner that this hub lacks.
type UnknownPartnerError struct {
	Name  string
	Known []string
}

func (e *UnknownPartnerError) Error() string {
	return fmt.Sprintf("no partner %q: there are %s", e.Name, strings.Join(e.Known, ", "))
}

// PausePartner stops sending to a partner for a time. An operator's is refused
// with an UnknownPartnerError for a name that this hub lacks.
type PausePartner struct {
	Name   string
	For    time.Duration
	By     string // an operator's name; "" when the hub decides
	Class  connectors.Class
	Reason string
}

func (cmd *PausePartner) apply(ctx context.Context, u *unit) error {
	by := cmd.By
	switch {
	case by == "":
		by = "hub"
	case u.settings.Partners != nil:
		if known := u.settings.Partners(); !slices.Contains(known, cmd.Name) {
			return &UnknownPartnerError{cmd.Name, known}
		}
	}
	return u.pausePartner(ctx, cmd.Name, cmd.For, by, cmd.Class, cmd.Reason)
}

func (u *unit) pausePartner(ctx context.Context, name string, rest time.Duration, by string, class connectors.Class, reason string) error {
	paused, err := u.tx.PausePartner(ctx, name, u.at.Add(rest), by, class, reason)
	if err == nil && paused {
		u.then(PartnerPaused{name})
	}
	return err
}

// settingsPause is who pauses a partner whose connector says "paused: true".
const settingsPause = "passerelle.yml"

// PausedBySettings shows what the settings say of a partner, and ends the pause
// of settings that no longer say so. What operators and the hub paused stays.
type PausedBySettings struct {
	Name   string
	Paused bool
}

func (cmd *PausedBySettings) apply(ctx context.Context, u *unit) error {
	if cmd.Paused {
		return u.pausePartner(ctx, cmd.Name, 10*365*24*time.Hour, settingsPause, "", "mis en pause par les réglages (paused: true)")
	}
	p, err := u.tx.Partner(ctx, cmd.Name)
	if err != nil || p.PausedBy != settingsPause {
		return err
	}
	if err := u.tx.ResumePartner(ctx, cmd.Name); err != nil {
		return err
	}
	u.then(PartnerResumed{cmd.Name})
	return nil
}

// PartnerFailed counts a failure in a row; from PauseAfter on the partner rests
// for Wait(failures) before it is probed.
type PartnerFailed struct {
	Name       string
	Class      connectors.Class
	Reason     string
	PauseAfter int
	Wait       func(failures int) time.Duration
}

func (cmd *PartnerFailed) apply(ctx context.Context, u *unit) error {
	failures, err := u.tx.PartnerFailed(ctx, cmd.Name, cmd.Class, cmd.Reason)
	if err != nil || failures < cmd.PauseAfter {
		return err
	}
	return u.pausePartner(ctx, cmd.Name, cmd.Wait(failures), "hub", cmd.Class, cmd.Reason)
}

// PartnerAnswered: a probe or a piece of work shows that the partner answers.
// What the hub paused goes on; what an operator paused waits for her.
type PartnerAnswered struct{ Name string }

func (cmd *PartnerAnswered) apply(ctx context.Context, u *unit) error {
	return u.partnerAnswered(ctx, cmd.Name)
}

func (u *unit) partnerAnswered(ctx context.Context, name string) error {
	wasPaused, err := u.tx.PartnerOK(ctx, name)
	if err == nil && wasPaused {
		u.then(PartnerResumed{name})
	}
	return err
}

// ResumePartner: an operator ends a pause, whoever made it.
type ResumePartner struct{ Name string }

func (cmd *ResumePartner) apply(ctx context.Context, u *unit) error {
	if err := u.tx.ResumePartner(ctx, cmd.Name); err != nil {
		return err
	}
	u.then(PartnerResumed{cmd.Name})
	return nil
}

// TakeUp puts a parked incoming event back in line, once its cause is mended.
type TakeUp struct{ InboundID uuid.UUID }

func (cmd *TakeUp) apply(ctx context.Context, u *unit) error {
	key, err := u.tx.TakeUpInbound(ctx, cmd.InboundID)
	if err != nil {
		return err
	}
	u.then(InboundStored{[]store.InboundKey{key}})
	return nil
}

// Wake queues again what a lost wake-up or a job given up left behind.
type Wake struct {
	Inbound     []store.InboundKey
	Credentials []store.AbandonedCredential
	Mails       []uuid.UUID
	Replaying   []int64 // endpoints
	Folders     []uuid.UUID
	Rights      []int64 // requests whose receiver is not set up
}

func (cmd *Wake) apply(_ context.Context, u *unit) error { //nolint:unparam // a Command
	if len(cmd.Inbound) > 0 {
		u.then(InboundStored{cmd.Inbound})
	}
	for _, c := range cmd.Credentials {
		switch {
		case c.Ending:
			u.then(EndDue{c.ID, c.Manager, u.at})
		case c.Revoking:
			u.then(RevocationRequested{c.ID, c.Manager})
		default:
			u.then(ProvisioningRequested{c.ID, c.Manager})
		}
	}
	for _, id := range cmd.Mails {
		u.then(MailQueued{id})
	}
	for _, id := range cmd.Replaying {
		u.then(ReplayDue{id})
	}
	for _, id := range cmd.Folders {
		u.then(FolderDue{FolderID: id})
	}
	for _, id := range cmd.Rights {
		u.then(ReceiverGranted{id})
	}
	return nil
}

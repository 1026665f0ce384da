package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// FolderProcess is the process code under which families' folders go to communes
// (hubee.md, 1).
const FolderProcess = "FormulaireQF"

// definitionQF and modalityQF give the right to receive folders (datapass.md, 2.11):
// the definition of its own, or API Particulier with that modality.
const (
	definitionQF     = "formulaire_qf"
	definitionFamily = "api_particulier"
	modalityQF       = "formulaire_qf"
)

// ReceiverGranted: a request gave its organization the right to receive folders;
// HubEE must know.
type ReceiverGranted struct{ RequestID int64 }

func (ReceiverGranted) followup() {}

func receives(g habilitation.Grant) bool {
	return g.Definition == definitionQF || g.Definition == definitionFamily && slices.Contains(g.Modalities, modalityQF)
}

// receive follows a grant: it gives, changes or ends the right to receive folders.
func (u *unit) receive(ctx context.Context, req habilitation.Request, g habilitation.Grant) error {
	if !receives(g) {
		if g.Definition != definitionQF && g.Definition != definitionFamily {
			return nil
		}
		return u.endRight(ctx, req, "l’habilitation ne couvre plus le formulaire QF")
	}
	editor, siret := editorOf(req)
	err := u.tx.PutRight(ctx, store.ReceiverRight{
		RequestID: req.ID, Process: FolderProcess, HabilitationID: g.Habilitation, Definition: g.Definition, Scopes: nonNil(g.Scopes),
		EditorID: editor, EditorSiret: siret, GrantedAt: u.at,
	})
	if err != nil {
		return err
	}
	u.then(ReceiverGranted{req.ID})
	return nil
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// moved follows a transfer: a right belongs to the organization that had it.
func (u *unit) moved(ctx context.Context, req habilitation.Request) error {
	right, ok, err := u.tx.LockRight(ctx, req.ID)
	if err != nil || !ok || right.ReceiverID == nil || right.EndedAt != nil {
		return err
	}
	receiver, err := u.tx.LockReceiver(ctx, *right.ReceiverID)
	if err != nil || receiver.Siret == req.Organization.SIRET {
		return err
	}
	return u.endRight(ctx, req, "demande transférée à une autre organisation")
}

// endRightOf is endRight when the definition is the one that gave it.
func (u *unit) endRightOf(ctx context.Context, req habilitation.Request, definition, reason string) error {
	if definition != definitionQF && definition != definitionFamily {
		return nil
	}
	return u.endRight(ctx, req, reason)
}

// endRight ends what a request gave; a receiver without any other right is
// suspended in the same transaction.
func (u *unit) endRight(ctx context.Context, req habilitation.Request, reason string) error {
	right, ok, err := u.tx.LockRight(ctx, req.ID)
	if err != nil || !ok || right.EndedAt != nil {
		return err
	}
	if _, err := u.tx.EndRight(ctx, req.ID, reason, u.at); err != nil {
		return err
	}
	if right.ReceiverID == nil {
		return nil
	}
	receiver, err := u.tx.LockReceiver(ctx, *right.ReceiverID)
	if err != nil {
		return err
	}
	others, err := u.tx.RightsOf(ctx, receiver.ID)
	if err != nil || len(others) > 0 {
		return err
	}
	if err := u.suspend(ctx, receiver, reason); err != nil {
		return err
	}
	return u.write(ctx, req.ID, "receiver.suspended", "receiver", fmt.Sprint(receiver.ID), reason, nil)
}

func (u *unit) suspend(ctx context.Context, r store.Receiver, reason string) error {
	r.State, r.SuspendedReason = store.ReceiverSuspended, reason
	return u.tx.SaveReceiver(ctx, r, u.at)
}

// LocateReceiver ties a request's right to the organization at HubEE.
type LocateReceiver struct {
	RequestID  int64
	Ref        connectors.OrganizationRef
	Name       string
	PostalCode string
	Place      string // the commune's name; "" where INSEE did not say
	Category   string // INSEE's legal category, "7361" for a CCAS; "" where it did not say

	Receiver store.Receiver // result
}

func (cmd *LocateReceiver) apply(ctx context.Context, u *unit) error {
	right, ok, err := u.tx.LockRight(ctx, cmd.RequestID)
	if err != nil {
		return err
	}
	if !ok || right.EndedAt != nil {
		return &StateError{"right", "ended"}
	}
	cmd.Receiver, err = u.tx.UpsertReceiver(ctx, right.Process, cmd.Ref, cmd.Name, cmd.PostalCode, u.at)
	if err != nil {
		return err
	}
	if err := u.tx.SetReceiverPlace(ctx, cmd.Receiver.ID, cmd.Place, cmd.Category, u.at); err != nil {
		return err
	}
	if right.ReceiverID != nil && *right.ReceiverID == cmd.Receiver.ID {
		return nil
	}
	if err := u.tx.SetRightReceiver(ctx, cmd.RequestID, cmd.Receiver.ID); err != nil {
		return err
	}
	return u.write(ctx, cmd.RequestID, "receiver.approved", "receiver", fmt.Sprint(cmd.Receiver.ID), "", map[string]any{"siret": cmd.Ref.SIRET, "cog": cmd.Ref.Branch})
}

// ReceiverWaits records why the set-up of a request's receiver does not go on,
// in words for the people who can mend it. The history tells it once.
type ReceiverWaits struct {
	RequestID int64
	Problem   string
}

func (cmd *ReceiverWaits) apply(ctx context.Context, u *unit) error {
	right, ok, err := u.tx.LockRight(ctx, cmd.RequestID)
	if err != nil || !ok || right.EndedAt != nil || right.Problem == cmd.Problem {
		return err
	}
	if err := u.tx.SaveRightProblem(ctx, cmd.RequestID, cmd.Problem, u.at); err != nil {
		return err
	}
	return u.write(ctx, cmd.RequestID, "receiver.waits", "receiver", "", cmd.Problem, nil)
}

// ReceiverSubscribed records that HubEE holds a request's organization and its
// subscription.
type ReceiverSubscribed struct {
	RequestID    int64
	Subscription connectors.Subscription
}

func (cmd *ReceiverSubscribed) apply(ctx context.Context, u *unit) error {
	right, ok, err := u.tx.LockRight(ctx, cmd.RequestID)
	if err != nil {
		return err
	}
	if !ok || right.EndedAt != nil || right.ReceiverID == nil {
		return &StateError{"right", "ended"}
	}
	if err := u.tx.RightDone(ctx, cmd.RequestID, u.at); err != nil {
		return err
	}
	return u.observe(ctx, *right.ReceiverID, cmd.Subscription)
}

// ObserveSubscription records what HubEE says of a receiver's subscription.
type ObserveSubscription struct {
	ReceiverID   int64
	Subscription connectors.Subscription
}

func (cmd *ObserveSubscription) apply(ctx context.Context, u *unit) error {
	return u.observe(ctx, cmd.ReceiverID, cmd.Subscription)
}

// observe follows a subscription through its states (hubee.md, 11). A receiver
// without a right stays suspended, whatever HubEE says.
func (u *unit) observe(ctx context.Context, id int64, s connectors.Subscription) error {
	r, err := u.tx.LockReceiver(ctx, id)
	if err != nil {
		return err
	}
	rights, err := u.tx.RightsOf(ctx, id)
	if err != nil || len(rights) == 0 {
		return err
	}
	before := r
	r.SubscriptionID, r.Delegate, r.SuspendedReason = s.ID, s.Delegate, ""
	r.SubscribedAt = first(r.SubscribedAt, &u.at)
	switch {
	case s.Active() && s.Delegate != "":
		r.State, r.ActivatedAt, r.DelegatedAt = store.ReceiverDelegated, first(r.ActivatedAt, &u.at), first(r.DelegatedAt, &u.at)
	case s.Active():
		r.State, r.ActivatedAt = store.ReceiverActive, first(r.ActivatedAt, &u.at)
	case s.Status == "Inactif":
		r.State = store.ReceiverInactive
	default:
		r.State, r.SuspendedReason = store.ReceiverSuspended, "abonnement HubEE : "+s.Status
	}
	if r.State == before.State && r.Delegate == before.Delegate && r.SubscriptionID == before.SubscriptionID && r.SuspendedReason == before.SuspendedReason {
		return nil
	}
	if err := u.tx.SaveReceiver(ctx, r, u.at); err != nil {
		return err
	}
	for _, right := range rights {
		detail := map[string]any{"state": r.State, "subscription": s.ID}
		if err := u.write(ctx, right.RequestID, "receiver."+r.State, "receiver", fmt.Sprint(id), r.SuspendedReason, detail); err != nil {
			return err
		}
	}
	if r.Delegate == before.Delegate {
		return nil
	}
	return u.tell(ctx, Happening{
		Type: "delegation.changed", Definition: rights[0].Definition, Editor: rights[0].EditorID, EditorSIRET: rights[0].EditorSiret, Request: rights[0].RequestID,
		Data: map[string]any{
			"request_id": rights[0].RequestID, "definition_id": rights[0].Definition, "siret": r.Siret, "cog": r.Cog,
			"state": r.State, "delegated": r.Delegate != "",
		},
	})
}

// ReceiverRefused records that HubEE does not take folders for a receiver: it is
// suspended, and the people who run the hub are told.
type ReceiverRefused struct {
	ReceiverID int64
	FolderID   uuid.UUID
	Err        error // connectors.ErrNotSubscribed or connectors.ErrUnknownRecipient
}

func (cmd *ReceiverRefused) apply(ctx context.Context, u *unit) error {
	r, err := u.tx.LockReceiver(ctx, cmd.ReceiverID)
	if err != nil {
		return err
	}
	reason := "HubEE ne trouve pas d’abonnement actif"
	if errors.Is(cmd.Err, connectors.ErrUnknownRecipient) {
		reason = "HubEE ne connaît pas l’organisation"
	}
	if err := u.folderProblem(ctx, cmd.FolderID, reason); err != nil {
		return err
	}
	if r.State == store.ReceiverSuspended {
		return nil
	}
	if err := u.suspend(ctx, r, reason); err != nil {
		return err
	}
	return u.alert(ctx, fmt.Sprintf("receiver/%d/%d", r.ID, u.at.Unix()), fmt.Sprintf("%s (%s) ne reçoit plus", r.Name, store.ReceiverRef(r)), reason,
		"Les dossiers qui attendent partiront d’eux-mêmes dès que l’abonnement sera actif chez HubEE.")
}

// SetReceiverWishes records what a receiver wants beside the three files.
type SetReceiverWishes struct {
	ReceiverID    int64
	Signature     bool
	IdentityAlone bool
}

func (cmd *SetReceiverWishes) apply(ctx context.Context, u *unit) error {
	if _, err := u.tx.LockReceiver(ctx, cmd.ReceiverID); err != nil {
		return err
	}
	return u.tx.SaveReceiverWishes(ctx, cmd.ReceiverID, cmd.Signature, cmd.IdentityAlone, u.at)
}

// alert mails the people who run the hub; the same key says it once.
func (u *unit) alert(ctx context.Context, key, what, why, advice string) error {
	return u.mail(ctx, habilitation.Request{}, "alerte", u.settings.OpsAddress, key, map[string]string{
		"what": what, "why": why, "advice": advice, "at": frenchTime(u.at),
	})
}

func first[T any](known, now *T) *T {
	if known != nil {
		return known
	}
	return now
}

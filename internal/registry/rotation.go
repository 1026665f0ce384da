package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// LetterKeyReplaced tells the contacts of a rotation, by the name of its template.
const LetterKeyReplaced = "cle_remplacee"

// MaxGrace bounds the overlap of a rotation: two live keys are twice the risk.
const MaxGrace = 90 * 24 * time.Hour

// RotationPlan says, before a rotation, what its manager will make of it.
type RotationPlan struct {
	Overlap connectors.Overlap `json:"overlap"`
	// Grace is what the old key keeps at the most; of OverlapFixed the manager
	// says how much only when it is done.
	Grace time.Duration `json:"grace"`
	// ChoosesSecret: the manager makes the value; a lost answer is another value.
	ChoosesSecret bool `json:"chooses_secret"`
	// HandsOver: the manager's people give the new key to its holder themselves.
	HandsOver bool `json:"hands_over"`
}

// PlanRotation gives what a manager of these capabilities makes of a grace.
func PlanRotation(can connectors.Capabilities, grace time.Duration) RotationPlan {
	plan := RotationPlan{Overlap: connectors.OverlapUntil, Grace: grace, ChoosesSecret: !can.CallerSecret, HandsOver: can.HandsOver}
	switch {
	case grace <= 0 || can.Grace == connectors.GraceNone || can.Grace == "":
		plan.Overlap, plan.Grace = connectors.OverlapNone, 0
	case can.Grace == connectors.GraceFixed:
		plan.Overlap = connectors.OverlapFixed
	}
	return plan
}

// PlanRotation says what a rotation of a credential would do. *StateError when
// there can be none now.
func (r *Registry) PlanRotation(ctx context.Context, id uuid.UUID, grace time.Duration) (RotationPlan, error) {
	c, err := r.store.Credential(ctx, id)
	if err != nil {
		return RotationPlan{}, err
	}
	if err := move(&c, habilitation.CredentialRotate); err != nil {
		return RotationPlan{}, err
	}
	can, err := r.capabilities(c)
	return PlanRotation(can, grace), err
}

// CapabilitiesOf gives those of a connector instance, false for one that this hub lacks.
func (r *Registry) CapabilitiesOf(manager string) (connectors.Capabilities, bool) {
	if r.settings.Capabilities == nil {
		return connectors.Capabilities{}, false
	}
	return r.settings.Capabilities(manager)
}

func (r *Registry) capabilities(c store.Credential) (connectors.Capabilities, error) {
	if can, ok := r.CapabilitiesOf(c.Manager); ok {
		return can, nil
	}
	return connectors.Capabilities{}, fmt.Errorf("credential %s is at connector %q, which this hub lacks", c.Ref, c.Manager)
}

// NoOverlapError: the manager ends the old key when it makes the new one, and
// that was not accepted. Nothing was done.
type NoOverlapError struct{ Ref, Manager string }

func (e *NoOverlapError) Error() string {
	return fmt.Sprintf("credential %s: %s cannot keep the old key beside the new one: accept the interruption, or give no grace", e.Ref, e.Manager)
}

// GraceError: the grace is negative or longer than MaxGrace.
type GraceError struct{ Grace time.Duration }

func (e *GraceError) Error() string {
	return fmt.Sprintf("a grace is between 0 and %s, not %s", MaxGrace, e.Grace)
}

// RotateCredential has a new credential made in the place of a live one, which
// lives on for Grace. Grace 0 (a leak) ends the old one here at once, whatever
// its manager is doing. Of two rotations at once one gets a *StateError.
type RotateCredential struct {
	CredentialID uuid.UUID
	By           *habilitation.Viewer // nil: the hub or an operator
	Grace        time.Duration
	Reason       string
	// AcceptCutover: the interruption that a manager without overlap means was
	// told and accepted. Without it such a manager is a *NoOverlapError.
	AcceptCutover bool

	NewID uuid.UUID    // result
	Plan  RotationPlan // result
}

func (cmd *RotateCredential) apply(ctx context.Context, u *unit) error {
	if cmd.Grace < 0 || cmd.Grace > MaxGrace {
		return &GraceError{cmd.Grace}
	}
	old, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if err := u.permit(cmd.By, habilitation.KeyRotate, req, old); err != nil {
		return err
	}
	if cmd.By != nil && (req.State == habilitation.Archived || req.State == habilitation.Revoked) {
		return &habilitation.Refusal{Code: RefusedRequestOver, State: req.State, Message: "La demande n’est plus en vigueur : la clé ne peut pas être remplacée."}
	}
	cmd.NewID, cmd.Plan, err = u.rotate(ctx, old, req, rotationAsked{cmd.Grace, cmd.Reason, cmd.AcceptCutover})
	return err
}

type rotationAsked struct {
	grace         time.Duration
	reason        string
	acceptCutover bool
}

// rotate makes the credential that takes the place of old, and says what its
// manager will make of it. Both the request and old are locked.
func (u *unit) rotate(ctx context.Context, old store.Credential, req habilitation.Request, asked rotationAsked) (uuid.UUID, RotationPlan, error) {
	if !passes(old, u.at) { // over, though its end may not be recorded yet
		return uuid.Nil, RotationPlan{}, &StateError{"credential " + old.Ref, old.State}
	}
	if err := move(&old, habilitation.CredentialRotate); err != nil {
		return uuid.Nil, RotationPlan{}, err
	}
	can, err := u.capabilities(old)
	if err != nil {
		return uuid.Nil, RotationPlan{}, err
	}
	plan := PlanRotation(can, asked.grace)
	if asked.grace > 0 && plan.Overlap == connectors.OverlapNone && !asked.acceptCutover {
		return uuid.Nil, plan, &NoOverlapError{old.Ref, old.Manager}
	}
	if asked.grace == 0 {
		if err := u.refuseAtOnce(ctx, &old); err != nil {
			return uuid.Nil, plan, err
		}
	}
	old.ProlongUntil = nil // a new one has a life of its own
	if err := u.tx.SaveCredential(ctx, old, u.at); err != nil {
		return uuid.Nil, plan, err
	}
	n := store.NewCredential{
		ID: uuid.New(), RequestID: req.ID, HabilitationID: valueOf(old.HabilitationID), Definition: old.Definition, Manager: old.Manager,
		State: string(habilitation.CredentialRequested), Scopes: old.Scopes, Replaces: old.ID, ExpiresAt: valueOf(old.ExpiresAt), AllowedIPs: old.AllowedIps, Now: u.at,
	}
	if policy, known := u.policies.Policy(old.Definition); known && policy.Lifetime != nil {
		n.ExpiresAt = policy.Lifetime(u.at)
	}
	c, err := u.tx.InsertCredential(ctx, n, habilitation.CredentialRef)
	if err != nil {
		return uuid.Nil, plan, err
	}
	err = u.tx.InsertRotation(ctx, store.Rotation{
		CredentialID: c.ID, OldID: old.ID, Grace: asked.grace, Reason: asked.reason, AskedAt: u.at, AskedBy: u.actor,
	})
	if err != nil {
		return uuid.Nil, plan, err
	}
	u.then(ProvisioningRequested{c.ID, c.Manager})
	return c.ID, plan, u.write(ctx, req.ID, "token.rotating", "credential", old.ID.String(), asked.reason,
		map[string]any{"manager": old.Manager, "new": c.ID, "grace_s": int(asked.grace.Seconds())})
}

// refuseAtOnce ends the old key of a rotation here: it stops passing and is no
// longer shown. Its manager follows by a job.
func (u *unit) refuseAtOnce(ctx context.Context, old *store.Credential) error {
	old.OldUntil = &u.at
	if _, err := u.endCopy(ctx, old, store.CopyOver, ""); err != nil {
		return err
	}
	u.then(EndDue{old.ID, old.Manager, u.at})
	return u.tx.CancelLinks(ctx, old.ID, u.at)
}

// CredentialRotated records what the manager made of a rotation: the new
// credential, and how long the old one really lives.
type CredentialRotated struct {
	CredentialIssued
	Overlap  connectors.Overlap
	OldUntil time.Time // zero: the old one is dead
}

func (cmd *CredentialRotated) apply(ctx context.Context, u *unit) error {
	c, _, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if err := cmd.keep(ctx, u, c); err != nil {
		return err
	}
	if err := u.tx.SettleRotation(ctx, c.ID, string(cmd.Overlap), u.at); err != nil {
		return err
	}
	old, err := u.tx.LockCredential(ctx, valueOf(c.Replaces))
	if err != nil {
		return err
	}
	if old.State != string(habilitation.CredentialRotating) {
		return nil // revoked meanwhile
	}
	if old.OldUntil != nil { // refused since the rotation was asked for: what waited for the new key goes on
		u.then(EndDue{old.ID, old.Manager, u.at})
		return nil
	}
	until := cmd.OldUntil.UTC()
	if cmd.Overlap == connectors.OverlapNone || cmd.OldUntil.IsZero() {
		until = u.at
	}
	if old.ExpiresAt != nil && old.ExpiresAt.Before(until) {
		until = *old.ExpiresAt
	}
	old.OldUntil = &until
	u.then(EndDue{old.ID, old.Manager, until})
	return u.tx.SaveCredential(ctx, old, u.at)
}

// rotated tells of a new key that was proven live: the provider by an event of
// ids alone, every contact by a letter without a key.
func (u *unit) rotated(ctx context.Context, req habilitation.Request, c store.Credential) error {
	old, err := u.tx.LockCredential(ctx, valueOf(c.Replaces))
	if err != nil {
		return err
	}
	rotation, err := u.tx.RotationInto(ctx, c.ID)
	if err != nil {
		return err
	}
	// The value of the old key is not to be shown any more: who asks gets the new one.
	if err := u.tx.CancelLinks(ctx, old.ID, u.at); err != nil {
		return err
	}
	if _, err := u.endCopy(ctx, &old, store.CopyOver, ""); err != nil {
		return err
	}
	if err := u.tx.SaveCredential(ctx, old, u.at); err != nil {
		return err
	}
	detail := map[string]any{"replaces": old.ID, "overlap": rotation.Overlap, "old_until": old.OldUntil}
	if err := u.write(ctx, req.ID, "token.rotated", "credential", c.ID.String(), rotation.Reason, detail); err != nil {
		return err
	}
	if err := u.publish(ctx, req, c, "token.rotated", detail); err != nil {
		return err
	}
	params := map[string]string{"definition": u.label(c.Definition), "organization": req.Organization.Name, "until": "", "provider": ""}
	if handle, err := c.ManagerHandle(); err != nil {
		return err
	} else if handle.Reference != "" {
		params["provider"] = "yes"
	}
	if passes(old, u.at) && old.OldUntil != nil {
		params["until"] = frenchTime(*old.OldUntil)
	}
	return u.mailContacts(ctx, req, LetterKeyReplaced, "rotated/"+c.ID.String(), params)
}

// mailContacts sends a letter to the applicant and to the technical and
// business contacts, once to each address.
func (u *unit) mailContacts(ctx context.Context, req habilitation.Request, letter, dedup string, params map[string]string) error {
	addresses := []string{req.Applicant.Email}
	for _, key := range habilitation.KeyContacts() {
		addresses = append(addresses, req.Data[key])
	}
	for _, to := range uniqueAddresses(addresses...) {
		if err := u.mail(ctx, req, letter, to, dedup, params); err != nil {
			return err
		}
	}
	return nil
}

// dropRotation gives the old key of a rotation back its life when the new one
// ends before the manager gave the old one an end.
func (u *unit) dropRotation(ctx context.Context, req habilitation.Request, ended store.Credential) error {
	if ended.Replaces == nil {
		return nil
	}
	old, err := u.tx.LockCredential(ctx, *ended.Replaces)
	if err != nil {
		return err
	}
	if old.State != string(habilitation.CredentialRotating) || old.OldUntil != nil {
		return nil
	}
	if err := move(&old, habilitation.CredentialRotationDropped); err != nil {
		return err
	}
	if err := u.tx.SaveCredential(ctx, old, u.at); err != nil {
		return err
	}
	return u.write(ctx, req.ID, "token.rotation_dropped", "credential", old.ID.String(), "", nil)
}

// Ending reports whether a credential is over here while its end at the manager
// is still to be proven: revoked, or the old one of a rotation after its
// overlap, or expired.
func Ending(c store.Credential, now time.Time) bool {
	switch state := habilitation.CredentialState(c.State); state {
	case habilitation.CredentialRotating:
		return c.OldUntil != nil && !c.OldUntil.After(now)
	case habilitation.CredentialExpired:
		return c.VerifiedAt == nil
	default:
		return state.Revoking()
	}
}

// endProven closes a credential that ended by itself: replaced, or expired.
func (u *unit) endProven(ctx context.Context, req habilitation.Request, c store.Credential) error {
	if !Ending(c, u.at) {
		return &StateError{"credential " + c.Ref, c.State}
	}
	event, over := "token.expired_verified", valueOf(c.ExpiresAt)
	if c.State == string(habilitation.CredentialRotating) {
		event, over = "token.replaced", valueOf(c.OldUntil)
		if err := move(&c, habilitation.CredentialGraceEnded); err != nil {
			return err
		}
	}
	c.VerifiedAt = &u.at
	if _, err := u.endCopy(ctx, &c, store.CopyOver, ""); err != nil {
		return err
	}
	if err := u.finish(ctx, c, "verify_revoked"); err != nil {
		return err
	}
	if err := u.partnerAnswered(ctx, c.Manager); err != nil {
		return err
	}
	detail := map[string]any{"verified_at": c.VerifiedAt, "delay_ms": u.at.Sub(over).Milliseconds()}
	if err := u.write(ctx, req.ID, event, "credential", c.ID.String(), "", detail); err != nil {
		return err
	}
	return u.publish(ctx, req, c, event, detail)
}

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

// lockCredential locks a credential's request, then the credential: the one
// order in which both are ever locked.
func (u *unit) lockCredential(ctx context.Context, id uuid.UUID) (store.Credential, habilitation.Request, error) {
	peek, err := u.tx.Credential(ctx, id)
	if err != nil {
		return store.Credential{}, habilitation.Request{}, err
	}
	req, err := u.tx.LockRequest(ctx, peek.RequestID)
	if err != nil {
		return store.Credential{}, habilitation.Request{}, err
	}
	c, err := u.tx.LockCredential(ctx, id)
	return c, req, err
}

// move takes a credential along its transition table (internal/habilitation).
func move(c *store.Credential, event habilitation.CredentialEvent) error {
	next, err := habilitation.NextCredential(habilitation.CredentialState(c.State), event)
	if err != nil {
		return &StateError{"credential " + c.Ref, c.State}
	}
	c.State = string(next)
	return nil
}

// issueFor makes the credentials of a definition newly granted: one per manager
// that serves it, the first with the token id already answered to the source.
func (u *unit) issueFor(ctx context.Context, req habilitation.Request, g habilitation.Grant, tokenID uuid.UUID) error {
	policy, known := u.policies.Policy(g.Definition)
	managers := policy.Managers
	if !known {
		managers = []string{""} // waits, visibly, for its settings
	}
	for i, manager := range managers {
		id := uuid.New()
		if i == 0 && tokenID != uuid.Nil {
			id = tokenID
		}
		n := store.NewCredential{
			ID: id, RequestID: req.ID, HabilitationID: g.Habilitation, Definition: g.Definition, Manager: manager,
			State: string(habilitation.CredentialRequested), Scopes: g.Scopes, Now: u.at,
		}
		if policy.Lifetime != nil {
			n.ExpiresAt = policy.Lifetime(u.at)
		}
		c, err := u.tx.InsertCredential(ctx, n, habilitation.CredentialRef)
		if err != nil {
			return err
		}
		if err := u.write(ctx, req.ID, "token.requested", "credential", c.ID.String(), "", map[string]any{"manager": manager}); err != nil {
			return err
		}
		if manager != "" {
			u.then(ProvisioningRequested{c.ID, manager})
		}
	}
	return nil
}

// Assignable gives the credentials that waited for their settings and have them
// now, oldest first.
func (r *Registry) Assignable(ctx context.Context, limit int) ([]uuid.UUID, error) {
	waiting, err := r.store.UnassignedDefinitions(ctx)
	if err != nil {
		return nil, err
	}
	waiting = slices.DeleteFunc(waiting, func(definition string) bool {
		_, known := r.policies.Policy(definition)
		return !known
	})
	if len(waiting) == 0 {
		return nil, nil
	}
	return r.store.UnassignedCredentials(ctx, waiting, limit)
}

// AssignManager gives a credential that waited for its settings to a manager.
// Further managers of the definition get credentials of their own.
type AssignManager struct{ CredentialID uuid.UUID }

func (cmd *AssignManager) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	policy, known := u.policies.Policy(c.Definition)
	if c.Manager != "" || !known {
		return nil
	}
	if len(policy.Managers) == 0 {
		if err := move(&c, habilitation.CredentialCancel); err != nil {
			return err
		}
		c.Reason = "aucun gestionnaire à servir"
		if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
			return err
		}
		return u.tx.CloseReservation(ctx, c.ID)
	}
	c.Manager = policy.Managers[0]
	if policy.Lifetime != nil {
		expires := policy.Lifetime(u.at)
		c.ExpiresAt = &expires
	}
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	u.then(ProvisioningRequested{c.ID, c.Manager})
	for _, manager := range policy.Managers[1:] {
		n := store.NewCredential{
			ID: uuid.New(), RequestID: req.ID, HabilitationID: valueOf(c.HabilitationID), Definition: c.Definition, Manager: manager,
			State: string(habilitation.CredentialRequested), Scopes: c.Scopes, ExpiresAt: valueOf(c.ExpiresAt), Now: u.at,
		}
		other, err := u.tx.InsertCredential(ctx, n, habilitation.CredentialRef)
		if err != nil {
			return err
		}
		u.then(ProvisioningRequested{other.ID, manager})
	}
	return nil
}

// StartStep shows that a step is under way. A *StateError means that the
// credential no longer wants it: it was revoked or cancelled meanwhile.
type StartStep struct {
	CredentialID uuid.UUID
	Step         string
	Revoking     bool // a step of a revocation
}

func (cmd *StartStep) apply(ctx context.Context, u *unit) error {
	c, err := u.tx.LockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	state := habilitation.CredentialState(c.State)
	if allowed := cmd.Revoking && Ending(c, u.at) || (state.Provisioning() || state.Usable()) && !cmd.Revoking; !allowed {
		return &StateError{"credential " + c.Ref, c.State}
	}
	if c.State == string(habilitation.CredentialPrepared) {
		if err := move(&c, habilitation.CredentialIssue); err != nil {
			return err
		}
		if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
			return err
		}
	}
	return u.tx.RecordStep(ctx, c.ID, store.Step{Name: cmd.Step, State: "doing", StartedAt: u.at})
}

// FailStep records the partner's words. A final refusal ends the provisioning:
// the credential is failed, its provider is told, a person must act.
type FailStep struct {
	CredentialID uuid.UUID
	Step         string
	Err          error
}

func (cmd *FailStep) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	step := store.Step{Name: cmd.Step, State: "waiting", Class: string(connectors.ClassOf(cmd.Err)), Detail: detailOf(cmd.Err)}
	final := false
	switch connectors.ClassOf(cmd.Err) {
	case connectors.Rejected, connectors.Conflict, connectors.NotFound:
		final, step.State = true, "failed"
	}
	if err := u.tx.RecordStep(ctx, c.ID, step); err != nil {
		return err
	}
	if !final || c.State == string(habilitation.CredentialFailed) {
		return nil
	}
	detail := map[string]any{"step": cmd.Step, "class": step.Class, "manager": c.Manager}
	if err := u.write(ctx, req.ID, "provisioning.failed", "credential", c.ID.String(), step.Detail, detail); err != nil {
		return err
	}
	if c.State == string(habilitation.CredentialIssuing) {
		if err := move(&c, habilitation.CredentialFail); err != nil {
			return err
		}
		c.Reason = step.Detail
		if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
			return err
		}
	}
	return u.publish(ctx, req, c, "provisioning.failed", map[string]any{"step": cmd.Step, "class": step.Class})
}

// detailOf gives what people may read of an error: a connector's redacted words.
func detailOf(err error) string {
	var e *connectors.Error
	if errors.As(err, &e) {
		if e.Status != 0 {
			return fmt.Sprintf("%d %s", e.Status, e.Detail)
		}
		return e.Detail
	}
	return "incident interne, voir le journal"
}

// RetryProvisioning has a failed credential tried again, from its last finished step.
type RetryProvisioning struct{ CredentialID uuid.UUID }

func (cmd *RetryProvisioning) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if err := u.askAgain(ctx, req, c); err != nil {
		return err
	}
	state := habilitation.CredentialState(c.State)
	if Ending(c, u.at) {
		u.then(RevocationRequested{c.ID, c.Manager})
		return u.write(ctx, req.ID, "revocation.retried", "credential", c.ID.String(), "", nil)
	}
	if state == habilitation.CredentialFailed {
		if err := move(&c, habilitation.CredentialRetry); err != nil {
			return err
		}
		c.Reason = ""
		if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
			return err
		}
	} else if !state.Provisioning() && !c.GrantsPending && c.ProlongUntil == nil {
		return &StateError{"credential " + c.Ref, c.State}
	}
	u.then(ProvisioningRequested{c.ID, c.Manager})
	return u.write(ctx, req.ID, "provisioning.retried", "credential", c.ID.String(), "", nil)
}

// PrepareCredential seals our own secret before anything is called; no Secret
// where the manager makes it.
type PrepareCredential struct {
	CredentialID uuid.UUID
	Secret       connectors.Secret
	Hint         string
}

func (cmd *PrepareCredential) apply(ctx context.Context, u *unit) error {
	c, err := u.tx.LockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if err := move(&c, habilitation.CredentialPrepare); err != nil {
		return err
	}
	if !cmd.Secret.IsZero() {
		if err := u.tx.SealSecret(&c, cmd.Secret, cmd.Hint); err != nil {
			return err
		}
	}
	return u.finish(ctx, c, "prepare")
}

// finish saves a credential with its step done.
func (u *unit) finish(ctx context.Context, c store.Credential, step string) error {
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	return u.tx.RecordStep(ctx, c.ID, store.Step{Name: step, State: "done", FinishedAt: u.at})
}

// SubjectEnsured records the provider's id of the holder.
type SubjectEnsured struct {
	CredentialID uuid.UUID
	SubjectID    string
}

func (cmd *SubjectEnsured) apply(ctx context.Context, u *unit) error {
	c, err := u.tx.LockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if c.State != string(habilitation.CredentialIssuing) {
		return &StateError{"credential " + c.Ref, c.State}
	}
	c.SubjectID = cmd.SubjectID
	return u.finish(ctx, c, "subject")
}

// GrantsEnsured records that the manager knows these scopes.
type GrantsEnsured struct {
	CredentialID uuid.UUID
	Scopes       []string // what was set: they may have changed again meanwhile
}

func (cmd *GrantsEnsured) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	c.GrantsPending = !sameScopes(c.Scopes, cmd.Scopes)
	if c.State == string(habilitation.CredentialIssuing) {
		return u.finish(ctx, c, "grants")
	}
	if !habilitation.CredentialState(c.State).Usable() {
		return &StateError{"credential " + c.Ref, c.State}
	}
	if err := u.finish(ctx, c, "grants"); err != nil || c.GrantsPending {
		return err
	}
	if err := u.write(ctx, req.ID, "token.grants_changed", "credential", c.ID.String(), "", map[string]any{"scopes": c.Scopes}); err != nil {
		return err
	}
	return u.publish(ctx, req, c, "token.grants_changed", map[string]any{"scopes": c.Scopes})
}

func sameScopes(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// CredentialIssued records the manager's handle, and its secret where the
// manager made it: sealed before anything else is told.
type CredentialIssued struct {
	CredentialID uuid.UUID
	Handle       connectors.Handle
	Secret       connectors.Secret // what the holder receives: ours, another form of it, or the manager's own
}

func (cmd *CredentialIssued) apply(ctx context.Context, u *unit) error {
	c, err := u.tx.LockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	return cmd.keep(ctx, u, c)
}

func (cmd *CredentialIssued) keep(ctx context.Context, u *unit, c store.Credential) error {
	// A revocation may have come while the manager was called: the handle is kept
	// all the same, it is what the revocation needs.
	if err := c.SetHandle(cmd.Handle); err != nil {
		return err
	}
	sealed, err := u.tx.OpenSecret(c)
	if err != nil {
		return err
	}
	if !cmd.Secret.IsZero() && cmd.Secret != sealed && c.State == string(habilitation.CredentialIssuing) {
		if err := u.tx.SealSecret(&c, cmd.Secret, ""); err != nil {
			return err
		}
	}
	if err := u.tx.DropTaskSecrets(ctx, c.ID); err != nil { // a key that people gave is the credential's now
		return err
	}
	return u.finish(ctx, c, "issue")
}

// CredentialVerified: an independent read shows the key live. The provider is
// told, and the holder gets the one-time link.
type CredentialVerified struct{ CredentialID uuid.UUID }

func (cmd *CredentialVerified) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if err := move(&c, habilitation.CredentialIssued); err != nil {
		return err
	}
	c.IssuedAt, c.Reason = &u.at, ""
	if err := u.finish(ctx, c, "verify"); err != nil {
		return err
	}
	if err := u.keepCopy(ctx, req, &c); err != nil {
		return err
	}
	if err := u.partnerAnswered(ctx, c.Manager); err != nil {
		return err
	}
	if err := u.write(ctx, req.ID, "token.issued", "credential", c.ID.String(), "", map[string]any{"manager": c.Manager}); err != nil {
		return err
	}
	if c.Replaces != nil {
		if err := u.rotated(ctx, req, c); err != nil {
			return err
		}
	} else if err := u.publish(ctx, req, c, "token.issued", nil); err != nil {
		return err
	}
	return u.handOver(ctx, req, c)
}

// revoke ends a credential here at once; its manager follows by a job. One that
// was never sent anywhere is cancelled.
func (u *unit) revoke(ctx context.Context, req habilitation.Request, c store.Credential, reason string) error {
	ending, ok := habilitation.Ending(habilitation.CredentialState(c.State))
	if !ok {
		return nil
	}
	if err := move(&c, ending); err != nil {
		return err
	}
	if ending == habilitation.CredentialRevoke {
		// From this commit on the hub refuses it; the manager follows.
		if err := move(&c, habilitation.CredentialRefusedAtHub); err != nil {
			return err
		}
		c.RevokedAt = &u.at
		u.then(RevocationRequested{c.ID, c.Manager})
	}
	c.Reason, c.GrantsPending, c.ProlongUntil = reason, false, nil
	if _, err := u.endCopy(ctx, &c, store.CopyOver, ""); err != nil {
		return err
	}
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	if err := u.tx.CloseReservation(ctx, c.ID); err != nil {
		return err
	}
	if err := u.tx.CancelLinks(ctx, c.ID, u.at); err != nil {
		return err
	}
	if err := u.tx.DropTaskSecrets(ctx, c.ID); err != nil {
		return err
	}
	if err := u.dropRotation(ctx, req, c); err != nil {
		return err
	}
	return u.write(ctx, req.ID, "token.revoking", "credential", c.ID.String(), reason, map[string]any{"manager": c.Manager})
}

// RevokedAtManager: the manager took the revocation; it remains to be proven.
type RevokedAtManager struct{ CredentialID uuid.UUID }

func (cmd *RevokedAtManager) apply(ctx context.Context, u *unit) error {
	c, err := u.tx.LockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if !Ending(c, u.at) {
		return &StateError{"credential " + c.Ref, c.State}
	}
	return u.finish(ctx, c, "revoke")
}

// RevocationVerified: the manager no longer lets the key pass. The provider and
// the contacts are told, with the delay that was measured.
//
// The old key of a rotation and one that expired are proven dead by it too.
type RevocationVerified struct{ CredentialID uuid.UUID }

func (cmd *RevocationVerified) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if c.State != string(habilitation.CredentialRevokedAtHub) {
		return u.endProven(ctx, req, c)
	}
	if err := move(&c, habilitation.CredentialVerified); err != nil {
		return err
	}
	c.VerifiedAt = &u.at
	if err := u.finish(ctx, c, "verify_revoked"); err != nil {
		return err
	}
	if err := u.partnerAnswered(ctx, c.Manager); err != nil {
		return err
	}
	delay := u.at.Sub(valueOf(c.RevokedAt)).Milliseconds()
	if err := u.write(ctx, req.ID, "token.revoked", "credential", c.ID.String(), c.Reason, map[string]any{"manager": c.Manager, "delay_ms": delay}); err != nil {
		return err
	}
	if err := u.publish(ctx, req, c, "token.revoked", map[string]any{"revoked_at": c.RevokedAt, "verified_at": c.VerifiedAt, "delay_ms": delay}); err != nil {
		return err
	}
	params := map[string]string{"definition": u.label(c.Definition), "organization": req.Organization.Name, "at": frenchTime(valueOf(c.RevokedAt))}
	return u.mailContacts(ctx, req, LetterKeyRevoked, "revoked/"+c.ID.String(), params)
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

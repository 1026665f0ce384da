package jobs

import (
	"context"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// rotate is the issue of a credential that replaces another: one call at the
// manager makes the new one and gives the old one its end.
func (p *provisioning) rotate(ctx context.Context, c store.Credential, r connectors.IssueRequest) error {
	asked, err := p.Store.RotationInto(ctx, c.ID)
	if err != nil {
		return err
	}
	old, err := p.Store.Credential(ctx, asked.OldID)
	if err != nil {
		return err
	}
	handle, err := old.ManagerHandle()
	if err != nil {
		return err
	}
	done := &registry.CredentialRotated{CredentialIssued: registry.CredentialIssued{CredentialID: p.id}}
	if habilitation.CredentialState(old.State).Usable() {
		rotation, err := p.manager.Rotate(ctx, connectors.RotateRequest{IssueRequest: r, Old: handle, Grace: asked.Grace})
		if err != nil {
			return err
		}
		done.Handle, done.Secret, done.Overlap, done.OldUntil = rotation.Handle, rotation.Secret, rotation.Overlap, rotation.OldUntil
		return p.Registry.Record(ctx, done)
	}
	// The old one is over already: nothing is left to overlap with.
	issued, err := p.manager.Issue(ctx, r)
	if err != nil {
		return err
	}
	done.Handle, done.Secret, done.Overlap = issued.Handle, issued.Secret, connectors.OverlapNone
	return p.Registry.Record(ctx, done)
}

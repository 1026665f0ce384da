package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// defaultCopyLifetime is that of editors.md, 7.
const defaultCopyLifetime = 30 * 24 * time.Hour

// LetterCopyDestroyed tells the contacts that nobody came for a key in time.
const LetterCopyDestroyed = "cle_detruite"

// keepCopy gives the sealed copy of a key that is live now its deadline, and
// encrypts it for those who gave a key of their own.
func (u *unit) keepCopy(ctx context.Context, req habilitation.Request, c *store.Credential) error {
	if err := u.tx.InsertKeyCopy(ctx, c.ID, u.at.Add(u.settings.CopyLifetime)); err != nil {
		return err
	}
	if handle, err := c.ManagerHandle(); err != nil || handle.Reference != "" {
		if err == nil {
			_, err = u.endCopy(ctx, c, store.CopyProvider, "")
		}
		return err
	}
	return u.enclose(ctx, req, c)
}

// endCopy destroys what is kept of a key; the caller saves c.
func (u *unit) endCopy(ctx context.Context, c *store.Credential, how, by string) (bool, error) {
	return u.tx.EndKeyCopy(ctx, c, how, by, u.at)
}

// enclose encrypts a key for each recipient that gave a public key, and forgets
// the copy that the hub could open. Without such a recipient it does nothing.
func (u *unit) enclose(ctx context.Context, req habilitation.Request, c *store.Credential) error {
	if c.SecretSealed == nil {
		return nil
	}
	recipients, err := u.recipientsOfKey(ctx, req, *c)
	if err != nil || len(recipients) == 0 {
		return err
	}
	secret, err := u.tx.OpenSecret(*c)
	if err != nil {
		return err
	}
	for _, r := range recipients {
		key, err := jose.ParseRecipient(r.JWK)
		if err != nil {
			return fmt.Errorf("the key of recipient %s: %w", r.Recipient, err)
		}
		jwe, err := key.Encrypt([]byte(secret.Reveal()))
		if err != nil {
			return fmt.Errorf("encrypt for recipient %s: %w", r.Recipient, err)
		}
		e := store.Envelope{Recipient: r.Recipient, KID: key.KID(), JWE: jwe, CheckSum: store.CheckSum(secret.Reveal())}
		if err := u.tx.InsertEnvelope(ctx, c.ID, e, u.at); err != nil {
			return err
		}
	}
	c.SecretSealed = nil
	if err := u.tx.SaveCredential(ctx, *c, u.at); err != nil {
		return err
	}
	names := make([]string, len(recipients))
	for i, r := range recipients {
		names[i] = r.Recipient
	}
	return u.write(ctx, req.ID, "token.enclosed", "credential", c.ID.String(), "", map[string]any{"recipients": names})
}

// recipientsOfKey gives the registered keys of those who may have a key: its
// holder, and the editors that may fetch it.
func (u *unit) recipientsOfKey(ctx context.Context, req habilitation.Request, c store.Credential) ([]store.RecipientKey, error) {
	names := []string{store.HolderRecipient(req.ID)}
	editors, err := u.tx.EditorsOf(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	for _, editor := range editors {
		origins, err := u.tx.LinkOrigins(ctx, req.ID, editor)
		if err != nil {
			return nil, err
		}
		if u.Fetchable(c.Definition).Allows(c.Definition, origins) {
			names = append(names, store.EditorRecipient(editor))
		}
	}
	var keys []store.RecipientKey
	for _, name := range names {
		key, err := u.tx.RecipientKey(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// ToEnclose gives keys that the hub can open although their recipient gave a key
// of its own.
func (r *Registry) ToEnclose(ctx context.Context, limit int) ([]uuid.UUID, error) {
	definitions, err := r.store.DefinitionsToEnclose(ctx)
	if err != nil || len(definitions) == 0 {
		return nil, err
	}
	return r.store.CopiesToEnclose(ctx, r.Fetchable(definitions...), limit)
}

// EncloseKey encrypts a waiting key for those who gave a key of their own.
type EncloseKey struct{ CredentialID uuid.UUID }

func (cmd *EncloseKey) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	copied, err := u.tx.KeyCopy(ctx, c.ID)
	if err != nil || !copied.Waits(u.at) {
		return err
	}
	return u.enclose(ctx, req, &c)
}

// DestroyCopy destroys what is kept of a key that nobody came for in time, or
// that is over. Only a rotation gives another one then.
type DestroyCopy struct{ CredentialID uuid.UUID }

func (cmd *DestroyCopy) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	copied, err := u.tx.KeyCopy(ctx, c.ID)
	if err != nil {
		return err
	}
	how := store.CopyOver
	if state := habilitation.CredentialState(c.State); state.Usable() || state == habilitation.CredentialSuspended {
		how = store.CopyDeadline
		if copied.Until.After(u.at) {
			return nil
		}
	}
	ended, err := u.endCopy(ctx, &c, how, "")
	if err != nil || !ended {
		return err
	}
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	if err := u.tx.CancelLinks(ctx, c.ID, u.at); err != nil || how != store.CopyDeadline {
		return err
	}
	if err := u.write(ctx, req.ID, "token.copy_destroyed", "credential", c.ID.String(), "", nil); err != nil {
		return err
	}
	err = u.tx.TellEditors(ctx, store.Change{
		Type: "key.destroyed", ObjectType: "key", ObjectID: c.ID.String(), RequestID: req.ID, Version: u.at.UnixMilli(), At: u.at,
	})
	if err != nil {
		return err
	}
	return u.mailContacts(ctx, req, LetterCopyDestroyed, "destroyed/"+c.ID.String(), map[string]string{
		"definition": u.label(c.Definition), "organization": req.Organization.Name, "at": frenchTime(u.at),
	})
}

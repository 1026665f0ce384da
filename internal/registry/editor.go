package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Links that let an editor fetch the key of a definition (Policy.EditorFetch).
const (
	FetchByDeclared = "declared"  // whatever bound it to the request
	FetchByConsent  = "consented" // only the commune's word
)

const (
	// MaxFetches is how often an editor may read a key that it does not
	// acknowledge (editors.md, 7).
	MaxFetches = 10
	// MaxEditorClients is how many machines of an editor live at once
	// (editors.md, 6): one and its successor, on two sites, with one to spare.
	MaxEditorClients = 5
)

// Letters about editors, by the name of their template.
const (
	LetterKeyFetched = "cle_lue_editeur"  // told to the contacts: an editor read the key
	LetterKeyKept    = "cle_pour_editeur" // told instead of the one-time link: the key is encrypted for an editor
)

// Fetchable says which links let an editor fetch, for these definitions.
func (r *Registry) Fetchable(definitions ...string) store.Fetchable {
	var f store.Fetchable
	for _, uid := range definitions {
		policy, known := r.policies.Policy(uid)
		switch {
		case !known:
		case policy.EditorFetch == FetchByDeclared:
			f.AnyLink = append(f.AnyLink, uid)
		case policy.EditorFetch == FetchByConsent:
			f.ByConsent = append(f.ByConsent, uid)
		}
	}
	return f
}

// editorFor gives the editor of the catalogue that a request names: by its id,
// else by its SIRET where one editor alone has it (editors.md, 1.1). An id that
// the catalogue does not know stays what it is: nobody signs in as it.
func (u *unit) editorFor(p *habilitation.ServiceProvider) string {
	if p == nil {
		return ""
	}
	if _, known := u.catalogue.ServiceProvider(p.ID); !known && p.SIRET != "" {
		if found, ok := u.catalogue.ServiceProviderBySIRET(p.SIRET); ok {
			return found.ID
		}
	}
	return p.ID
}

// bindEditor binds a request that was granted to the editor that it names, and
// unbinds the one that it no longer names.
func (u *unit) bindEditor(ctx context.Context, req habilitation.Request) error {
	if req.LastValidatedAt.IsZero() {
		return nil // an editor does not see what is only asked for
	}
	editor := u.editorFor(req.ServiceProvider)
	ended, made, err := u.tx.BindDeclared(ctx, req.ID, editor, u.at)
	if err != nil {
		return err
	}
	for _, former := range ended {
		if err := u.tx.TellEditor(ctx, former, u.linkChange("link.ended", req)); err != nil {
			return err
		}
		if err := u.write(ctx, req.ID, "editor.unlinked", "editor", former, "", nil); err != nil {
			return err
		}
	}
	if !made {
		return nil
	}
	if err := u.tx.TellEditor(ctx, editor, u.linkChange("link.created", req)); err != nil {
		return err
	}
	return u.write(ctx, req.ID, "editor.linked", "editor", editor, "", map[string]any{"origin": store.LinkDeclared})
}

func (u *unit) linkChange(kind string, req habilitation.Request) store.Change {
	return store.Change{Type: kind, ObjectType: "request", ObjectID: fmt.Sprint(req.ID), RequestID: req.ID, Version: req.Version, At: u.at}
}

// requestChanges is what editors are told of a request, by the event's name.
var requestChanges = map[string]string{
	"approve": "request.approved", "reopen": "request.reopened", "revoke": "request.revoked", "archive": "request.archived", "transfer": "request.transferred",
}

// keyChanges names what editors are told of a key where it is not the event's
// own name with "key" in the place of "token".
var keyChanges = map[string]string{
	"token.issued": "key.ready", "token.rotated": "key.ready", "token.expired_verified": "key.expired", "provisioning.failed": "key.failed",
}

// tellEditors puts what happened into the feed of the editors of its request, in
// the same transaction.
func (u *unit) tellEditors(ctx context.Context, h Happening) error {
	if h.Request == 0 || u.tx == nil {
		return nil
	}
	c := store.Change{RequestID: h.Request, At: u.at, Version: u.at.UnixMilli()}
	if kind, ok := requestChanges[h.Type]; ok {
		c.Type, c.ObjectType, c.ObjectID = kind, "request", fmt.Sprint(h.Request)
		return u.tx.TellEditors(ctx, c)
	}
	id, ok := h.Data["token_id"].(uuid.UUID)
	if !ok {
		return nil
	}
	kind, ok := keyChanges[h.Type]
	if !ok {
		name, own := strings.CutPrefix(h.Type, "token.")
		if !own {
			return nil
		}
		kind = "key." + name
	}
	c.Type, c.ObjectType, c.ObjectID = kind, "key", id.String()
	return u.tx.TellEditors(ctx, c)
}

// mayFetch gives the key as an editor may have it: ErrNotFound when its request
// is not bound to it, *NotFetchableError when the link is not enough.
func (u *unit) mayFetch(ctx context.Context, id uuid.UUID, editor string) (store.Credential, habilitation.Request, error) {
	c, req, err := u.lockCredential(ctx, id)
	if err != nil {
		return c, req, err
	}
	origins, err := u.tx.LinkOrigins(ctx, req.ID, editor)
	switch {
	case err != nil:
		return c, req, err
	case len(origins) == 0:
		return c, req, fmt.Errorf("key %s of editor: %w", id, store.ErrNotFound)
	case !u.Fetchable(c.Definition).Allows(c.Definition, origins):
		return c, req, &NotFetchableError{NotAllowed}
	}
	return c, req, nil
}

// Why a key cannot be fetched.
type FetchRefusal string

// The refusals.
const (
	NotAllowed   FetchRefusal = "not_allowed"   // the definition wants the commune's consent
	NotReady     FetchRefusal = "not_ready"     // being made
	KeyOver      FetchRefusal = "over"          // revoked, replaced or expired
	CopyGone     FetchRefusal = "gone"          // handed over, or destroyed at its deadline
	ByProvider   FetchRefusal = "provider"      // its provider hands it over itself
	ForHolder    FetchRefusal = "holder_only"   // encrypted for its holder
	TooOften     FetchRefusal = "too_often"     // MaxFetches without an acknowledgement
	WrongSum     FetchRefusal = "fingerprint"   // an acknowledgement of another value
	UnknownFetch FetchRefusal = "unknown_fetch" // an acknowledgement of no fetch of this key by this editor
)

// NotFetchableError: the key stays where it is. Nothing was done.
type NotFetchableError struct{ Reason FetchRefusal }

func (e *NotFetchableError) Error() string { return "key not fetched: " + string(e.Reason) }

// FetchKey gives an editor the key of a client: the same value each time, until
// it acknowledges it. Every fetch is recorded; the contacts are told of the first.
type FetchKey struct {
	CredentialID uuid.UUID
	Editor       string
	ClientID     uuid.UUID // the machine of the editor that asks

	FetchID  uuid.UUID         // result
	Secret   connectors.Secret // result: the key, or a compact JWE of it
	KID      string            // result: of the JWE; "" when Secret is the key itself
	Until    time.Time         // result: the copy is destroyed then
	CheckSum []byte            // result
}

func (cmd *FetchKey) apply(ctx context.Context, u *unit) error {
	c, req, err := u.mayFetch(ctx, cmd.CredentialID, cmd.Editor)
	if err != nil {
		return err
	}
	switch state := habilitation.CredentialState(c.State); {
	case state.Provisioning() || state == habilitation.CredentialFailed:
		return &NotFetchableError{NotReady}
	case !passes(c, u.at):
		return &NotFetchableError{KeyOver}
	}
	copied, err := u.tx.KeyCopy(ctx, c.ID)
	if err == nil && copied.EndedHow == store.CopyProvider {
		return &NotFetchableError{ByProvider}
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && !copied.Waits(u.at) {
		return &NotFetchableError{CopyGone}
	}
	if err != nil {
		return err
	}
	if err := u.enclose(ctx, req, &c); err != nil { // a key of its own may have come since the copy was made
		return err
	}
	if err := cmd.read(ctx, u, c); err != nil {
		return err
	}
	n, err := u.tx.CountFetches(ctx, c.ID, cmd.Editor)
	if err != nil {
		return err
	}
	if n >= MaxFetches {
		return &NotFetchableError{TooOften}
	}
	if cmd.FetchID, err = uuid.NewV7(); err != nil {
		return err
	}
	cmd.Until = copied.Until
	fetch := store.Fetch{ID: cmd.FetchID, CredentialID: c.ID, Editor: cmd.Editor, ClientID: cmd.ClientID, At: u.at}
	if err := u.tx.InsertFetch(ctx, fetch); err != nil {
		return err
	}
	detail := map[string]any{"editor": cmd.Editor, "fetch": cmd.FetchID, "encrypted": cmd.KID != ""}
	if err := u.write(ctx, req.ID, "token.fetched", "credential", c.ID.String(), "", detail); err != nil || n > 0 {
		return err
	}
	return u.mailContacts(ctx, req, LetterKeyFetched, "fetched/"+c.ID.String()+"/"+cmd.Editor, u.editorParams(req, c, cmd.Editor))
}

// read gives the copy as this editor may have it.
func (cmd *FetchKey) read(ctx context.Context, u *unit, c store.Credential) error {
	envelope, found, err := u.tx.Envelope(ctx, c.ID, store.EditorRecipient(cmd.Editor))
	switch {
	case err != nil:
		return err
	case found:
		cmd.Secret, cmd.KID, cmd.CheckSum = connectors.NewSecret(envelope.JWE), envelope.KID, envelope.CheckSum
		return nil
	case c.SecretSealed == nil:
		return &NotFetchableError{ForHolder}
	}
	cmd.Secret, err = u.tx.OpenSecret(c)
	cmd.CheckSum = store.CheckSum(cmd.Secret.Reveal())
	return err
}

func (u *unit) editorParams(req habilitation.Request, c store.Credential, editor string) map[string]string {
	return map[string]string{
		"definition": u.label(c.Definition), "organization": req.Organization.Name, "at": frenchTime(u.at), "editor": u.EditorName(editor),
	}
}

// EditorName is what people call an editor.
func (r *Registry) EditorName(id string) string {
	if p, ok := r.catalogue.ServiceProvider(id); ok && p.Name != "" {
		return p.Name
	}
	return id
}

// AcknowledgeKey says that an editor keeps the key safe: what the hub keeps of
// it is destroyed, and the unused links of its holder with it. The same
// acknowledgement again changes nothing.
type AcknowledgeKey struct {
	CredentialID uuid.UUID
	Editor       string
	FetchID      uuid.UUID
	CheckSum     []byte // store.CheckSum of the key that was received

	Replayed bool // result: it was acknowledged before
}

func (cmd *AcknowledgeKey) apply(ctx context.Context, u *unit) error {
	c, req, fetch, err := u.fetchOf(ctx, cmd.CredentialID, cmd.FetchID, cmd.Editor)
	if err != nil {
		return err
	}
	if !fetch.AcknowledgedAt.IsZero() {
		cmd.Replayed = true
		return nil
	}
	copied, err := u.tx.KeyCopy(ctx, c.ID)
	if err != nil {
		return err
	}
	if !copied.EndedAt.IsZero() {
		if copied.EndedHow == store.CopyAcknowledged && copied.EndedBy == cmd.Editor {
			cmd.Replayed = true // by another of its fetches
			return u.tx.AcknowledgeFetch(ctx, fetch.ID, u.at)
		}
		return &NotFetchableError{CopyGone}
	}
	same, err := u.sameKey(ctx, c, cmd.Editor, cmd.CheckSum)
	if err != nil {
		return err
	}
	if !same {
		return &NotFetchableError{WrongSum}
	}
	if err := u.tx.AcknowledgeFetch(ctx, fetch.ID, u.at); err != nil {
		return err
	}
	if _, err := u.endCopy(ctx, &c, store.CopyAcknowledged, cmd.Editor); err != nil {
		return err
	}
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	if err := u.tx.CancelLinks(ctx, c.ID, u.at); err != nil {
		return err
	}
	detail := map[string]any{"editor": cmd.Editor, "fetch": fetch.ID}
	if err := u.write(ctx, req.ID, "token.acknowledged", "credential", c.ID.String(), "", detail); err != nil {
		return err
	}
	return u.tx.TellEditors(ctx, store.Change{
		Type: "key.acknowledged", ObjectType: "key", ObjectID: c.ID.String(), RequestID: req.ID, Version: u.at.UnixMilli(), At: u.at,
	})
}

// fetchOf gives a fetch with its key, when the editor made it and is still bound.
func (u *unit) fetchOf(ctx context.Context, id, fetchID uuid.UUID, editor string) (store.Credential, habilitation.Request, store.Fetch, error) {
	c, req, err := u.lockCredential(ctx, id)
	if err != nil {
		return c, req, store.Fetch{}, err
	}
	origins, err := u.tx.LinkOrigins(ctx, req.ID, editor)
	if err == nil && len(origins) == 0 {
		err = fmt.Errorf("key %s of editor: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return c, req, store.Fetch{}, err
	}
	fetch, err := u.tx.Fetch(ctx, fetchID, id, editor)
	if errors.Is(err, store.ErrNotFound) {
		err = &NotFetchableError{UnknownFetch}
	}
	return c, req, fetch, err
}

func (u *unit) sameKey(ctx context.Context, c store.Credential, editor string, sum []byte) (bool, error) {
	envelope, found, err := u.tx.Envelope(ctx, c.ID, store.EditorRecipient(editor))
	if err != nil {
		return false, err
	}
	if found {
		return string(envelope.CheckSum) == string(sum), nil
	}
	secret, err := u.tx.OpenSecret(c)
	return err == nil && !secret.IsZero() && string(store.CheckSum(secret.Reveal())) == string(sum), err
}

// RefuseKey says that what an editor fetched is of no use to it: it stays ready,
// and people are told why.
type RefuseKey struct {
	CredentialID uuid.UUID
	Editor       string
	FetchID      uuid.UUID
	Reason       string
}

func (cmd *RefuseKey) apply(ctx context.Context, u *unit) error {
	c, req, fetch, err := u.fetchOf(ctx, cmd.CredentialID, cmd.FetchID, cmd.Editor)
	if err != nil {
		return err
	}
	copied, err := u.tx.KeyCopy(ctx, c.ID)
	if err != nil {
		return err
	}
	if !copied.Waits(u.at) {
		return &NotFetchableError{CopyGone}
	}
	return u.write(ctx, req.ID, "token.refused", "credential", c.ID.String(), cmd.Reason, map[string]any{"editor": cmd.Editor, "fetch": fetch.ID})
}

// RecordWrongSum keeps that an editor acknowledged another value than the key:
// it may hold one that was altered on the way.
type RecordWrongSum struct {
	CredentialID uuid.UUID
	Editor       string
	FetchID      uuid.UUID
}

func (cmd *RecordWrongSum) apply(ctx context.Context, u *unit) error {
	c, req, fetch, err := u.fetchOf(ctx, cmd.CredentialID, cmd.FetchID, cmd.Editor)
	if err != nil {
		return err
	}
	return u.write(ctx, req.ID, "token.ack_mismatch", "credential", c.ID.String(), "", map[string]any{"editor": cmd.Editor, "fetch": fetch.ID})
}

// SetRecipientKey registers the public key of an editor: from then on its keys
// are kept encrypted for it alone.
type SetRecipientKey struct {
	Editor string
	Key    jose.Recipient
}

func (cmd *SetRecipientKey) apply(ctx context.Context, u *unit) error {
	return u.putRecipientKey(ctx, store.EditorRecipient(cmd.Editor), cmd.Key)
}

func (u *unit) putRecipientKey(ctx context.Context, recipient string, key jose.Recipient) error {
	jwk, err := key.JWK()
	if err != nil {
		return err
	}
	return u.tx.PutRecipientKey(ctx, store.RecipientKey{Recipient: recipient, KID: key.KID(), JWK: jwk, SetAt: u.at, SetBy: u.actor})
}

// RemoveRecipientKey takes it back. What is encrypted for it stays so.
type RemoveRecipientKey struct{ Editor string }

func (cmd *RemoveRecipientKey) apply(ctx context.Context, u *unit) error {
	removed, err := u.tx.DeleteRecipientKey(ctx, store.EditorRecipient(cmd.Editor))
	if err == nil && !removed {
		err = fmt.Errorf("key of editor: %w", store.ErrNotFound)
	}
	return err
}

// SetHolderKey registers the public key of a request's holder: from then on its
// keys are kept encrypted for him, and for editors that gave one too.
type SetHolderKey struct {
	RequestID int64
	Key       jose.Recipient
}

func (cmd *SetHolderKey) apply(ctx context.Context, u *unit) error {
	if _, err := u.tx.LockRequest(ctx, cmd.RequestID); err != nil {
		return err
	}
	if err := u.putRecipientKey(ctx, store.HolderRecipient(cmd.RequestID), cmd.Key); err != nil {
		return err
	}
	return u.write(ctx, cmd.RequestID, "recipient_key.set", "request", "", "", map[string]any{"kid": cmd.Key.KID()})
}

// RemoveHolderKey takes it back; there may be none. What is encrypted for it
// stays so.
type RemoveHolderKey struct{ RequestID int64 }

func (cmd *RemoveHolderKey) apply(ctx context.Context, u *unit) error {
	if _, err := u.tx.LockRequest(ctx, cmd.RequestID); err != nil {
		return err
	}
	removed, err := u.tx.DeleteRecipientKey(ctx, store.HolderRecipient(cmd.RequestID))
	if err != nil || !removed {
		return err
	}
	return u.write(ctx, cmd.RequestID, "recipient_key.removed", "request", "", "", nil)
}

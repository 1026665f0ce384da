package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// Letters of the hand-over, by the name of their template.
const (
	LetterKeyReady    = "cle_prete"    // the one-time link, to who will use the key
	LetterKeyRevealed = "cle_affichee" // told to the applicant
	LetterKeyRevoked  = "cle_revoquee" // told to the contacts
	// LetterKeyProvider tells the contacts that the provider hands the key over itself.
	LetterKeyProvider = "cle_du_fournisseur"
	roleTechnical     = "contact_technique"
	roleApplicant     = "demandeur"
)

// Offer is what a link leads to, without the key.
type Offer struct {
	Definition   string
	Organization string
	Until        string // French date
	Encrypted    bool   // for the public key that the holder gave: the link shows a JWE
}

// Offer gives what a link leads to. store.ErrNotFound or a *StateError when it
// leads nowhere: unknown, used, over, or its key is no longer live.
func (r *Registry) Offer(ctx context.Context, linkHash []byte) (Offer, error) {
	link, err := r.store.LinkByHash(ctx, linkHash)
	if err != nil {
		return Offer{}, err
	}
	if err := usable(link, r.now()); err != nil {
		return Offer{}, err
	}
	c, err := r.store.Credential(ctx, link.CredentialID)
	if err != nil {
		return Offer{}, err
	}
	req, err := r.store.Request(ctx, c.RequestID)
	if err != nil {
		return Offer{}, err
	}
	if !bound(link, req) {
		return Offer{}, &StateError{"link", "of a former recipient"}
	}
	recipients, err := r.store.EnvelopeRecipients(ctx, c.ID)
	if err != nil {
		return Offer{}, err
	}
	_, encrypted := recipients[store.HolderRecipient(req.ID)]
	copied, err := r.store.KeyCopy(ctx, c.ID)
	if err != nil {
		return Offer{}, err
	}
	if !revealable(c, r.now()) || !copied.Waits(r.now()) || c.SecretSealed == nil && !encrypted {
		return Offer{}, &StateError{"credential", c.State}
	}
	return Offer{Definition: r.label(c.Definition), Organization: req.Organization.Name, Until: frenchTime(link.ExpiresAt), Encrypted: encrypted}, nil
}

// bound reports whether a link's recipient still is who it was made for: a
// contact who left takes no key with him (tokens.md, 7.4).
func bound(l store.Link, req habilitation.Request) bool {
	_, to := recipientOfLink(req)
	return strings.EqualFold(strings.TrimSpace(l.To.Reveal()), to)
}

// Replaceable says what became of a key that a link no longer shows.
type Replaceable struct {
	Definition string
	How        string // store.CopyShown, CopyAcknowledged or CopyDeadline; "": encrypted for an editor
	At         string // French date; "": not ended
	Editor     string // name of the one that acknowledged
	Grace      string // how long the old key may live on, in French
	Cutover    bool   // it does not: calls are refused until the new one is installed
}

// Replaceable gives what a link's page says where only a rotation helps; false
// for any other link.
func (r *Registry) Replaceable(ctx context.Context, linkHash []byte) (Replaceable, bool, error) {
	link, err := r.store.LinkByHash(ctx, linkHash)
	if errors.Is(err, store.ErrNotFound) {
		return Replaceable{}, false, nil
	}
	if err != nil {
		return Replaceable{}, false, err
	}
	c, err := r.store.Credential(ctx, link.CredentialID)
	if err != nil {
		return Replaceable{}, false, err
	}
	req, err := r.store.Request(ctx, c.RequestID)
	if err != nil {
		return Replaceable{}, false, err
	}
	copied, err := r.store.KeyCopy(ctx, c.ID)
	if errors.Is(err, store.ErrNotFound) {
		return Replaceable{}, false, nil
	}
	if err != nil || !replaceable(link, c, req, copied, r.now()) {
		return Replaceable{}, false, err
	}
	v := Replaceable{Definition: r.label(c.Definition), How: copied.EndedHow, Grace: frenchDuration(r.settings.ReplaceGrace)}
	if can, ok := r.CapabilitiesOf(c.Manager); ok {
		v.Cutover = PlanRotation(can, r.settings.ReplaceGrace).Overlap == connectors.OverlapNone
	}
	switch {
	case copied.EndedBy != "":
		v.Editor = r.EditorName(copied.EndedBy)
		fallthrough
	case !copied.EndedAt.IsZero():
		v.At = frenchTime(copied.EndedAt)
	case !copied.Until.After(r.now()):
		v.How, v.At = store.CopyDeadline, frenchTime(copied.Until)
	}
	return v, true, nil
}

// replaceable: the key lives, its value is not to be had any more, and the link
// is its recipient's.
func replaceable(l store.Link, c store.Credential, req habilitation.Request, copied store.KeyCopy, now time.Time) bool {
	state := habilitation.CredentialState(c.State)
	return bound(l, req) && passes(c, now) && state != habilitation.CredentialRotating && (c.SecretSealed == nil || !copied.Waits(now))
}

// ReplaceByLink has the key of a spent link replaced. The new one is handed over
// as any key: by a link of its own, to the recipient.
type ReplaceByLink struct {
	LinkHash      []byte
	AcceptCutover bool // its manager may keep no old key beside the new one: that is accepted
}

func (cmd *ReplaceByLink) apply(ctx context.Context, u *unit) error {
	link, err := u.tx.LinkByHash(ctx, cmd.LinkHash)
	if err != nil {
		return err
	}
	c, req, err := u.lockCredential(ctx, link.CredentialID)
	if err != nil {
		return err
	}
	copied, err := u.tx.KeyCopy(ctx, c.ID)
	if err != nil {
		return err
	}
	if !replaceable(link, c, req, copied, u.at) {
		return &StateError{"credential", c.State}
	}
	rotate := &RotateCredential{
		CredentialID: c.ID, Grace: u.settings.ReplaceGrace, Reason: "demandé depuis la page de remise par " + roleLabel(link.Role), AcceptCutover: cmd.AcceptCutover,
	}
	return rotate.apply(ctx, u)
}

func usable(l store.Link, now time.Time) error {
	switch {
	case l.Used:
		return &StateError{"link", "used"}
	case l.Cancelled:
		return &StateError{"link", "cancelled"}
	case !l.ExpiresAt.After(now):
		return &StateError{"link", "expired"}
	}
	return nil
}

func revealable(c store.Credential, now time.Time) bool { return passes(c, now) }

func (r *Registry) label(definition string) string {
	if d, ok := r.catalogue.Definition(definition); ok && d.Name != "" {
		return d.Name
	}
	return definition
}

// RevealSecret spends a link and gives the key it leads to, once.
type RevealSecret struct {
	LinkHash []byte

	Secret     connectors.Secret // result: the key, or a compact JWE of it
	KID        string            // result: of the JWE; "" when Secret is the key itself
	Definition string            // result: label
}

func (cmd *RevealSecret) apply(ctx context.Context, u *unit) error {
	link, err := u.tx.LinkByHash(ctx, cmd.LinkHash)
	if err != nil {
		return err
	}
	if err := usable(link, u.at); err != nil {
		return err
	}
	c, req, err := u.lockCredential(ctx, link.CredentialID)
	if err != nil {
		return err
	}
	if err := cmd.open(ctx, u, link, &c, req); err != nil {
		return err
	}
	used, err := u.tx.UseLink(ctx, link.ID, u.at)
	if err != nil {
		return err
	}
	if !used {
		return &StateError{"link", "used"}
	}
	cmd.Definition = u.label(c.Definition)
	// Handed over: nothing is left to steal. A second look means a new key.
	if _, err := u.endCopy(ctx, &c, store.CopyShown, ""); err != nil {
		return err
	}
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	if err := u.write(ctx, req.ID, "token.revealed", "credential", c.ID.String(), "", map[string]any{"role": link.Role}); err != nil {
		return err
	}
	err = u.tx.TellEditors(ctx, store.Change{
		Type: "key.shown", ObjectType: "key", ObjectID: c.ID.String(), RequestID: req.ID, Version: u.at.UnixMilli(), At: u.at,
	})
	if err != nil {
		return err
	}
	return u.mail(ctx, req, LetterKeyRevealed, req.Applicant.Email, "reveal/"+link.ID.String(), map[string]string{
		"definition": cmd.Definition, "organization": req.Organization.Name, "at": frenchTime(u.at), "who": roleLabel(link.Role),
	})
}

// open gives what the holder may see: the JWE for the public key that he gave,
// else the key.
func (cmd *RevealSecret) open(ctx context.Context, u *unit, link store.Link, c *store.Credential, req habilitation.Request) error {
	copied, err := u.tx.KeyCopy(ctx, c.ID)
	if errors.Is(err, store.ErrNotFound) {
		return &StateError{"credential", c.State}
	}
	if err != nil {
		return err
	}
	if !bound(link, req) || !revealable(*c, u.at) || !copied.Waits(u.at) {
		return &StateError{"credential", c.State}
	}
	if err := u.enclose(ctx, req, c); err != nil { // a key of his may have come since the copy was made
		return err
	}
	envelope, found, err := u.tx.Envelope(ctx, c.ID, store.HolderRecipient(req.ID))
	switch {
	case err != nil:
		return err
	case found:
		cmd.Secret, cmd.KID = connectors.NewSecret(envelope.JWE), envelope.KID
		return nil
	case c.SecretSealed == nil:
		return &StateError{"credential", "encrypted for an editor"}
	}
	cmd.Secret, err = u.tx.OpenSecret(*c)
	return err
}

// RenewLink sends a new link to the address of an expired, unused one, once. For
// one of a former contact the new link goes to who is the contact now.
type RenewLink struct{ LinkHash []byte }

func (cmd *RenewLink) apply(ctx context.Context, u *unit) error {
	link, err := u.tx.LinkByHash(ctx, cmd.LinkHash)
	if err != nil {
		return err
	}
	c, req, err := u.lockCredential(ctx, link.CredentialID)
	if err != nil {
		return err
	}
	copied, err := u.tx.KeyCopy(ctx, c.ID)
	if err != nil {
		return err
	}
	holds, err := u.holderCopy(ctx, c, req)
	if err != nil {
		return err
	}
	if !revealable(c, u.at) || !copied.Waits(u.at) || !holds {
		return &StateError{"credential", c.State}
	}
	if !bound(link, req) {
		if link.Used || link.Cancelled {
			return &StateError{"link", "of a former recipient"}
		}
		if err := u.tx.CancelLinks(ctx, c.ID, u.at); err != nil {
			return err
		}
		if err := u.write(ctx, req.ID, "link.renewed", "credential", c.ID.String(), "", map[string]any{"role": link.Role, "contact": "new"}); err != nil {
			return err
		}
		return u.handOver(ctx, req, c)
	}
	renewed, err := u.tx.RenewLink(ctx, link.ID, u.at)
	if err != nil {
		return err
	}
	if !renewed {
		return &StateError{"link", "not renewable"}
	}
	if err := u.write(ctx, req.ID, "link.renewed", "credential", c.ID.String(), "", map[string]any{"role": link.Role}); err != nil {
		return err
	}
	return u.sendLink(ctx, req, c, link.Role, link.To)
}

// holderCopy reports whether a copy is there that the holder may see.
func (u *unit) holderCopy(ctx context.Context, c store.Credential, req habilitation.Request) (bool, error) {
	if c.SecretSealed != nil {
		return true, nil
	}
	_, found, err := u.tx.Envelope(ctx, c.ID, store.HolderRecipient(req.ID))
	return found, err
}

// recipientOfLink is who gets the one-time link of a key: its technical
// contact, or the applicant where there is none.
func recipientOfLink(req habilitation.Request) (role, to string) {
	if to = strings.TrimSpace(req.Data["contact_technique_email"]); to != "" {
		return roleTechnical, to
	}
	return roleApplicant, strings.TrimSpace(req.Applicant.Email)
}

// handOver sends the one-time link of a new key, or tells who gives it: the editor
// that it is encrypted for, or the provider that hands it over itself.
func (u *unit) handOver(ctx context.Context, req habilitation.Request, c store.Credential) error {
	handle, err := c.ManagerHandle()
	if err != nil {
		return err
	}
	if handle.Reference != "" {
		role, _ := recipientOfLink(req)
		return u.mailContacts(ctx, req, LetterKeyProvider, "provider/"+c.ID.String(), map[string]string{
			"definition": u.label(c.Definition), "organization": req.Organization.Name, "who": toRole(role), "reference": handle.Reference,
		})
	}
	holds, err := u.holderCopy(ctx, c, req)
	if err != nil {
		return err
	}
	if !holds {
		return u.tellKept(ctx, req, c)
	}
	role, to := recipientOfLink(req)
	return u.sendLink(ctx, req, c, role, connectors.NewSecret(to))
}

func (u *unit) tellKept(ctx context.Context, req habilitation.Request, c store.Credential) error {
	editors, err := u.tx.EditorsOf(ctx, req.ID)
	if err != nil {
		return err
	}
	for _, editor := range editors {
		_, kept, err := u.tx.Envelope(ctx, c.ID, store.EditorRecipient(editor))
		if err != nil {
			return err
		}
		if kept {
			return u.mailContacts(ctx, req, LetterKeyKept, "kept/"+c.ID.String(), u.editorParams(req, c, editor))
		}
	}
	return nil // by a manager that gives no value: nothing is handed over
}

func (u *unit) sendLink(ctx context.Context, req habilitation.Request, c store.Credential, role string, to connectors.Secret) error {
	value, err := token.New(token.OneTimeLink, token.Env(u.settings.TokenEnv))
	if err != nil {
		return err
	}
	linkID, err := uuid.NewV7()
	if err != nil {
		return err
	}
	mailID, err := uuid.NewV7()
	if err != nil {
		return err
	}
	until := u.at.Add(u.settings.LinkLifetime)
	queued, err := u.tx.QueueMails(ctx, store.NewMail{
		ID: mailID, Template: LetterKeyReady, RequestID: req.ID, To: to, Dedup: "link/" + linkID.String(), Now: u.at,
		Params: map[string]string{
			"definition": u.label(c.Definition), "organization": req.Organization.Name, "until": frenchTime(until),
			"link": u.settings.PublicURL + "/remise/" + value.Value(),
		},
	})
	if err != nil || len(queued) == 0 {
		return fmt.Errorf("queue the mail of a new link (queued: %d): %w", len(queued), err)
	}
	err = u.tx.InsertLink(ctx, store.NewLink{
		ID: linkID, CredentialID: c.ID, TokenHash: token.Hash(value.Value()), To: to, Role: role, MailID: mailID, Now: u.at, ExpiresAt: until,
	})
	if err != nil {
		return err
	}
	u.then(MailQueued{mailID})
	return nil
}

// mail queues one letter; the same dedup key queues nothing a second time.
func (u *unit) mail(_ context.Context, req habilitation.Request, template, to, dedup string, params map[string]string) error {
	if to == "" {
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	u.mails = append(u.mails, store.NewMail{
		ID: id, Template: template, RequestID: req.ID, To: connectors.NewSecret(to), Params: maps.Clone(params),
		Dedup: fmt.Sprintf("%s/%s/%s", template, dedup, recipientKey(to)), Now: u.at,
	})
	return nil
}

// queueMails stores the letters of the command, all in one statement.
func (u *unit) queueMails(ctx context.Context) error {
	if len(u.mails) == 0 {
		return nil
	}
	queued, err := u.tx.QueueMails(ctx, u.mails...)
	for _, id := range queued {
		u.then(MailQueued{id})
	}
	return err
}

// recipientKey tells recipients apart in a mail's dedup key without naming them.
func recipientKey(address string) string {
	return fmt.Sprintf("%x", token.Hash(strings.ToLower(address))[:8])
}

func roleLabel(role string) string {
	if role == roleTechnical {
		return "le contact technique"
	}
	return "la personne qui a fait la demande"
}

// toRole is "au contact technique".
func toRole(role string) string {
	if role == roleTechnical {
		return "au contact technique"
	}
	return "à la personne qui a fait la demande"
}

var paris = mustZone("Europe/Paris")

func mustZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC // a machine without the time zone data shows UTC, and says so
	}
	return zone
}

// frenchDuration is "7 jours" or "12 heures".
func frenchDuration(d time.Duration) string {
	n, unit := int(d/(24*time.Hour)), "jour"
	if d < 24*time.Hour {
		n, unit = int(d/time.Hour), "heure"
	}
	if n > 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

var months = [...]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"}

// frenchTime is "3 mars 2026 à 14 h 05 (Europe/Paris)".
func frenchTime(t time.Time) string {
	t = t.In(paris)
	day := fmt.Sprint(t.Day())
	if t.Day() == 1 {
		day = "1er"
	}
	return fmt.Sprintf("%s %s %d à %d h %02d (%s)", day, months[t.Month()-1], t.Year(), t.Hour(), t.Minute(), paris)
}

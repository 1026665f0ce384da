package registry

import (
	"context"
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
	roleTechnical     = "contact_technique"
	roleApplicant     = "demandeur"
)

// Offer is what a link leads to, without the key.
type Offer struct {
	Definition   string
	Organization string
	Until        string // French date
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
	if err := revealable(c); err != nil {
		return Offer{}, err
	}
	req, err := r.store.Request(ctx, c.RequestID)
	if err != nil {
		return Offer{}, err
	}
	return Offer{Definition: r.label(c.Definition), Organization: req.Organization.Name, Until: frenchTime(link.ExpiresAt)}, nil
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

func revealable(c store.Credential) error {
	if !habilitation.CredentialState(c.State).Usable() || c.SecretSealed == nil {
		return &StateError{"credential", c.State}
	}
	return nil
}

func (r *Registry) label(definition string) string {
	if d, ok := r.catalogue.Definition(definition); ok && d.Name != "" {
		return d.Name
	}
	return definition
}

// RevealSecret spends a link and gives the key it leads to, once.
type RevealSecret struct {
	LinkHash []byte

	Secret     connectors.Secret // result
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
	if err := revealable(c); err != nil {
		return err
	}
	used, err := u.tx.UseLink(ctx, link.ID, u.at)
	if err != nil {
		return err
	}
	if !used {
		return &StateError{"link", "used"}
	}
	if cmd.Secret, err = u.tx.OpenSecret(c); err != nil {
		return err
	}
	cmd.Definition = u.label(c.Definition)
	// Handed over: nothing is left to steal. A second look means a new key.
	c.SecretSealed = nil
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	if err := u.write(ctx, req.ID, "token.revealed", "credential", c.ID.String(), "", map[string]any{"role": link.Role}); err != nil {
		return err
	}
	return u.mail(ctx, req, LetterKeyRevealed, req.Applicant.Email, "reveal/"+link.ID.String(), map[string]string{
		"definition": cmd.Definition, "organization": req.Organization.Name, "at": frenchTime(u.at), "who": roleLabel(link.Role),
	})
}

// RenewLink sends a new link to the address of an expired, unused one, once.
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
	if err := revealable(c); err != nil {
		return err
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

// handOver sends the one-time link of a new key to its technical contact, or to
// the applicant where there is none.
func (u *unit) handOver(ctx context.Context, req habilitation.Request, c store.Credential) error {
	role, to := roleTechnical, strings.TrimSpace(req.Data["contact_technique_email"])
	if to == "" {
		role, to = roleApplicant, req.Applicant.Email
	}
	return u.sendLink(ctx, req, c, role, connectors.NewSecret(to))
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
func (u *unit) mail(ctx context.Context, req habilitation.Request, template, to, dedup string, params map[string]string) error {
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

var paris = mustZone("Europe/Paris")

func mustZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC // a machine without the time zone data shows UTC, and says so
	}
	return zone
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

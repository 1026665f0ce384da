package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// NewMail is a mail to queue. Params fill its template and may hold a one-time
// link: they are sealed, and destroyed once the mail has left.
type NewMail struct {
	ID        uuid.UUID // becomes the Message-ID
	Template  string
	RequestID int64
	To        connectors.Secret
	Params    map[string]string
	Dedup     string // the same mail is queued once
	Now       time.Time
}

func mailAD(id uuid.UUID, part string) []byte { return []byte("mail/" + id.String() + "/" + part) }

// QueueMails stores mails and gives the ids of those that were not queued before.
func (t *Tx) QueueMails(ctx context.Context, mails ...NewMail) ([]uuid.UUID, error) {
	var rows db.InsertMailsParams
	for _, m := range mails {
		params, err := json.Marshal(m.Params)
		if err != nil {
			return nil, err
		}
		sealedParams, err := t.ring.Seal(params, mailAD(m.ID, "params"))
		if err != nil {
			return nil, err
		}
		sealedTo, err := t.ring.Seal([]byte(m.To.Reveal()), mailAD(m.ID, "to"))
		if err != nil {
			return nil, err
		}
		rows.Ids = append(rows.Ids, m.ID)
		rows.Templates = append(rows.Templates, m.Template)
		rows.RequestIds = append(rows.RequestIds, m.RequestID)
		rows.Recipients = append(rows.Recipients, sealedTo)
		rows.RecipientHashes = append(rows.RecipientHashes, addressHash(t.ring, m.To))
		rows.Params = append(rows.Params, sealedParams)
		rows.Dedups = append(rows.Dedups, m.Dedup)
		rows.CreatedAts = append(rows.CreatedAts, m.Now)
	}
	return t.q.InsertMails(ctx, rows)
}

func addressHash(ring Sealer, address connectors.Secret) []byte {
	return ring.Fingerprint([]byte("address/" + strings.ToLower(strings.TrimSpace(address.Reveal()))))
}

// Mail is a stored mail, opened.
type Mail struct {
	ID        uuid.UUID
	Template  string
	RequestID int64
	To        connectors.Secret
	Params    map[string]string // nil once the mail has left
	State     string
	Attempts  int
}

// Mail reads a mail and opens it.
func (s *Store) Mail(ctx context.Context, id uuid.UUID) (Mail, error) {
	row, err := s.q.MailByID(ctx, id)
	if err != nil {
		return Mail{}, notFound(err, "mail", id)
	}
	m := Mail{ID: row.ID, Template: row.Template, RequestID: val(row.RequestID), State: row.State, Attempts: int(row.Attempts)}
	to, err := s.ring.Open(row.RecipientSealed, mailAD(id, "to"))
	if err != nil {
		return m, err
	}
	m.To = connectors.NewSecret(string(to))
	if row.ParamsSealed != nil {
		params, err := s.ring.Open(row.ParamsSealed, mailAD(id, "params"))
		if err != nil {
			return m, err
		}
		if err := json.Unmarshal(params, &m.Params); err != nil {
			return m, err
		}
	}
	return m, nil
}

// SettleMail records a try: state is queued (tried again), sent or refused.
func (t *Tx) SettleMail(ctx context.Context, id uuid.UUID, state string, status int, detail string, sentAt time.Time) error {
	return t.q.SettleMail(ctx, db.SettleMailParams{ID: id, State: state, Status: ptr(int32(status)), Detail: detail, SentAt: timePtr(sentAt)})
}

// BounceMail records that a mail came back; false when no such mail is out.
func (t *Tx) BounceMail(ctx context.Context, id uuid.UUID, detail string) (bool, error) {
	n, err := t.q.BounceMail(ctx, detail, id)
	return n > 0, err
}

// WaitingMail is a mail that has not left, was refused or came back.
type WaitingMail = db.WaitingMailsRow

// WaitingMails gives them, oldest first.
func (s *Store) WaitingMails(ctx context.Context, limit int) ([]WaitingMail, error) {
	return s.q.WaitingMails(ctx, int32(limit))
}

// Link is a one-time link to a credential's secret.
type Link struct {
	ID           uuid.UUID
	CredentialID uuid.UUID
	To           connectors.Secret
	Role         string // contact_technique or demandeur
	MailID       uuid.UUID
	ExpiresAt    time.Time
	Used         bool
	Cancelled    bool
	Renewed      bool
}

// NewLink is a link to make; TokenHash is the SHA-256 of its psl value.
type NewLink struct {
	ID           uuid.UUID
	CredentialID uuid.UUID
	TokenHash    []byte
	To           connectors.Secret
	Role         string
	MailID       uuid.UUID
	Now          time.Time
	ExpiresAt    time.Time
}

func linkAD(id uuid.UUID) []byte { return []byte("handover_link/" + id.String()) }

// InsertLink makes a link.
func (t *Tx) InsertLink(ctx context.Context, l NewLink) error {
	sealed, err := t.ring.Seal([]byte(l.To.Reveal()), linkAD(l.ID))
	if err != nil {
		return err
	}
	return t.q.InsertLink(ctx, db.InsertLinkParams{
		ID: l.ID, CredentialID: l.CredentialID, TokenHash: l.TokenHash, RecipientSealed: sealed,
		RecipientHash: addressHash(t.ring, l.To), Role: l.Role, MailID: l.MailID, CreatedAt: l.Now, ExpiresAt: l.ExpiresAt,
	})
}

// LinkByHash finds a link by the hash of its value.
func (s *Store) LinkByHash(ctx context.Context, hash []byte) (Link, error) {
	return linkByHash(ctx, s.q, s.ring, hash)
}

// LinkByHash is Store.LinkByHash inside a transaction.
func (t *Tx) LinkByHash(ctx context.Context, hash []byte) (Link, error) {
	return linkByHash(ctx, t.q, t.ring, hash)
}

func linkByHash(ctx context.Context, q *db.Queries, ring Sealer, hash []byte) (Link, error) {
	row, err := q.LinkByHash(ctx, hash)
	if err != nil {
		return Link{}, notFound(err, "link", "of this value")
	}
	to, err := ring.Open(row.RecipientSealed, linkAD(row.ID))
	if err != nil {
		return Link{}, err
	}
	return Link{
		ID: row.ID, CredentialID: row.CredentialID, To: connectors.NewSecret(string(to)), Role: row.Role, MailID: row.MailID,
		ExpiresAt: row.ExpiresAt, Used: row.UsedAt != nil, Cancelled: row.CancelledAt != nil, Renewed: row.RenewedAt != nil,
	}, nil
}

// UseLink spends a link by one conditional update: true for exactly one caller.
func (t *Tx) UseLink(ctx context.Context, id uuid.UUID, now time.Time) (bool, error) {
	_, err := t.q.UseLink(ctx, &now, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// RenewLink spends an expired link's right to a new one: true for exactly one caller.
func (t *Tx) RenewLink(ctx context.Context, id uuid.UUID, now time.Time) (bool, error) {
	n, err := t.q.RenewLink(ctx, &now, id)
	return n > 0, err
}

// CancelLinks ends every unused link of a credential.
func (t *Tx) CancelLinks(ctx context.Context, credentialID uuid.UUID, now time.Time) error {
	return t.q.CancelLinks(ctx, &now, credentialID)
}

// LinkStatus is a link as people see it.
type LinkStatus = db.LinksOfCredentialRow

// Links gives the links of a credential with the state of their mails.
func (s *Store) Links(ctx context.Context, credentialID uuid.UUID) ([]LinkStatus, error) {
	return s.q.LinksOfCredential(ctx, credentialID)
}

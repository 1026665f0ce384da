package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Credential is a key at a manager. Its secret is opened by OpenSecret only.
type Credential struct{ db.Credential }

// ManagerHandle gives the manager's handle; one that holds only our reference
// when the key is not issued yet.
func (c Credential) ManagerHandle() (connectors.Handle, error) {
	h := connectors.Handle{Ref: c.Ref, Subject: c.SubjectID}
	if len(c.Handle) == 0 {
		return h, nil
	}
	err := json.Unmarshal(c.Handle, &h)
	return h, err
}

// SetHandle keeps the manager's handle.
func (c *Credential) SetHandle(h connectors.Handle) error {
	raw, err := json.Marshal(h)
	c.Handle = raw
	return err
}

// NewCredential is what a credential starts with.
type NewCredential struct {
	ID             uuid.UUID
	RequestID      int64
	HabilitationID int64
	Definition     string
	Manager        string // "" while none serves the definition
	State          string
	Scopes         []string
	Replaces       uuid.UUID
	ExpiresAt      time.Time
	AllowedIPs     []string // addresses and networks from which the key should be taken; none: any
	Now            time.Time
}

// InsertCredential makes a credential with the next number of its request; the
// caller holds the request's lock. ref makes the reference from that number.
func (t *Tx) InsertCredential(ctx context.Context, n NewCredential, ref func(requestID int64, number int) string) (Credential, error) {
	number, known := t.numbers[n.RequestID]
	if !known {
		var err error
		if number, err = t.q.NextCredentialNumber(ctx, n.RequestID); err != nil {
			return Credential{}, err
		}
	}
	t.numbers[n.RequestID] = number + 1
	if n.Scopes == nil {
		n.Scopes = []string{}
	}
	if n.AllowedIPs == nil {
		n.AllowedIPs = []string{}
	}
	c := db.Credential{ // what the database makes of it
		ID: n.ID, RequestID: n.RequestID, HabilitationID: ptr(n.HabilitationID), Definition: n.Definition, Manager: n.Manager,
		Number: number, Ref: ref(n.RequestID, int(number)), State: n.State, Scopes: n.Scopes, Replaces: ptr(n.Replaces),
		ExpiresAt: timePtr(n.ExpiresAt), AllowedIps: n.AllowedIPs, CreatedAt: n.Now, UpdatedAt: n.Now,
	}
	return Credential{c}, t.later().InsertCredential(ctx, db.InsertCredentialParams{
		ID: c.ID, RequestID: c.RequestID, HabilitationID: c.HabilitationID, Definition: c.Definition, Manager: c.Manager,
		Number: c.Number, Ref: c.Ref, State: c.State, Scopes: c.Scopes, Replaces: c.Replaces,
		ExpiresAt: c.ExpiresAt, AllowedIps: c.AllowedIps, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	})
}

// LockCredential reads a credential and locks it until the end of the transaction.
func (t *Tx) LockCredential(ctx context.Context, id uuid.UUID) (Credential, error) {
	row, err := t.q.LockCredential(ctx, id)
	return Credential{row}, notFound(err, "credential", id)
}

// Credential reads a credential.
func (s *Store) Credential(ctx context.Context, id uuid.UUID) (Credential, error) {
	row, err := s.q.CredentialByID(ctx, id)
	return Credential{row}, notFound(err, "credential", id)
}

// CredentialByValue finds the credential that has this clear value, by its fingerprint.
func (s *Store) CredentialByValue(ctx context.Context, value string) (Credential, error) {
	row, err := s.q.CredentialByFingerprint(ctx, s.ring.Fingerprint([]byte(value)))
	return Credential{row}, notFound(err, "credential", "of this value")
}

// Credentials gives the credentials of a request, oldest first.
func (s *Store) Credentials(ctx context.Context, requestID int64) ([]Credential, error) {
	rows, err := s.q.CredentialsOfRequest(ctx, requestID)
	return credentials(rows), err
}

// Credentials locks the credentials of a request until the end of the
// transaction and gives them, oldest first. The caller holds the request's lock.
func (t *Tx) Credentials(ctx context.Context, requestID int64) ([]Credential, error) {
	rows, err := t.q.LockCredentialsOfRequest(ctx, requestID)
	return credentials(rows), err
}

func credentials(rows []db.Credential) []Credential {
	list := make([]Credential, len(rows))
	for i, row := range rows {
		list[i] = Credential{row}
	}
	return list
}

// SaveCredential writes what changed.
func (t *Tx) SaveCredential(ctx context.Context, c Credential, now time.Time) error {
	return t.q.UpdateCredential(ctx, db.UpdateCredentialParams{
		ID: c.ID, State: c.State, Manager: c.Manager, HabilitationID: c.HabilitationID, Scopes: c.Scopes, GrantsPending: c.GrantsPending,
		SecretSealed: c.SecretSealed, Fingerprint: c.Fingerprint, Hint: c.Hint, SubjectID: c.SubjectID, Handle: c.Handle,
		ExpiresAt: c.ExpiresAt, IssuedAt: c.IssuedAt, OldUntil: c.OldUntil, RevokedAt: c.RevokedAt,
		VerifiedAt: c.VerifiedAt, Reason: c.Reason, ProlongUntil: c.ProlongUntil, AllowedIps: c.AllowedIps, UpdatedAt: now,
	})
}

func credentialAD(c Credential) []byte { return []byte("credential/" + c.ID.String() + "/" + c.Ref) }

// SealSecret puts the sealed value, its fingerprint and its hint (what people
// may see of it) into c.
func (s *Store) SealSecret(c *Credential, secret connectors.Secret, hint string) error {
	return sealSecret(s.ring, c, secret, hint)
}

// SealSecret is Store.SealSecret inside a transaction.
func (t *Tx) SealSecret(c *Credential, secret connectors.Secret, hint string) error {
	return sealSecret(t.ring, c, secret, hint)
}

func sealSecret(ring Sealer, c *Credential, secret connectors.Secret, hint string) error {
	sealed, err := ring.Seal([]byte(secret.Reveal()), credentialAD(*c))
	if err != nil {
		return err
	}
	c.SecretSealed, c.Fingerprint, c.Hint = sealed, ring.Fingerprint([]byte(secret.Reveal())), hint
	return nil
}

// OpenSecret gives the clear value; empty when there is none (not made yet, or
// destroyed after it was handed over).
func (s *Store) OpenSecret(c Credential) (connectors.Secret, error) { return openSecret(s.ring, c) }

// OpenSecret is Store.OpenSecret inside a transaction.
func (t *Tx) OpenSecret(c Credential) (connectors.Secret, error) { return openSecret(t.ring, c) }

func openSecret(ring Sealer, c Credential) (connectors.Secret, error) {
	if c.SecretSealed == nil {
		return connectors.Secret{}, nil
	}
	clear, err := ring.Open(c.SecretSealed, credentialAD(c))
	return connectors.NewSecret(string(clear)), err
}

// UnassignedDefinitions gives the definitions whose credentials wait for a
// manager to be configured.
func (s *Store) UnassignedDefinitions(ctx context.Context) ([]string, error) {
	return s.q.UnassignedDefinitions(ctx)
}

// UnassignedCredentials gives those of these definitions, oldest first.
func (s *Store) UnassignedCredentials(ctx context.Context, definitions []string, limit int) ([]uuid.UUID, error) {
	return s.q.UnassignedCredentials(ctx, definitions, int32(limit))
}

// Step is one step of a provisioning or a revocation as people see it.
type Step struct {
	Name       string
	State      string // waiting, doing, done, failed
	Class      string // connectors.Class of the last failure
	Detail     string // the partner's words
	StartedAt  time.Time
	FinishedAt time.Time
	RetryAt    time.Time
}

// RecordStep writes where a step stands; each call that starts it counts as an attempt.
func (t *Tx) RecordStep(ctx context.Context, credentialID uuid.UUID, s Step) error {
	attempts := int32(0)
	if s.State == "doing" {
		attempts = 1
	}
	return t.q.UpsertStep(ctx, db.UpsertStepParams{
		CredentialID: credentialID, Name: s.Name, State: s.State, Attempts: attempts, Class: s.Class, Detail: s.Detail,
		StartedAt: timePtr(s.StartedAt), FinishedAt: timePtr(s.FinishedAt), RetryAt: timePtr(s.RetryAt),
	})
}

// ProvisioningStep is a step as it is kept.
type ProvisioningStep = db.ProvisioningStep

// Steps gives the steps of a credential.
func (s *Store) Steps(ctx context.Context, credentialID uuid.UUID) ([]ProvisioningStep, error) {
	return s.q.StepsOf(ctx, credentialID)
}

// WaitingCredential is one line of "what waits and why".
type WaitingCredential = db.WaitingCredentialsRow

// WaitingCredentials gives every credential that is neither live nor over, longest wait first.
func (s *Store) WaitingCredentials(ctx context.Context, limit int) ([]WaitingCredential, error) {
	return s.q.WaitingCredentials(ctx, int32(limit))
}

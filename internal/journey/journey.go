package journey

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/journey/qfform"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Settings of journeys.
type Settings struct {
	Idle time.Duration // a transaction that nobody looks at is deleted after this

	// Limits on departures, shared by all replicas (api-particulier.md, 5). 0: none.
	Egress          string // names the address from which this hub calls: its share of the two limits below
	PerMinute       int
	PerHour         int
	PerHabilitation int // a minute

	// FormScopes are what a habilitation that lists no scope covers: formulaire_qf.
	FormScopes []string
	// Location is where months begin: Europe/Paris.
	Location *time.Location
	Limits   Limits
}

// Service runs journeys. Its fields are set once.
type Service struct {
	Store     *store.Store
	Registry  *registry.Registry
	Gate      connectors.Gate
	Identity  connectors.IdentityProvider
	Quotients connectors.QuotientSource
	Settings  Settings
	Now       func() time.Time
	Log       zerolog.Logger
	// Count hears of every step and how it ended, for metrics; nil: nobody.
	Count func(step, outcome string)

	running  sync.WaitGroup
	turns    sync.Map // recipient -> chan struct{}: who asks for it in this process
	fetching sync.Map // id -> chan struct{}: closed when its fetch is over
}

// Errors of a journey.
var (
	// ErrGone: no such transaction for this browser: unknown, over, or another's.
	ErrGone = errors.New("journey: gone")
	// ErrStep: the transaction is not where the caller believes it is; show where it is.
	ErrStep = errors.New("journey: at another step")
	// ErrClosed: the commune receives nothing now.
	ErrClosed = errors.New("journey: commune closed")
)

// Ticket is a transaction and the key that opens it. The key is for a cookie and
// for nothing else.
type Ticket struct {
	ID  uuid.UUID
	Key Key
}

// keyLen is the length of a key, in bytes.
const keyLen = 32

// Key opens one transaction. It prints nothing.
type Key [keyLen]byte

func newKey() (k Key) { _, _ = rand.Read(k[:]); return k } // never fails

// ParseKey reads what Text wrote.
func ParseKey(text string) (k Key, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != keyLen {
		return k, false
	}
	return Key(raw), true
}

// Text is the key as a cookie holds it.
func (k Key) Text() string { return hex.EncodeToString(k[:]) }

// Format prints nothing of it.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(connectors.Redacted)) }

func (k Key) hash() []byte { h := sha256.Sum256(k[:]); return h[:] }

func (k Key) opens(j store.Journey) bool { return bytes.Equal(k.hash(), j.KeyHash) } // of hashes: nothing to time

// Entry is what an editor's link carried, verified (Links).
type Entry struct {
	ExternalID string `json:"external_id,omitempty"`
	ReturnTo   string `json:"return_to,omitempty"`
	Refused    bool   `json:"refused,omitempty"` // what it carried was not believed: she is told
}

// content is the sealed part of a transaction.
type content struct {
	Entry    Entry                     `json:"entry"`
	Nonce    string                    `json:"nonce,omitempty"`
	Scopes   []string                  `json:"scopes,omitempty"` // asked at FranceConnect
	Identity *connectors.PivotIdentity `json:"identity,omitempty"`
	Family   *connectors.Family        `json:"family,omitempty"`
	Early    bool                      `json:"early,omitempty"` // the month before was asked
	IDToken  string                    `json:"id_token,omitempty"`
	PDF      []byte                    `json:"pdf,omitempty"`
	PDFName  string                    `json:"pdf_name,omitempty"`
}

func ad(id uuid.UUID) []byte { return []byte("journey/" + id.String()) }

func (c content) seal(k Key, id uuid.UUID) ([]byte, error) {
	clear, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return store.SealUnder(k[:], clear, ad(id))
}

func open(k Key, j store.Journey) (c content, err error) {
	clear, err := store.OpenUnder(k[:], j.Body, ad(j.ID))
	if err != nil {
		return c, fmt.Errorf("open journey %s: %w", j.ID, err)
	}
	return c, json.Unmarshal(clear, &c)
}

// Open begins a transaction for a commune, fixed from now on.
func (s *Service) Open(ctx context.Context, r store.Receiver, e Entry) (Ticket, error) {
	if !store.Receives(r) {
		return Ticket{}, ErrClosed
	}
	t := Ticket{uuid.New(), newKey()}
	body, err := content{Entry: e}.seal(t.Key, t.ID)
	if err != nil {
		return Ticket{}, err
	}
	now := s.Now()
	err = s.Store.InsertJourney(ctx, store.Journey{ID: t.ID, ReceiverID: r.ID, KeyHash: t.Key.hash(), Body: body, CreatedAt: now, ExpiresAt: now.Add(s.Settings.Idle)})
	s.count("open", outcome(err))
	return t, err
}

// touchEvery bounds how often a transaction in use is written.
const touchEvery = time.Minute

// find reads a transaction that this key opens and that is not over.
func (s *Service) find(ctx context.Context, t Ticket) (store.Journey, error) {
	j, err := s.Store.Journey(ctx, t.ID)
	if errors.Is(err, store.ErrNotFound) {
		return j, ErrGone
	}
	if err != nil {
		return j, err
	}
	now := s.Now()
	if !t.Key.opens(j) || !j.ExpiresAt.After(now) {
		return j, ErrGone
	}
	return j, s.Store.TouchJourney(ctx, t.ID, now.Add(s.Settings.Idle), now.Add(s.Settings.Idle-touchEvery))
}

// change is Store.ChangeJourney for one that this key opens, in one of states.
func (s *Service) change(ctx context.Context, t Ticket, fn func(*store.Journey, *content) error, states ...string) error {
	err := s.Store.ChangeJourney(ctx, t.ID, func(j *store.Journey) error {
		switch {
		case !t.Key.opens(*j) || !j.ExpiresAt.After(s.Now()):
			return ErrGone
		case !slices.Contains(states, j.State):
			return ErrStep
		}
		c, err := open(t.Key, *j)
		if err != nil {
			return err
		}
		if err := fn(j, &c); err != nil {
			return err
		}
		j.ExpiresAt = s.Now().Add(s.Settings.Idle)
		j.Body, err = c.seal(t.Key, j.ID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return ErrGone
	}
	return err
}

// View is where a transaction stands and what its page shows. Identity and
// Family are personal: they go into the page and nowhere else.
type View struct {
	ID        uuid.UUID
	State     string
	Failure   Failure
	Receiver  store.Receiver
	Reference string
	Identity  *connectors.PivotIdentity
	Family    *connectors.Family
	Early     bool // the month before was asked, because this one is not computed yet
	// BirthDateDiffers: nobody in the family was born when she was. A warning.
	BirthDateDiffers bool
	Covers           []string // scopes of the commune's right
	ReturnTo         string
	LinkRefused      bool // she came by a link that was not believed
	HasPDF           bool
	CanLogOut        bool
	CanSendIdentity  bool          // she failed, and the commune takes an identity alone
	Folder           *store.Folder // once sent
}

// Arrived reports whether HubEE has all of it.
func (v View) Arrived() bool {
	return v.Folder != nil && slices.Contains([]string{store.FolderCompleted, store.FolderSettled, store.FolderClosed}, v.Folder.State)
}

// Lost reports whether it was given up.
func (v View) Lost() bool { return v.Folder != nil && v.Folder.State == store.FolderLost }

// See gives where a transaction stands.
func (s *Service) See(ctx context.Context, t Ticket) (View, error) {
	j, err := s.find(ctx, t)
	if err != nil {
		return View{}, err
	}
	if j.State == store.JourneyFetching && j.FetchBy != nil && s.Now().After(*j.FetchBy) {
		// Whoever fetched is dead: its process was killed.
		if err := s.fail(ctx, t, store.JourneyFetching, FailedInterrupted, nil, ""); err != nil && !errors.Is(err, ErrStep) {
			return View{}, err
		}
		if j, err = s.find(ctx, t); err != nil {
			return View{}, err
		}
	}
	return s.view(ctx, t, j)
}

func (s *Service) view(ctx context.Context, t Ticket, j store.Journey) (View, error) {
	c, err := open(t.Key, j)
	if err != nil {
		return View{}, err
	}
	r, err := s.Store.Receiver(ctx, j.ReceiverID)
	if err != nil {
		return View{}, err
	}
	v := View{
		ID: j.ID, State: j.State, Failure: Failure(j.Failure), Receiver: r, Reference: text(j.Reference), Identity: c.Identity, Family: c.Family,
		Early: c.Early, ReturnTo: c.Entry.ReturnTo, LinkRefused: c.Entry.Refused, HasPDF: len(c.PDF) > 0, CanLogOut: c.IDToken != "", Covers: c.Scopes,
	}
	v.BirthDateDiffers = c.Identity != nil && c.Family != nil && birthDateDiffers(c.Identity.BirthDate, c.Family.Allocataires)
	v.CanSendIdentity = j.State == store.JourneyFailed && c.Identity != nil && r.IdentityAlone && Failure(j.Failure).lastsForHer()
	if j.State == store.JourneySent {
		f, err := s.Store.Folder(ctx, j.ID)
		if err != nil {
			return View{}, err
		}
		v.Folder = &f
	}
	return v, nil
}

// Follow gives where a sent folder stands to whoever knows its transaction's id,
// without anything personal: her cookie may be gone.
func (s *Service) Follow(ctx context.Context, id uuid.UUID) (View, error) {
	f, err := s.Store.Folder(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return View{}, ErrGone
	}
	if err != nil {
		return View{}, err
	}
	r, err := s.Store.Receiver(ctx, f.ReceiverID)
	return View{ID: id, State: store.JourneySent, Receiver: r, Folder: &f}, err
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// Cancel ends a transaction that is not sent: all that is personal is wiped, the
// commune and the way back stay for her to start again.
func (s *Service) Cancel(ctx context.Context, t Ticket) error {
	err := s.change(ctx, t, func(j *store.Journey, c *content) error {
		j.State, j.Failure, j.Reference = store.JourneyFailed, string(FailedCancelled), nil
		j.Line, j.QueuedAt, j.SeenAt, j.FetchBy = nil, nil, nil, nil
		*c = content{Entry: c.Entry, IDToken: c.IDToken}
		return nil
	}, store.JourneyEntered, store.JourneyAway, store.JourneyFetching, store.JourneyReview, store.JourneyFailed)
	s.count("cancel", outcome(err))
	return err
}

// SendIdentity shows her what would be sent without a quotient, where her commune
// accepts it.
func (s *Service) SendIdentity(ctx context.Context, t Ticket) error {
	j, err := s.find(ctx, t)
	if err != nil {
		return err
	}
	r, err := s.Store.Receiver(ctx, j.ReceiverID)
	if err != nil {
		return err
	}
	return s.change(ctx, t, func(j *store.Journey, c *content) error {
		if c.Identity == nil || !r.IdentityAlone || !Failure(j.Failure).lastsForHer() {
			return ErrStep
		}
		reference := registry.NewReference()
		j.State, j.Failure, j.Reference = store.JourneyReview, "", &reference
		return nil
	}, store.JourneyFailed)
}

// Send hands what she saw to the registry, once: a second click finds it sent.
func (s *Service) Send(ctx context.Context, t Ticket) error {
	err := s.send(ctx, t)
	s.count("send", outcome(err))
	return err
}

func (s *Service) send(ctx context.Context, t Ticket) error {
	j, err := s.find(ctx, t)
	if err != nil {
		return err
	}
	if j.State == store.JourneySent {
		return nil
	}
	if j.State != store.JourneyReview {
		return ErrStep
	}
	c, err := open(t.Key, j)
	if err != nil {
		return err
	}
	r, err := s.Store.Receiver(ctx, j.ReceiverID)
	if err != nil {
		return err
	}
	if c.Family == nil && !r.IdentityAlone { // it does not take that any more
		return ErrClosed
	}
	form := qfform.Form{Reference: text(j.Reference), ExternalID: c.Entry.ExternalID, Identity: *c.Identity, Family: c.Family, Recipient: r.Name, At: s.Now()}
	files, err := form.Files()
	if err != nil {
		return err
	}
	folder := store.FolderContent{FirstNames: c.Identity.GivenName(), LastName: c.Identity.FamilyName}
	kept := content{Entry: c.Entry, IDToken: c.IDToken}
	for _, f := range files {
		folder.Files = append(folder.Files, store.FolderFile{Name: f.Name, Type: qfform.Type, MIME: f.MIME, Content: f.Content})
		if f.MIME == "application/pdf" {
			kept.PDF, kept.PDFName = f.Content, f.Name
		}
	}
	body, err := kept.seal(t.Key, j.ID)
	if err != nil {
		return err
	}
	err = s.Registry.Record(ctx, &registry.SendJourney{
		Folder: registry.AcceptFolder{ID: j.ID, Receiver: r.ID, Reference: form.Reference, Content: folder}, KeyHash: t.Key.hash(), Kept: body, Notice: NoticeVersion,
	})
	var state *registry.StateError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ErrGone
	case errors.As(err, &state) && state.What == "receiver":
		return ErrClosed
	case errors.As(err, &state):
		return ErrStep
	}
	return err
}

// Document gives her PDF, while her transaction is not wiped.
func (s *Service) Document(ctx context.Context, t Ticket) (name string, pdf []byte, err error) {
	j, err := s.find(ctx, t)
	if err != nil {
		return "", nil, err
	}
	c, err := open(t.Key, j)
	if err == nil && len(c.PDF) == 0 {
		err = ErrStep
	}
	return c.PDFName, c.PDF, err
}

// Leave wipes a transaction, then gives the address that ends her session at
// FranceConnect; "" when she has none. state comes back with her.
func (s *Service) Leave(ctx context.Context, t Ticket) (address, state string, err error) {
	j, err := s.find(ctx, t)
	if err != nil {
		return "", "", err
	}
	c, err := open(t.Key, j)
	if err != nil {
		return "", "", err
	}
	if err := s.Store.DeleteJourney(ctx, t.ID); err != nil {
		return "", "", err
	}
	s.count("leave", "ok")
	if c.IDToken == "" {
		return "", "", nil
	}
	state = random()
	address, err = s.Identity.Logout(ctx, connectors.NewSecret(c.IDToken), state)
	if err != nil { // what is here is wiped: she is told to close her browser
		s.Log.Warn().Err(err).Msg("no address to log out at the identity provider")
		return "", "", nil
	}
	return address, state, nil
}

// Wait waits until the fetches of this process are over, or ctx ends.
func (s *Service) Wait(ctx context.Context) {
	over := make(chan struct{})
	go func() { s.running.Wait(); close(over) }()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

func (s *Service) count(step, outcome string) {
	if s.Count != nil {
		s.Count(step, outcome)
	}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrGone):
		return "gone"
	case errors.Is(err, ErrStep):
		return "other_step"
	case errors.Is(err, ErrClosed):
		return "closed"
	}
	return "error"
}

// random draws 32 bytes, as 64 hexadecimal characters (franceconnect.md, FC-2).
func random() string {
	k := newKey()
	return k.Text()
}

func hashOf(state string) []byte { h := sha256.Sum256([]byte(state)); return h[:] }

package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/datapass"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
)

// mirror is a hub beside a simulated DataPass whose clock is an hour behind: what
// happens there happened an hour ago. Webhooks reach the hub only through hear.
type mirror struct {
	t    *testing.T
	pool *pgxpool.Pool
	site *datapasstest.Server
	*Workers
	catchUp *catchUp
	log     *bytes.Buffer
	heard   map[int64]bool
}

const sourceName = "datapass"

type oneManager struct{}

func (oneManager) Policy(string) (registry.Policy, bool) {
	return registry.Policy{Managers: []string{"m"}, Lifetime: func(t time.Time) time.Time { return t.AddDate(0, 18, 0) }}, true
}

func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{t: t, pool: pgtest.New(t, store.Migrate), log: &bytes.Buffer{}, heard: map[int64]bool{}}
	key, err := seal.ParseKey("test", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	if err != nil {
		t.Fatal(err)
	}
	data := store.New(m.pool, ring)
	outbox, err := NewOutbox(data, 10*time.Millisecond, time.Now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	reg := registry.New(data, outbox, catalogue, oneManager{}, registry.Settings{
		PublicURL: "https://hub.example", TokenEnv: "test", LinkLifetime: time.Hour,
	}, time.Now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { reg.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })

	m.site = datapasstest.New(datapasstest.Options{})
	m.site.Advance(-time.Hour)
	m.site.Hold(true)
	url, err := m.site.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.site.Close() })
	all := []string{}
	for _, d := range catalogue.Definitions() {
		all = append(all, d.UID)
		m.site.AddSubscription(datapasstest.Subscription{Definition: d.UID, URL: "http://127.0.0.1:1/"})
	}
	app := m.site.AddApplication(datapasstest.Application{Definitions: all})
	settings := datapass.Default()
	none := 0
	settings.Retries, settings.Breaker.Failures = &none, 1000
	settings.URL, settings.ClientID, settings.ClientSecret = url, app.ClientID, connectors.NewSecret(app.ClientSecret)
	client, err := outbound.Partner(sourceName, settings.Settings, zerolog.New(m.log))
	if err != nil {
		t.Fatal(err)
	}
	api, err := settings.Open(connectors.Deps{Name: sourceName, Now: time.Now, Partner: client})
	if err != nil {
		t.Fatal(err)
	}
	m.Workers = &Workers{
		Registry: reg, Store: data, Sources: map[string]Source{sourceName: {API: api, CatchUpEvery: 10 * time.Minute}}, Now: time.Now,
		Log: zerolog.New(m.log), Webhooks: Webhooks{Waker: outbox.Waker(), Policy: registry.DeliveryPolicy{}},
	}
	m.catchUp = &catchUp{Workers: m.Workers}
	return m
}

// hear brings the hub the webhooks that DataPass made and that it did not hear
// yet, and applies them; it gives the token id answered last.
func (m *mirror) hear() uuid.UUID {
	m.t.Helper()
	var tokenID uuid.UUID
	for _, d := range m.site.Deliveries() {
		if m.heard[d.ID] {
			continue
		}
		m.heard[d.ID] = true
		receipt, err := m.Registry.Receive(m.t.Context(), registry.Webhook{Source: sourceName, Environment: "sandbox", Body: d.Body})
		if err != nil {
			m.t.Fatal(err)
		}
		if receipt.TokenID != uuid.Nil {
			tokenID = receipt.TokenID
		}
		m.do(&registry.ApplyInbound{Key: store.InboundKey{Source: sourceName, ExternalID: d.RequestID}})
	}
	return tokenID
}

// lose drops the webhooks made so far.
func (m *mirror) lose() {
	for _, d := range m.site.Deliveries() {
		m.heard[d.ID] = true
	}
}

func (m *mirror) do(cmd registry.Command) {
	m.t.Helper()
	if err := m.Registry.Record(m.t.Context(), cmd); err != nil {
		m.t.Fatalf("%T: %v", cmd, err)
	}
}

// round catches up until the round is over.
func (m *mirror) round() {
	m.t.Helper()
	for range 100 {
		err := m.work(m.t.Context())
		var snooze *rivertype.JobSnoozeError
		if errors.As(err, &snooze) {
			continue
		}
		if err != nil {
			m.t.Fatal(err)
		}
		return
	}
	m.t.Fatal("the round does not end")
}

func (m *mirror) work(ctx context.Context) error {
	return m.catchUp.Work(ctx, &river.Job[CatchUpArgs]{JobRow: &rivertype.JobRow{}, Args: CatchUpArgs{Source: sourceName}})
}

func (m *mirror) file(filing datapasstest.Filing, events ...datapasstest.EventName) int64 {
	m.t.Helper()
	r, err := m.site.Create(m.t.Context(), filing)
	if err != nil {
		m.t.Fatal(err)
	}
	m.play(r.ID, events...)
	return r.ID
}

// play has DataPass go through some events, a second apart.
func (m *mirror) play(id int64, events ...datapasstest.EventName) {
	m.t.Helper()
	ctx := m.t.Context()
	for _, event := range events {
		m.site.Advance(time.Second)
		var err error
		switch event {
		case datapasstest.EventUpdate:
			_, err = m.site.Update(ctx, id, datapasstest.Fields{"intitule": datapasstest.Text(fmt.Sprint("titre ", m.site.Now()))})
		case datapasstest.EventSubmit:
			_, err = m.site.Submit(ctx, id)
		case datapasstest.EventApprove:
			_, err = m.site.Approve(ctx, id, datapasstest.Approval{})
		case datapasstest.EventRefuse:
			_, err = m.site.Refuse(ctx, id, "motif")
		case datapasstest.EventRevoke:
			_, err = m.site.Revoke(ctx, id, "motif")
		case datapasstest.EventArchive:
			_, err = m.site.Archive(ctx, id)
		case datapasstest.EventReopen:
			_, err = m.site.Reopen(ctx, id)
		case datapasstest.EventCancelReopening:
			_, err = m.site.CancelReopening(ctx, id, "motif")
		case datapasstest.EventRequestChanges:
			_, err = m.site.RequestChanges(ctx, id, "motif")
		default:
			m.t.Fatalf("cannot play %s", event)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *mirror) read(id int64) habilitation.Request {
	m.t.Helper()
	row, err := m.Store.RequestByExternal(m.t.Context(), store.InboundKey{Source: sourceName, ExternalID: id})
	if err != nil {
		m.t.Fatal(err)
	}
	r, err := m.Store.Request(m.t.Context(), row)
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

func (m *mirror) count(query string, args ...any) int {
	m.t.Helper()
	var n int
	if err := m.pool.QueryRow(m.t.Context(), query, args...).Scan(&n); err != nil {
		m.t.Fatal(err)
	}
	return n
}

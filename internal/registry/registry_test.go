package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
	"github.com/passerelle-hub/passerelle/jobs"
)

// bench is a registry over a database of its own, with the real outbox.
type bench struct {
	*registry.Registry
	store  *store.Store
	pool   *pgxpool.Pool
	outbox *jobs.Outbox
}

type onePolicy struct{ managers []string }

func (p onePolicy) Policy(string) (registry.Policy, bool) {
	return registry.Policy{
		Managers: p.managers, Lifetime: func(t time.Time) time.Time { return t.AddDate(0, 18, 0) }, ArchiveRevoke: true, ArchiveNotice: time.Hour,
	}, p.managers != nil
}

func open(t *testing.T, policies registry.Policies) bench {
	t.Helper()
	pool := pgtest.New(t, store.Migrate)
	key, err := seal.ParseKey("test", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(pool, ring)
	outbox, err := jobs.NewOutbox(s, 10*time.Millisecond, time.Now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	r := registry.New(s, outbox, catalogue, policies, registry.Settings{
		PublicURL: "https://hub.example", TokenEnv: "test", LinkLifetime: 7 * 24 * time.Hour,
	}, time.Now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	b := bench{r, s, pool, outbox}
	t.Cleanup(func() { b.checkEvents(t) })
	return b
}

func (b bench) receive(t *testing.T, body []byte) store.Receipt {
	t.Helper()
	receipt, err := b.Receive(t.Context(), registry.Webhook{Source: "datapass", Environment: "sandbox", Declared: "sandbox", Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func (b bench) apply(t *testing.T, externalID int64) {
	t.Helper()
	if err := b.Record(t.Context(), &registry.ApplyInbound{Key: store.InboundKey{Source: "datapass", ExternalID: externalID}}); err != nil {
		t.Fatal(err)
	}
}

func (b bench) count(t *testing.T, query string, args ...any) int {
	t.Helper()
	var n int
	if err := b.pool.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// sample is one of DataPass's bodies, compact as on the wire.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

const entreprise = 48213 // the request of the submit, approve and revoke samples

func TestTheSameWebhookFiftyTimesAtOnceHasOneEffectAndFiftyEqualAnswers(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	body := sample(t, "webhook-approve.json")
	receipts := make([]store.Receipt, 50)
	var all sync.WaitGroup
	for i := range receipts {
		all.Go(func() {
			receipt, err := b.Receive(t.Context(), registry.Webhook{Source: "datapass", Environment: "sandbox", Body: body})
			if err != nil {
				t.Error(err)
			}
			receipts[i] = receipt
		})
	}
	all.Wait()
	fresh := 0
	for _, r := range receipts {
		if r.TokenID == uuid.Nil || r.TokenID != receipts[0].TokenID || r.ID != receipts[0].ID {
			t.Errorf("receipt %+v differs from %+v", r, receipts[0])
		}
		if !r.Duplicate {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("%d receipts say that they were the first, want 1", fresh)
	}
	if n := b.count(t, `select count(*) from inbound_event`); n != 1 {
		t.Errorf("%d events stored, want 1", n)
	}
	if n := b.count(t, `select count(*) from river_job where kind = 'apply_inbound'`); n != 1 {
		t.Errorf("%d jobs queued, want 1", n)
	}
	var applying sync.WaitGroup
	for range 10 {
		applying.Go(func() { b.apply(t, entreprise) })
	}
	applying.Wait()
	if n := b.count(t, `select count(*) from credential`); n != 1 {
		t.Errorf("%d credentials, want 1", n)
	}
	if n := b.count(t, `select count(*) from credential where id = $1`, receipts[0].TokenID); n != 1 {
		t.Error("the credential does not have the token_id that was answered")
	}
}

func TestManyRequestsAtOnceAreAllStoredWithTheirOwnToken(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	approve := string(sample(t, "webhook-approve.json"))
	tokens := make([]uuid.UUID, 200)
	var all sync.WaitGroup
	for i := range tokens {
		all.Go(func() {
			body := strings.Replace(approve, `"model_id":48213`, fmt.Sprintf(`"model_id":%d`, 100_000+i), 1)
			receipt, err := b.Receive(t.Context(), registry.Webhook{Source: "datapass", Environment: "sandbox", Body: []byte(body)})
			if err != nil {
				t.Error(err)
			}
			tokens[i] = receipt.TokenID
		})
	}
	all.Wait()
	distinct := map[uuid.UUID]bool{}
	for _, id := range tokens {
		distinct[id] = true
	}
	if len(distinct) != len(tokens) || distinct[uuid.Nil] {
		t.Errorf("%d distinct tokens for %d requests", len(distinct), len(tokens))
	}
}

func TestEventsInAnyOrderEndInTheSameState(t *testing.T) {
	bodies := map[string][]byte{
		"submit": sample(t, "webhook-submit.json"), "approve": sample(t, "webhook-approve.json"), "revoke": sample(t, "webhook-revoke.json"),
	}
	for _, order := range [][]string{
		{"submit", "approve", "revoke"},
		{"revoke", "approve", "submit"},
		{"approve", "submit", "revoke"},
		{"approve", "revoke", "submit"},
		{"submit", "revoke", "approve"},
		{"revoke", "submit", "approve"},
	} {
		t.Run(strings.Join(order, " then "), func(t *testing.T) {
			t.Parallel()
			b := open(t, onePolicy{[]string{"m"}})
			for _, name := range order {
				b.receive(t, bodies[name])
				b.apply(t, entreprise)
			}
			id, err := b.store.RequestByExternal(t.Context(), store.InboundKey{Source: "datapass", ExternalID: entreprise})
			if err != nil {
				t.Fatal(err)
			}
			req, err := b.store.Request(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if req.State != "revoked" {
				t.Errorf("state %s, want revoked", req.State)
			}
			if n := b.count(t, `select count(*) from credential where state not in ('cancelled', 'revoking', 'revoked_at_hub', 'revoked_verified')`); n != 0 {
				t.Errorf("%d credentials still live", n)
			}
			if n := b.count(t, `select count(*) from inbound_event where state in ('applied', 'late', 'no_effect')`); n != 3 {
				t.Errorf("%d of 3 events settled and kept", n)
			}
			if n := b.count(t, `select count(*) from history where request_id = $1 and event in ('submit', 'approve', 'revoke')`, id); n != 3 {
				t.Errorf("%d of 3 events in the history", n)
			}
		})
	}
}

func TestWhatCannotBeAppliedYetIsAcceptedParkedAndTakenUp(t *testing.T) {
	approve := string(sample(t, "webhook-approve.json"))
	for name, c := range map[string]struct {
		body     string
		declared string
		reason   string
	}{
		"an unknown definition":   {strings.ReplaceAll(approve, "authorization_request/api_entreprise", "authorization_request/api_inconnue"), "sandbox", "inconnue du catalogue"},
		"another environment":     {approve, "production", "environnement annoncé"},
		"a body that says little": {`{"event":"approve","fired_at":1774346718,"model_type":"authorization_request/api_entreprise","model_id":48213,"data":{}}`, "sandbox", "incomplet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, onePolicy{[]string{"m"}})
			receipt, err := b.Receive(t.Context(), registry.Webhook{Source: "datapass", Environment: "sandbox", Declared: c.declared, Body: []byte(c.body)})
			if err != nil {
				t.Fatal(err)
			}
			if receipt.TokenID == uuid.Nil {
				t.Error("no token_id is reserved")
			}
			b.apply(t, entreprise)
			parked, err := b.store.ParkedEvents(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			if len(parked) != 1 || !strings.Contains(parked[0].Reason, c.reason) {
				t.Fatalf("parked %+v, want one for %q", parked, c.reason)
			}
			if n := b.count(t, `select count(*) from request`); n != 0 {
				t.Errorf("%d requests made from a parked event", n)
			}
			if err := b.Record(t.Context(), &registry.TakeUp{InboundID: parked[0].ID}); err != nil {
				t.Fatal(err)
			}
			if n := b.count(t, `select count(*) from inbound_event where state = 'received'`); n != 1 {
				t.Error("the event is not back in line")
			}
			if name != "another environment" {
				return
			}
			b.apply(t, entreprise)
			if n := b.count(t, `select count(*) from credential where id = $1`, receipt.TokenID); n != 1 {
				t.Error("the event taken up does not use the token_id that was answered")
			}
		})
	}
}

func TestADefinitionWithoutManagerWaitsVisiblyAndIsServedOnceOneIsSet(t *testing.T) {
	policies := &settable{}
	b := open(t, policies)
	receipt := b.receive(t, sample(t, "webhook-approve.json"))
	b.apply(t, entreprise)
	waiting, err := b.store.Waiting(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(waiting.Credentials) != 1 || waiting.Credentials[0].Manager != "" {
		t.Fatalf("waiting: %+v", waiting.Credentials)
	}
	policies.set(onePolicy{[]string{"first", "second"}})
	for range 2 {
		if err := b.Record(t.Context(), &registry.AssignManager{CredentialID: receipt.TokenID}); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.count(t, `select count(*) from river_job where kind = 'provision_credential' and queue in ('partner_first', 'partner_second')`); n != 2 {
		t.Errorf("%d provisionings queued, want one per manager", n)
	}
}

type settable struct {
	mu sync.Mutex
	p  registry.Policies
}

func (s *settable) set(p registry.Policies) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p = p
}

func (s *settable) Policy(d string) (registry.Policy, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p == nil {
		return registry.Policy{}, false
	}
	return s.p.Policy(d)
}

func TestNothingIsStoredOfABodyThatIsNoWebhook(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	for name, body := range map[string]string{
		"not JSON":             `event=approve`,
		"an array":             `[]`,
		"no event":             `{"fired_at":1,"model_type":"authorization_request/x","model_id":1}`,
		"a wild event":         `{"event":"a\u0000b","fired_at":1,"model_type":"authorization_request/x","model_id":1}`,
		"no date":              `{"event":"submit","model_type":"authorization_request/x","model_id":1}`,
		"a date after 2200":    `{"event":"submit","fired_at":99999999999,"model_type":"authorization_request/x","model_id":1}`,
		"no id":                `{"event":"submit","fired_at":1,"model_type":"authorization_request/x"}`,
		"an id as text":        `{"event":"submit","fired_at":1,"model_type":"authorization_request/x","model_id":"1"}`,
		"a foreign model":      `{"event":"submit","fired_at":1,"model_type":"user","model_id":1}`,
		"a path as definition": `{"event":"submit","fired_at":1,"model_type":"authorization_request/../x","model_id":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Receive(t.Context(), registry.Webhook{Source: "datapass", Environment: "sandbox", Body: []byte(body)})
			var fault *registry.BodyError
			if err == nil || !asBodyError(err, &fault) {
				t.Errorf("error %v, want a BodyError", err)
			}
		})
	}
	if n := b.count(t, `select count(*) from inbound_event`); n != 0 {
		t.Errorf("%d events stored", n)
	}
}

func asBodyError(err error, target **registry.BodyError) bool {
	fault, ok := err.(*registry.BodyError) //nolint:errorlint // the contract is this very type
	*target = fault
	return ok
}

func TestTheTestBodyOfDataPassHasNoEffect(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	if receipt := b.receive(t, sample(t, "webhook-test.json")); receipt != (store.Receipt{}) {
		t.Errorf("receipt %+v", receipt)
	}
	if n := b.count(t, `select count(*) from inbound_event`); n != 0 {
		t.Error("a test body was stored")
	}
}

func TestAFailedWakeUpStoresNothing(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	inbox := b.store.NewInbox(func(context.Context, pgx.Tx, []store.InboundKey) error { return fmt.Errorf("no queue") })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go inbox.Run(ctx)
	_, err := inbox.Put(t.Context(), store.Incoming{Source: "s", Event: "submit", Definition: "d", ExternalID: 1, FiredAt: time.Now(), Body: []byte("{}")})
	if err == nil {
		t.Fatal("accepted although nothing follows")
	}
	if n := b.count(t, `select count(*) from inbound_event`); n != 0 {
		t.Error("stored although nothing follows")
	}
}

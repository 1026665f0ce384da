package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/hydra"
	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/kong"
	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
)

// keyPartner is a simulated manager, as the matrix needs it.
type keyPartner struct {
	site   *partnertest.Server
	admin  partnertest.Route
	open   func(connectors.Deps) (connectors.KeyManager, error)
	client outbound.Settings
	// live counts the keys that a subject has, rights are its own, sorted.
	live   func(subject string) int
	rights func(subject string) []string
	passes func(c store.Credential, secret connectors.Secret) bool
}

// What the sample's scopes are at both managers: one right of its own for the
// first, another one for all others.
const (
	droppedScope = "attestation_fiscale_dgfip"
	droppedRight = "dgfip"
	keptRight    = "cnaf"
)

func rightsOfSample() map[string][]string {
	m := map[string][]string{}
	for _, s := range []string{
		"attestation_sociale_urssaf", "open_data_actes_bilans_inpi", "open_data_associations_djepva", "open_data_carte_pro_travaux_publics_fntp",
		"open_data_certifications_batiment_qualibat", "open_data_certifications_bio_agence_bio", "open_data_certifications_ingenierie_opqibi",
		"open_data_certifications_qualifelec", "open_data_certifications_rge_ademe", "open_data_conventions_collectives_fabnum",
		"open_data_extrait_rcs_infogreffe", "open_data_immatriculation_eori_douanes", "open_data_numero_tva_dgfip",
		"open_data_unites_legales_etablissements_insee", "unites_legales_etablissements_insee",
	} {
		m[s] = []string{keptRight}
	}
	m[droppedScope] = []string{droppedRight}
	return m
}

// clientOf has no quick retries: each call that fails is the job's to repeat.
func clientOf(limit time.Duration) outbound.Settings {
	none := 0
	return outbound.Settings{Retries: &none, Breaker: outbound.Breaker{Failures: 10_000}, Timeouts: outbound.Timeouts{Total: limit}}
}

// kongPartner takes the hub's values.
func kongPartner(t *testing.T, clock *partnertest.Clock, limit time.Duration) keyPartner {
	t.Helper()
	s, err := kongtest.Start(kongtest.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c := kong.Default()
	c.URL, c.Settings = s.AdminURL(), clientOf(limit)
	c.Grants = map[string]kong.Grant{"api_entreprise": {Scopes: rightsOfSample()}}
	return keyPartner{
		site: s.Server, admin: kongtest.SideAdmin + ":", open: c.Open, client: c.Settings,
		live: func(subject string) int {
			consumer, found := s.ConsumerByCustomID(subject)
			n := 0
			for _, k := range s.Credentials() {
				if found && k.Consumer == consumer.ID {
					n++
				}
			}
			return n
		},
		rights: func(subject string) []string {
			consumer, _ := s.ConsumerByCustomID(subject)
			return slices.Sorted(slices.Values(consumer.Groups))
		},
		passes: func(_ store.Credential, secret connectors.Secret) bool {
			status, _ := s.Probe(secret.Reveal())
			return status == http.StatusOK
		},
	}
}

// hydraPartner makes the values itself: a lost answer is a lost value.
func hydraPartner(t *testing.T, clock *partnertest.Clock, limit time.Duration) keyPartner {
	t.Helper()
	s, err := hydratest.Start(hydratest.Options{Clock: clock, Version: hydratest.VersionRotating})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c := hydra.Default()
	c.URL, c.Settings = s.AdminURL(), clientOf(limit)
	c.Grants = map[string]hydra.Grant{"api_entreprise": {Scopes: rightsOfSample()}}
	open := func(deps connectors.Deps) (connectors.KeyManager, error) {
		m, err := c.Open(deps)
		if err == nil { // as the start of a process does: it learns who makes the values
			_, err = m.Health(context.Background())
		}
		return m, err
	}
	return keyPartner{
		site: s.Server, admin: hydratest.SideAdmin + ":", open: open, client: c.Settings,
		live: s.LiveSecrets,
		rights: func(subject string) []string {
			found, _ := s.Client(subject)
			return slices.Sorted(slices.Values(strings.Fields(found.Scope)))
		},
		passes: func(c store.Credential, secret connectors.Secret) bool {
			status, _ := s.ProbeClient(c.SubjectID, secret.Reveal())
			return status == http.StatusOK
		},
	}
}

type onManager struct{}

func (onManager) Policy(string) (registry.Policy, bool) {
	return registry.Policy{Managers: []string{"m"}, Lifetime: func(t time.Time) time.Time { return t.AddDate(0, 18, 0) }}, true
}

var loadCatalogue = sync.OnceValues(func() (*definitions.Set, error) {
	set, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	return set, report.Err()
})

// keyHouse is a hub with one simulated manager; its jobs are worked by hand.
type keyHouse struct {
	t       *testing.T
	pool    *pgxpool.Pool
	clock   *partnertest.Clock
	partner keyPartner
	samples map[string]string
	next    int64
	*Workers
}

func newKeyHouse(t *testing.T, limit time.Duration, start func(*testing.T, *partnertest.Clock, time.Duration) keyPartner) *keyHouse {
	t.Helper()
	h := &keyHouse{t: t, pool: pgtest.New(t, store.Migrate), clock: partnertest.NewClock(), samples: map[string]string{}, next: 48_213}
	h.clock.Freeze(time.Now().UTC().Truncate(time.Second))
	for _, name := range []string{"approve", "revoke"} {
		raw, err := os.ReadFile("../internal/registry/testdata/webhook-" + name + ".json")
		h.must(err)
		h.samples[name] = string(raw)
	}
	key, err := seal.ParseKey("test", yardSecret)
	h.must(err)
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	h.must(err)
	data := store.New(h.pool, ring)
	outbox, err := NewOutbox(data, 10*time.Millisecond, h.clock.Now, zerolog.Nop())
	h.must(err)
	catalogue, err := loadCatalogue()
	h.must(err)
	h.Workers = &Workers{Store: data, LeaseFor: time.Minute, Now: h.clock.Now, Log: zerolog.Nop(), Owner: "passerelle-test", TokenEnv: "test"}
	h.Registry = registry.New(data, outbox, catalogue, onManager{}, registry.Settings{
		PublicURL: "https://hub.example", OpsAddress: "ops@hub.example", TokenEnv: "test", LinkLifetime: time.Hour, CopyLifetime: 30 * 24 * time.Hour,
		Capabilities: func(string) (connectors.Capabilities, bool) { return h.Managers["m"].Capabilities(), true },
	}, h.clock.Now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.Registry.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	h.partner = start(t, h.clock, limit)
	h.connect()
	return h
}

func (h *keyHouse) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// connect opens the connector anew, as another process has it.
func (h *keyHouse) connect() {
	h.t.Helper()
	client, err := outbound.Partner("m", h.partner.client, zerolog.Nop())
	h.must(err)
	h.t.Cleanup(client.CloseIdle)
	m, err := h.partner.open(connectors.Deps{Name: "m", Owner: h.Owner, Now: h.clock.Now, Partner: client, Gate: h.Store.Gate(), Ledger: h.Store.Ledger("m")})
	h.must(err)
	h.Managers = map[string]Manager{"m": {KeyManager: m, Type: "test"}}
}

// hear takes a webhook in and applies it, as its job does.
func (h *keyHouse) hear(event string, external int64, change func(string) string) uuid.UUID {
	h.t.Helper()
	body := strings.ReplaceAll(h.samples[event], "48213", strconv.FormatInt(external, 10))
	body = strings.ReplaceAll(body, "51877", strconv.FormatInt(external+1_000_000, 10)) // its habilitation
	if change != nil {
		body = change(body)
	}
	receipt, err := h.Registry.Receive(h.t.Context(), registry.Webhook{Source: "datapass", Environment: "sandbox", Body: []byte(body)})
	h.must(err)
	h.must(h.Registry.Record(h.t.Context(), &registry.ApplyInbound{Key: store.InboundKey{Source: "datapass", ExternalID: external}}))
	return receipt.TokenID
}

func (h *keyHouse) provision(ctx context.Context, id uuid.UUID) error {
	w := &provisionCredential{Workers: h.Workers}
	return w.Work(ctx, &river.Job[ProvisionCredentialArgs]{JobRow: &rivertype.JobRow{Attempt: 1}, Args: ProvisionCredentialArgs{id}})
}

func (h *keyHouse) revoke(ctx context.Context, id uuid.UUID) error {
	w := &revokeCredential{Workers: h.Workers}
	return w.Work(ctx, &river.Job[RevokeCredentialArgs]{JobRow: &rivertype.JobRow{Attempt: 1}, Args: RevokeCredentialArgs{id}})
}

func (h *keyHouse) end(ctx context.Context, id uuid.UUID) error {
	w := &endCredential{Workers: h.Workers}
	return w.Work(ctx, &river.Job[EndCredentialArgs]{JobRow: &rivertype.JobRow{Attempt: 1}, Args: EndCredentialArgs{id}})
}

func (h *keyHouse) credential(id uuid.UUID) store.Credential {
	h.t.Helper()
	c, err := h.Store.Credential(h.t.Context(), id)
	h.must(err)
	return c
}

// work repeats a job as the queue would, until it has nothing more to do.
func (h *keyHouse) work(job func(context.Context) error) {
	h.t.Helper()
	for attempt := range 30 {
		err := job(h.t.Context())
		if err == nil {
			return
		}
		var cancel *river.JobCancelError
		if errors.As(err, &cancel) {
			h.t.Fatalf("attempt %d gives up: %v", attempt+1, err)
		}
		h.clock.Advance(10 * time.Second)
	}
	h.t.Fatal("the job does not end")
}

// keyCase is one key, at the beginning of an action.
type keyCase struct {
	external int64
	id       uuid.UUID         // of the key that the action works on
	old      uuid.UUID         // of a rotation
	before   connectors.Secret // the value that was live before
	end      time.Time         // of a prolongation: the end before it,
	until    time.Time         // and after it
}

func (h *keyHouse) granted() keyCase {
	h.t.Helper()
	h.next++
	k := keyCase{external: h.next}
	k.id = h.hear("approve", k.external, nil)
	return k
}

func (h *keyHouse) opened() keyCase {
	h.t.Helper()
	k := h.granted()
	h.work(func(ctx context.Context) error { return h.provision(ctx, k.id) })
	var err error
	k.before, err = h.Store.OpenSecret(h.credential(k.id))
	h.must(err)
	return k
}

// wantLive: the credential is live here and there, alone or beside others, its
// value passes, and the rights are those.
func (h *keyHouse) wantLive(id uuid.UUID, keys int, rights ...string) {
	h.t.Helper()
	c := h.credential(id)
	secret, err := h.Store.OpenSecret(c)
	h.must(err)
	if c.State != string(habilitation.CredentialActive) {
		h.t.Errorf("%s is %s: %s", c.Ref, c.State, c.Reason)
	}
	if !h.partner.passes(c, secret) {
		h.t.Errorf("the value of %s does not pass", c.Ref)
	}
	subject := habilitation.SubjectRef(c.RequestID)
	if n := h.partner.live(subject); n != keys {
		h.t.Errorf("%d live keys, want %d", n, keys)
	}
	if got := h.partner.rights(subject); !slices.Equal(got, rights) {
		h.t.Errorf("the rights are %q, want %q", got, rights)
	}
}

// keyAction is a job's work on a key.
type keyAction struct {
	name  string
	begin func(*keyHouse) keyCase
	job   func(*keyHouse, context.Context, keyCase) error
	holds func(*keyHouse, keyCase)
	end   string
	needs func(connectors.Capabilities) bool // nil: every manager
}

var keyActions = []keyAction{
	{"approval", (*keyHouse).granted, func(h *keyHouse, ctx context.Context, k keyCase) error { return h.provision(ctx, k.id) }, func(h *keyHouse, k keyCase) {
		h.wantLive(k.id, 1, keptRight, droppedRight)
	}, "one live key, right grants", nil},
	{"change of rights", func(h *keyHouse) keyCase {
		k := h.opened()
		h.hear("approve", k.external, func(body string) string {
			body = strings.ReplaceAll(body, `"`+droppedScope+`",`, "")
			body = strings.ReplaceAll(body, `\"`+droppedScope+`\", `, "")
			body = strings.ReplaceAll(body, strconv.FormatInt(k.external+1_000_000, 10), strconv.FormatInt(k.external+2_000_000, 10))
			return strings.Replace(body, "1774346718", "1774446718", 1)
		})
		return k
	}, func(h *keyHouse, ctx context.Context, k keyCase) error { return h.provision(ctx, k.id) }, func(h *keyHouse, k keyCase) {
		h.wantLive(k.id, 1, keptRight)
		if h.credential(k.id).GrantsPending {
			h.t.Error("the change is still to be made")
		}
	}, "the same key, the new grants", nil},
	{"rotation", func(h *keyHouse) keyCase {
		k := h.opened()
		cmd := &registry.RotateCredential{CredentialID: k.id, Grace: 24 * time.Hour}
		h.must(h.Registry.Record(h.t.Context(), cmd))
		k.old, k.id = k.id, cmd.NewID
		return k
	}, func(h *keyHouse, ctx context.Context, k keyCase) error { return h.provision(ctx, k.id) }, func(h *keyHouse, k keyCase) {
		old := h.credential(k.old)
		lives := h.partner.passes(old, k.before)
		if told := old.OldUntil != nil && old.OldUntil.After(h.clock.Now()); !told || !lives {
			h.t.Errorf("the old key passes: %t; the hub tells its holder: %t", lives, told)
		}
		keys := 2
		if !h.Managers["m"].Capabilities().CallerSecret {
			// A value whose answer was lost lives as long as the old one: nobody has it.
			keys = h.partner.live(habilitation.SubjectRef(old.RequestID))
		}
		h.wantLive(k.id, keys, keptRight, droppedRight)
		h.clock.Freeze(old.OldUntil.Add(time.Second))
		h.work(func(ctx context.Context) error { return h.end(ctx, k.old) })
		if state := h.credential(k.old).State; state != string(habilitation.CredentialReplaced) || h.partner.passes(old, k.before) {
			h.t.Errorf("after its time the old key is %s", state)
		}
		h.wantLive(k.id, 1, keptRight, droppedRight)
	}, "both, then one new key alone", nil},
	{"revocation", func(h *keyHouse) keyCase {
		k := h.opened()
		h.hear("revoke", k.external, func(body string) string { return body })
		return k
	}, func(h *keyHouse, ctx context.Context, k keyCase) error { return h.revoke(ctx, k.id) }, func(h *keyHouse, k keyCase) {
		c := h.credential(k.id)
		if c.State != string(habilitation.CredentialRevokedVerified) || h.partner.passes(c, k.before) || h.partner.live(habilitation.SubjectRef(c.RequestID)) != 0 {
			h.t.Errorf("%s is %s, it passes: %t", c.Ref, c.State, h.partner.passes(c, k.before))
		}
	}, "no live key, proved", nil},
	{
		"prolongation", func(h *keyHouse) keyCase {
			k := h.opened()
			k.end = *h.credential(k.id).ExpiresAt
			h.clock.Freeze(k.end.AddDate(0, 0, -29))
			h.must(h.Registry.Record(h.t.Context(), &registry.WatchEnd{CredentialID: k.id}))
			cmd := &registry.ProlongCredential{CredentialID: k.id}
			h.must(h.Registry.Record(h.t.Context(), cmd))
			k.until = cmd.Plan.ExpiresAt
			return k
		}, func(h *keyHouse, ctx context.Context, k keyCase) error { return h.provision(ctx, k.id) }, (*keyHouse).prolonged,
		"one later end, told once, notices anew", func(can connectors.Capabilities) bool { return can.NativeExpiry },
	},
}

// prolonged: the key has its later end here and there, everyone was told once, and
// the notices of the new end are planned.
func (h *keyHouse) prolonged(k keyCase) {
	h.t.Helper()
	c := h.credential(k.id)
	if c.ProlongUntil != nil || c.ExpiresAt == nil || !c.ExpiresAt.Equal(k.until) {
		h.t.Errorf("the key ends %v, asked until %v; want %s", c.ExpiresAt, c.ProlongUntil, k.until)
	}
	count := func(sql string, args ...any) (n int) {
		h.t.Helper()
		h.must(h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&n))
		return n
	}
	const lines, letters = `select count(*) from history where event = $1 and entity_id = $2`, `select count(*) from mail where template = $1 and request_id = $2`
	if n := count(lines, "token.prolonged", k.id.String()); n != 1 {
		h.t.Errorf("it was prolonged %d times", n)
	}
	if told, noticed := count(letters, registry.LetterKeyProlonged, c.RequestID), count(letters, registry.LetterKeyExpiring, c.RequestID); told == 0 || told != noticed {
		h.t.Errorf("%d letters tell of the later end, %d told of the end", told, noticed)
	}
	h.clock.Freeze(k.end.Add(time.Hour))
	h.wantLive(k.id, 1, keptRight, droppedRight)
	watch := func() int {
		h.must(h.Registry.Record(h.t.Context(), &registry.WatchEnd{CredentialID: k.id}))
		return count(lines, "token.expiring", k.id.String())
	}
	if n := watch(); n != 1 {
		h.t.Errorf("%d notices, long before the new end", n)
	}
	h.clock.Freeze(k.until.AddDate(0, 0, -59))
	if n := watch(); n != 2 {
		h.t.Errorf("%d notices, sixty days before the new end", n)
	}
	h.clock.Freeze(k.until.Add(time.Minute))
	if h.partner.passes(h.credential(k.id), k.before) {
		h.t.Error("the manager lets the key pass beyond its new end")
	}
}

// blow is what happens at one call of a job.
type blow struct {
	name  string
	fault func(partnertest.Route) partnertest.Fault
	// times is how many calls in a row are struck.
	times int
	// limit is the longest call.
	limit time.Duration
	kills bool
}

var blows = []blow{
	{name: "partner down", fault: partnertest.ResetBefore, times: 4},
	{name: "timeout after the work", fault: func(r partnertest.Route) partnertest.Fault { return partnertest.Hang(r).AfterWork() }, times: 1, limit: 1500 * time.Millisecond},
	{name: "500 before the work", fault: func(r partnertest.Route) partnertest.Fault { return partnertest.Status(r, 500) }, times: 1},
	{name: "500 after the work", fault: func(r partnertest.Route) partnertest.Fault { return partnertest.Status(r, 500).AfterWork() }, times: 1},
	{name: "429", fault: func(r partnertest.Route) partnertest.Fault { return partnertest.RateLimited(r, 3*time.Second) }, times: 1},
	{name: "half a body", fault: partnertest.HalfBody, times: 1},
	{name: "process killed", kills: true},
}

const maxStruck = 30

// The fault matrix of the hub's own jobs: each call of each action is struck by
// each blow. What an operator sees of it meanwhile is checked too.
func TestFaultMatrixOfTheLifeOfAKey(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *partnertest.Clock, time.Duration) keyPartner{
		"kong, whose keys are made by the hub": kongPartner, "hydra, that makes the keys": hydraPartner,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			table := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
			fmt.Fprintln(table, "\naction\tblow\tcalls struck\tfailures shown\tsteps struck\tin the end")
			for _, b := range blows {
				limit := b.limit
				if limit == 0 {
					limit = 20 * time.Second
				}
				h := newKeyHouse(t, limit, start)
				for _, action := range keyActions {
					if action.needs != nil && !action.needs(h.Managers["m"].Capabilities()) {
						continue
					}
					struck, shown, steps, end := 0, 0, []string{}, action.end
					for n := range maxStruck {
						t.Run(fmt.Sprintf("%s/%s/call %d", action.name, b.name, n+1), func(t *testing.T) {
							h.t = t
							hit := h.strike(action, b, n)
							if !hit.struck {
								return
							}
							struck++
							if hit.shown {
								shown++
							}
							if !slices.Contains(steps, hit.step) {
								steps = append(steps, hit.step)
							}
							if t.Failed() {
								end = "WRONG"
							}
						})
						if struck <= n {
							break
						}
					}
					h.t = t
					if struck == 0 || struck == maxStruck {
						t.Errorf("%s, %s: %d calls were struck", action.name, b.name, struck)
					}
					fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%s\n", action.name, b.name, struck, shown, strings.Join(steps, ", "), end)
				}
			}
			_ = table.Flush() // into memory
			t.Log(out.String())
		})
	}
}

// hit is what came of a blow.
type hit struct {
	struck, shown bool
	step          string // under way then
}

func (h *keyHouse) strike(action keyAction, b blow, n int) hit {
	h.t.Helper()
	k := action.begin(h)
	var got hit
	ctx, die := context.WithCancel(h.t.Context())
	defer die()
	var calls atomic.Int64
	at := func(partnertest.Call) {
		if calls.Add(1) != int64(n+1) {
			return
		}
		for _, s := range h.steps(k.id) {
			if s.State == "doing" {
				got.step = s.Name
			}
		}
		if b.kills {
			die()
		}
	}
	watch := h.partner.site.BeforeWork
	if b.kills {
		watch = h.partner.site.AfterWork
	}
	remove := watch(h.partner.admin, at)
	if !b.kills {
		h.partner.site.Inject(b.fault(h.partner.admin).Skipping(n).For(b.times))
	}
	err := action.job(h, ctx, k)
	remove()
	if b.kills {
		got.struck = calls.Load() > int64(n)
		h.connect()
	} else {
		got.struck = slices.ContainsFunc(h.partner.site.Faults(), func(f partnertest.FaultState) bool { return f.Struck > 0 })
	}
	if err != nil && got.struck && !b.kills {
		got.shown = h.shows(k.id)
		if !got.shown {
			h.t.Errorf("nothing shows of %v", err)
		}
	}
	if err == nil && got.struck && b.kills {
		h.t.Log("the work was over before the process was")
	}
	h.work(func(ctx context.Context) error { return action.job(h, ctx, k) })
	h.partner.site.ClearFaults()
	action.holds(h, k)
	return got
}

func (h *keyHouse) steps(id uuid.UUID) []store.ProvisioningStep {
	steps, err := h.Store.Steps(context.Background(), id)
	if err != nil {
		h.t.Error(err)
	}
	return steps
}

// shows: the step that failed says what the partner said, and operators see the
// key among what waits.
func (h *keyHouse) shows(id uuid.UUID) bool {
	h.t.Helper()
	told := slices.ContainsFunc(h.steps(id), func(s store.ProvisioningStep) bool { return s.Class != "" && s.Detail != "" })
	waiting, err := h.Store.Waiting(h.t.Context(), 1000)
	h.must(err)
	return told && slices.ContainsFunc(waiting.Credentials, func(c store.WaitingCredential) bool { return c.ID == id && c.Class != "" })
}

// The sweep's own work on copies of keys, by a clock that moves.
func TestTheSweepEnclosesWaitingKeysDestroysThoseThatAreDueAndForgetsOldChanges(t *testing.T) {
	t.Parallel()
	h := newKeyHouse(t, 20*time.Second, kongPartner)
	outbox, err := NewOutbox(h.Store, 10*time.Millisecond, h.clock.Now, zerolog.Nop())
	h.must(err)
	h.Webhooks.Waker, h.KeepBody, h.KeepChanges = outbox.Waker(), 30*24*time.Hour, 90*24*time.Hour
	sweepNow := func() {
		t.Helper()
		w := &sweep{Workers: h.Workers}
		h.must(w.Work(t.Context(), &river.Job[SweepArgs]{JobRow: &rivertype.JobRow{Attempt: 1}}))
	}
	count := func(sql string, args ...any) (n int) {
		t.Helper()
		h.must(h.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
		return n
	}
	const sealed = `select count(*) from credential where secret_sealed is not null and id = $1`
	enclosed, kept := h.opened(), h.opened()
	// A public key that came into the table without its copies being enclosed, as
	// of a process that died in between.
	own, err := jose.GenerateDecryptionKey(jose.P256)
	h.must(err)
	jwk, err := own.Recipient().JWK()
	h.must(err)
	_, err = h.pool.Exec(t.Context(), `insert into recipient_key (recipient, kid, jwk, set_at, set_by) values ($1, $2, $3, now(), '')`,
		store.HolderRecipient(h.credential(enclosed.id).RequestID), own.Recipient().KID(), jwk)
	h.must(err)
	sweepNow()
	if count(sealed, enclosed.id) != 0 || count(`select count(*) from key_envelope where credential_id = $1`, enclosed.id) != 1 || count(sealed, kept.id) != 1 {
		t.Error("the key of the holder with a public key is not enclosed, or another's is not kept")
	}
	for editor, at := range map[string]time.Time{"old": h.clock.Now(), "new": h.clock.Now().Add(80 * 24 * time.Hour)} {
		_, err := h.pool.Exec(t.Context(), `insert into editor_change (editor, type, object_type, object_id, request_id, version, occurred_at) values ($1, 'key.shown', 'key', '', 1, 1, $2)`, editor, at)
		h.must(err)
	}
	h.clock.Advance(30*24*time.Hour - time.Minute)
	sweepNow()
	if count(sealed, kept.id) != 1 || count(`select count(*) from editor_change`) != 2 {
		t.Error("a minute before its time it is gone")
	}
	h.clock.Advance(time.Minute)
	sweepNow()
	sweepNow()
	if count(sealed, kept.id) != 0 || count(`select count(*) from key_envelope`) != 0 || h.credential(kept.id).State != string(habilitation.CredentialActive) {
		t.Error("at its time the copy is still there, or the key is not live any more")
	}
	if n := count(`select count(*) from history where event = 'token.copy_destroyed'`); n != 2 {
		t.Errorf("%d lines tell of it", n)
	}
	h.clock.Advance(60*24*time.Hour + time.Minute)
	sweepNow()
	if count(`select count(*) from editor_change where editor = 'old'`) != 0 || count(`select count(*) from editor_change where editor = 'new'`) != 1 {
		t.Error("the feed forgets too late, or too early")
	}
}

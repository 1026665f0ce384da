package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/riverqueue/river"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/jwtissuer"
	"github.com/passerelle-hub/passerelle/connectors/mail"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/httpapi"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/citizen"
	"github.com/passerelle-hub/passerelle/httpapi/docs"
	"github.com/passerelle-hub/passerelle/httpapi/handover"
	hubapi "github.com/passerelle-hub/passerelle/httpapi/hub"
	"github.com/passerelle-hub/passerelle/httpapi/inbound"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/httpapi/team"
	tokenapi "github.com/passerelle-hub/passerelle/httpapi/token"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/journey"
	"github.com/passerelle-hub/passerelle/internal/localpg"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
	"github.com/passerelle-hub/passerelle/internal/token"
	"github.com/passerelle-hub/passerelle/jobs"
)

// hub is the program as a value: built from its settings, run, closed.
type hub struct {
	config       *config.Config
	log          zerolog.Logger
	pool         *pgxpool.Pool
	ring         *seal.Keyring
	store        *store.Store
	registry     *registry.Registry
	outbox       *jobs.Outbox
	keys         *jose.Keys // that sign access tokens
	folderKeys   *jose.Keys // that sign what communes receive; nil without HubEE
	verifier     jose.Verifier
	introspector *registry.Introspector
	audiences    []string // of the built-in issuer's tokens
	managers     map[string]jobs.Manager
	teams        map[string]registry.Team // of the managers by hand
	certificates map[string]outbound.TLS  // by which we show managers who we are
	catalogue    *definitions.Live
	definitions  *catalogue
	routes       httpapi.Routes
	metrics      *prometheus.Registry
	river        *river.Client[pgx.Tx] // nil with --only=http
	workers      *jobs.Workers
	public       *outbound.Client            // to URLs given by users
	identity     connectors.IdentityProvider // nil without FranceConnect
	quotients    connectors.QuotientSource   // nil without API Particulier
	journeys     *journey.Service            // citizens' transactions; nil without FranceConnect
	clock        *store.Clock
	private      *localpg.Server // nil with database.url
}

// build opens what the hub works with. Nothing runs yet.
func build(ctx context.Context, c *config.Config, log zerolog.Logger) (*hub, error) {
	h := &hub{config: c, log: log, metrics: prometheus.NewRegistry(), teams: map[string]registry.Team{}, certificates: map[string]outbound.TLS{}}
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := h.openStore(ctx); err != nil {
		return nil, err
	}
	if err := h.openCatalogue(ctx); err != nil {
		return nil, h.closeAfter(err)
	}
	if err := h.openRegistry(); err != nil {
		return nil, h.closeAfter(err)
	}
	if err := h.openPartners(); err != nil {
		return nil, h.closeAfter(err)
	}
	if err := h.openRoutes(); err != nil {
		return nil, h.closeAfter(err)
	}
	return h, nil
}

func (h *hub) closeAfter(err error) error {
	h.close()
	return err
}

func (h *hub) close() { h.pool.Close() }

func (h *hub) openStore(ctx context.Context) error {
	ring, err := openRing(h.config.Sealing)
	if err != nil {
		return err
	}
	h.ring = ring
	h.pool, err = openPool(ctx, h.config.Database)
	if err != nil {
		return err
	}
	h.store = store.New(h.pool, ring)
	h.clock = h.store.NewClock(time.Now)
	h.measureClock(ctx)
	h.metrics.MustRegister(newWaitingMetrics(h.store))
	return nil
}

func openRing(s config.Sealing) (*seal.Keyring, error) {
	c := seal.Config{Active: s.Active, Fingerprints: s.Fingerprints}
	for _, k := range s.Keys {
		key, err := seal.ParseKey(k.ID, k.Key.Reveal())
		if err != nil {
			return nil, err
		}
		c.Keys = append(c.Keys, key)
	}
	if !s.FingerprintKey.IsZero() {
		var err error
		if c.FingerprintKey, err = base64.StdEncoding.DecodeString(s.FingerprintKey.Reveal()); err != nil {
			return nil, errors.New("sealing.fingerprint_key is not base64")
		}
	}
	return seal.NewKeyring(c)
}

func openPool(ctx context.Context, d config.Database) (*pgxpool.Pool, error) {
	return store.OpenPool(ctx, d.URL.Reveal(), d.MaxConns, d.StatementTimeout)
}

func (h *hub) tokenEnv() token.Env {
	if h.config.Hub.Environment == config.Production {
		return token.Live
	}
	return token.Test
}

func (h *hub) openRegistry() error {
	var err error
	if h.outbox, err = jobs.NewOutbox(h.store, h.config.Jobs.FetchCooldown, h.now, h.log); err != nil {
		return err
	}
	h.registry = registry.New(h.store, h.outbox, h.catalogue, policiesOf(h.config), registry.Settings{
		PublicURL: h.config.Hub.PublicURL, TokenEnv: string(h.tokenEnv()), LinkLifetime: h.config.Handover.LinkLifetime,
		CopyLifetime: h.config.Handover.CopyLifetime, ReplaceGrace: h.config.Handover.ReplaceGrace,
		OpsAddress: opsAddress(h.config.Hub.Contact), Capabilities: h.capabilities, Teams: h.team, EarliestNotice: earliestNotice(h.config),
		SigningKeys: signingKeys{}, MaxEndpoints: h.config.Webhooks.MaxEndpoints,
		CheckURL: func(raw string) error { return h.public.CheckURL(raw) },
		Partners: h.partners, ProviderNotices: providerNotices(h.config.Mail), FranceConnectSupport: h.config.Mail.FranceConnectSupport,
		ReplayRate: h.config.Webhooks.ReplayRate,
	}, h.now)
	h.definitions.registry = h.registry
	_, err = h.openKeys(jwtissuer.Default().Schedule())
	return err
}

func providerNotices(m config.Mail) map[string][]string {
	notices := map[string][]string{}
	for _, n := range m.ProviderNotices {
		notices[n.Provider] = n.To
	}
	return notices
}

// partners lists whoever has a queue of its own, by name.
func (h *hub) partners() []string {
	names := append(slices.Collect(maps.Keys(h.managers)), registry.MailRelay)
	for _, s := range h.config.DataPass.Sources {
		if s.API.URL != "" {
			names = append(names, s.Name)
		}
	}
	if h.config.Sirene.Enabled() {
		names = append(names, registry.Sirene)
	}
	slices.Sort(names)
	return names
}

func (h *hub) capabilities(manager string) (connectors.Capabilities, bool) {
	m, ok := h.managers[manager]
	if !ok {
		return connectors.Capabilities{}, false
	}
	return m.Capabilities(), true
}

func (h *hub) team(manager string) (registry.Team, bool) {
	team, ok := h.teams[manager]
	return team, ok
}

func earliestNotice(c *config.Config) int {
	most := 0
	for _, e := range c.Provisioning {
		most = slices.Max(append(e.Notices, most))
	}
	return most
}

// policies is what the settings say of each definition in this environment.
type policies map[string]registry.Policy

func (p policies) Policy(definition string) (registry.Policy, bool) {
	policy, ok := p[definition]
	return policy, ok
}

func policiesOf(c *config.Config) policies {
	p := policies{}
	for _, e := range c.Provisioning {
		if e.Environment != c.Hub.Environment {
			continue
		}
		notice := e.ArchiveNotice.AddTo(time.Unix(0, 0)).Sub(time.Unix(0, 0))
		policy := registry.Policy{
			Managers: e.Managers, Lifetime: e.TokenLifetime.AddTo, ArchiveRevoke: e.ArchivePolicy == config.ArchiveRevoke, ArchiveNotice: notice,
			EditorFetch:   string(e.EditorFetch),
			OfflineChecks: e.OfflineChecks, Notices: e.Notices, ProlongWindow: e.ProlongWindow.AddTo(time.Unix(0, 0)).Sub(time.Unix(0, 0)),
			RotationGrace: e.RotationGrace, RotationCutover: e.RotationCutover,
		}
		if !e.RotateAfter.IsZero() {
			policy.RotateAfter = e.RotateAfter.AddTo
		}
		p[e.Definition] = policy
	}
	return p
}

func (h *hub) openPartners() error {
	var err error
	if h.managers, err = h.openManagers(); err != nil {
		return err
	}
	h.public, err = outbound.Public(outbound.PublicSettings{
		Allow: h.config.Egress.Allow, Ports: h.config.Egress.Ports, Proxy: h.config.Egress.Proxy.URL,
		ProxyGuarded: h.config.Egress.Proxy.Guarded, CAFile: h.config.Egress.CAFile,
		Timeouts: outbound.Timeouts{
			Connect: h.config.Egress.Timeouts.Connect, TLS: h.config.Egress.Timeouts.TLS,
			FirstByte: h.config.Egress.Timeouts.FirstByte, Total: h.config.Egress.Timeouts.Total,
		},
	}, h.log)
	if err != nil {
		return err
	}
	mailer, err := openMailer(h.config.Mail)
	if err != nil {
		return err
	}
	sources, err := h.openSources()
	if err != nil {
		return err
	}
	if h.identity, err = h.openIdentityProvider(); err != nil {
		return err
	}
	if h.quotients, err = h.openQuotientSource(); err != nil {
		return err
	}
	carried, err := h.openFolders()
	if err != nil {
		return err
	}
	establishments, err := h.openEstablishments()
	if err != nil {
		return err
	}
	h.workers = &jobs.Workers{
		Establishments: establishments,
		Folders:        carried,
		Registry:       h.registry, Store: h.store, Managers: h.managers, Sources: sources, Mailer: mailer, MailDomain: h.config.Mail.Domain,
		Webhooks: h.webhookSettings(h.public), Owner: h.config.Hub.Name, TokenEnv: h.tokenEnv(),
		LeaseFor: h.config.Jobs.Timeout + 15*time.Second, KeepBody: h.config.Webhooks.PayloadRetention,
		KeepChanges: h.config.Editors.ChangesRetention, Now: h.now, Log: h.log,
	}
	return nil
}

// tokenReader reads the tokens of the built-in issuer.
type tokenReader struct{ hub *hub }

func (t tokenReader) Refresh(ctx context.Context, maxAge time.Duration) error {
	return t.hub.keys.Refresh(ctx, maxAge)
}

func (t tokenReader) ReadToken(ctx context.Context, value string) (registry.TokenRef, error) {
	verifier := t.hub.verifier
	for _, audience := range t.hub.audiences {
		verifier.Audience = audience
		claims, err := verifier.VerifyAccessToken(ctx, value)
		switch {
		case errors.Is(err, jose.ErrAudience):
			continue
		case errors.Is(err, jose.ErrKeysUnavailable):
			return registry.TokenRef{}, err
		case err != nil:
			return registry.TokenRef{}, registry.ErrNotOurs
		}
		id, err := uuid.Parse(claims.ID)
		if err != nil {
			return registry.TokenRef{}, registry.ErrNotOurs
		}
		return registry.TokenRef{ID: id, ExpiresAt: claims.ExpiresAt}, nil
	}
	return registry.TokenRef{}, registry.ErrNotOurs
}

// machineRights is how long a gateway's right to introspect is believed without
// being read again.
const machineRights = time.Second

func (h *hub) openRoutes() error {
	pages, err := handover.New(h.store, h.registry)
	if err != nil {
		return err
	}
	callers, err := h.openCallers()
	if err != nil {
		return err
	}
	follow, err := hubapi.NewFollow(hubapi.Follow{Requests: h.store, Label: h.labelOf, Sources: h.sourcePages()})
	if err != nil {
		return err
	}
	unsubscribe, err := hubapi.NewUnsubscribe(h.registry)
	if err != nil {
		return err
	}
	documentation, err := docs.New(docs.Settings{PublicURL: h.config.Hub.PublicURL, OpenAPI: httpapi.OpenAPI})
	if err != nil {
		return err
	}
	families, err := citizen.New(citizen.Handler{Store: h.store, Now: h.now, Callers: callers, Registry: h.registry, Definition: h.catalogue.Definition, Site: citizen.Site{
		PublicURL: h.config.Hub.PublicURL, Contact: h.config.Hub.Contact, Operator: h.config.Hub.Operator, Address: h.config.Hub.Address,
		Publisher: h.config.Hub.Publisher, Host: h.config.Hub.Host, DataProtection: h.config.Hub.DataProtection,
		Trial: h.config.Hub.Environment != config.Production, FormTargets: origin(h.config.FranceConnect.Issuer),
		Idle: h.config.Journeys.Idle, GiveUpAfter: h.config.HubEE.GiveUpAfter, Keep: h.config.HubEE.Keep,
	}})
	if err != nil {
		return err
	}
	tasks, err := team.New(h.registry)
	if err != nil {
		return err
	}
	designSystem, err := openDesignSystem(h.config.Hub.DesignSystem)
	if err != nil {
		return err
	}
	h.introspector = registry.NewIntrospector(h.registry, h.tokenReader(), h.config.Introspection.Tokens, h.log)
	duration := httpapi.NewDuration()
	h.metrics.MustRegister(duration)
	h.routes = httpapi.Routes{
		Around:   httpapi.Around{Log: h.log, TrustedProxies: h.config.HTTP.TrustedProxies, Duration: duration},
		Health:   &httpapi.Health{Check: h.ready},
		DataPass: h.datapass(),
		Bounces: &inbound.Bounces{
			Registry: h.registry, Secret: h.config.Mail.BounceSecret, Read: readBounce, MaxBody: int64(h.config.HTTP.MaxBody),
		},
		Token: &tokenapi.Handler{
			Registry: h.registry, Live: h.introspector, Tokens: h.tokenReader(), Callers: callers, Definitions: h.catalogue.Definitions,
			Machines: &auth.Remembered{Callers: callers, Definitions: h.catalogue.Definitions, For: machineRights}, MaxAge: h.config.Introspection.MaxAge,
			KeySet: func(ctx context.Context) (jose.JWKS, error) { return jose.Publish(ctx, h.published()...) },
		},
		Handover: pages, Team: tasks, V1: h.apiV1(callers), Hub: h.apiHub(callers), Editor: h.apiEditor(callers), Mails: unsubscribe, Follow: follow, Docs: documentation, Citizen: families, Journeys: h.openJourneys(families),
		DesignSystem: designSystem,
		PerAddress:   h.config.RateLimits.PerAddress, PerVisitor: h.config.RateLimits.PerVisitor,
	}
	return nil
}

// openDesignSystem gives the files of the State's design system; nil without.
func openDesignSystem(folder string) (fs.FS, error) {
	if folder == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("hub.design_system: %w (make dsfr brings it)", err)
	}
	if _, err := root.Stat(page.DesignSystemSheet); err != nil {
		return nil, fmt.Errorf("hub.design_system: %w: it is the folder dist of @gouvfr/dsfr (make dsfr brings it)", err)
	}
	return root.FS(), nil
}

// published are the keys whose public halves the hub shows.
func (h *hub) published() []*jose.Keys {
	if h.folderKeys == nil {
		return []*jose.Keys{h.keys}
	}
	return []*jose.Keys{h.keys, h.folderKeys}
}

func (h *hub) datapass() http.Handler {
	sources := map[string]inbound.Source{}
	for _, s := range h.config.DataPass.Sources {
		sources[s.Name] = inbound.Source{Environment: string(s.Environment), Definitions: s.Definitions, Secrets: s.Secrets}
	}
	return &inbound.DataPass{Sources: sources, Receiver: h.registry, MaxBody: int64(h.config.HTTP.MaxBody)}
}

func readBounce(message []byte) (messageID string, final bool, detail string, err error) {
	b, err := mail.ParseBounce(message)
	if err != nil {
		return "", false, "", err
	}
	return b.MessageID, b.Permanent, strings.TrimSpace(b.Status + " " + b.Diagnostic), nil
}

// ready says what keeps the hub from working.
func (h *hub) ready(ctx context.Context) error {
	if err := h.store.Ping(ctx); err != nil {
		return err
	}
	return store.CheckSchema(ctx, h.pool)
}

func (h *hub) startRiver(ctx context.Context) error {
	j := h.config.Jobs
	var reindexed []string
	apart, err := h.store.AppendOnly(ctx)
	if err != nil {
		return err
	}
	if apart { // the queue's tables are the owner's
		reindexed = []string{}
	}
	client, err := jobs.NewClient(h.pool, h.workers, jobs.Settings{
		Timeout: j.Timeout, RescueAfter: j.RescueAfter, FetchCooldown: j.FetchCooldown,
		Completed: j.Retention.Completed, Cancelled: j.Retention.Cancelled, Discarded: j.Retention.Discarded,
		WorkersFor: j.WorkersFor, SoftStop: h.config.HTTP.ShutdownTimeout, Reindexed: reindexed,
	}, quietRiver(h.log))
	if err != nil {
		return err
	}
	for name, m := range h.managers {
		if err := h.registry.Record(ctx, &registry.PausedBySettings{Name: name, Paused: m.Paused}); err != nil {
			return err
		}
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	h.river = client
	h.outbox.Waker().Listen()
	return nil
}

// quietRiver keeps River's warnings and errors, as lines of our log.
func quietRiver(log zerolog.Logger) *slog.Logger {
	return slog.New(slogToZerolog{log.With().Str("from", "river").Logger()})
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", address)
}

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"
	"riverqueue.com/riverui"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/ops"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/localpg"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// part is the half of the hub that a process runs.
type part string

const (
	everything part = ""
	onlyHTTP   part = "http"
	onlyJobs   part = "jobs"
)

func serve(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "serve")
	only := fs.String("only", "", "run one half: http or jobs")
	if err := parse(fs, args); err != nil {
		return err
	}
	if p := part(*only); p != everything && p != onlyHTTP && p != onlyJobs {
		return &usageError{"--only is http or jobs"}
	}
	c, err := loadConfig(*path, env.vars)
	if err != nil {
		return err
	}
	log, err := openLog(c.Log, env)
	if err != nil {
		return err
	}
	var private *localpg.Server
	if c.Database.Private() {
		if private, err = startPrivate(ctx, c, log); err != nil {
			return err
		}
		defer stopPrivate(private, log)
	}
	if err := prepareSchema(ctx, c); err != nil {
		return err
	}
	h, err := build(ctx, c, log)
	if err != nil {
		return err
	}
	defer h.close()
	h.private = private
	spaceCollections()
	if part(*only) != onlyJobs {
		go h.lookAtFranceConnect(ctx)
	}
	return h.run(ctx, part(*only), env)
}

// lookAtFranceConnect has what it publishes at hand before the first citizen comes.
// While it is down, the hub runs and communes' pages show the other ways (FC-1).
func (h *hub) lookAtFranceConnect(ctx context.Context) {
	if h.identity == nil {
		return
	}
	if _, err := h.identity.Health(ctx); err != nil && ctx.Err() == nil {
		h.log.Warn().Err(err).Msg("FranceConnect does not answer: communes' pages show the other ways until it does")
	}
}

// spaceCollections of a hub's garbage, unless GOGC says how far: it keeps little and
// throws away much, and at Go's 100 they run many times a second, beside every request.
func spaceCollections() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

func openLog(c config.Log, env environment) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		return zerolog.Logger{}, err
	}
	out := zerolog.New(env.stderr)
	if c.Format == config.LogConsole {
		out = zerolog.New(zerolog.ConsoleWriter{Out: env.stderr, TimeFormat: time.TimeOnly})
	}
	return out.Level(level).With().Timestamp().Logger(), nil
}

// startPrivate runs the hub's own Postgres, with fsync, and keeps its sealing
// key beside the data when the settings name none.
func startPrivate(ctx context.Context, c *config.Config, log zerolog.Logger) (*localpg.Server, error) {
	dir := c.Database.DataDir
	server, err := localpg.Start(ctx, localpg.Options{Dir: dir})
	if err != nil {
		return nil, fmt.Errorf("no database.url is set and the private Postgres does not start: %w", err)
	}
	if c.Database.OwnerURL, c.Database.URL, err = privateRoles(ctx, server.URL("postgres")); err != nil {
		stopPrivate(server, log)
		return nil, err
	}
	log.Warn().Str("data_dir", dir).Msg("no database.url is set: running a private Postgres (fsync on), for one machine; back it up with pg_dump, or copy its folder while the hub is stopped")
	if len(c.Sealing.Keys) == 0 {
		key, err := keptKey(sealingFile(c))
		if err != nil {
			stopPrivate(server, log)
			return nil, err
		}
		sealWith(c, key)
		log.Warn().Str("file", sealingFile(c)).Msg("no sealing key is set: keeping one beside the data; back it up apart: what it seals is lost without it")
	}
	return server, nil
}

// sealingFile is where a private Postgres has its sealing key.
func sealingFile(c *config.Config) string { return filepath.Join(c.Database.DataDir, "sealing.key") }

func sealWith(c *config.Config, key connectors.Secret) {
	c.Sealing.Keys = []config.SealingKey{{ID: "local", Key: key}}
	c.Sealing.Active, c.Sealing.Fingerprints = "local", "local"
}

func stopPrivate(server *localpg.Server, log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		log.Error().Err(err).Msg("private Postgres did not stop in order")
	}
}

// watchPrivate ends the process with the Postgres that is its own: whoever keeps
// the process running starts both again, and the data is recovered.
func (h *hub) watchPrivate(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-h.private.Done():
		return errors.New("the private Postgres ended: start the hub again, its data is recovered")
	}
}

// keptKey reads a sealing key of 32 bytes in base64, made when there is none.
func keptKey(file string) (connectors.Secret, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		return connectors.NewSecret(string(text)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return connectors.Secret{}, err
	}
	key := newSealingKey()
	return key, writeDurably(file, key.Reveal())
}

// writeDurably survives a power cut: what is sealed next is lost without it.
func writeDurably(file, text string) error {
	f, err := os.OpenFile(file+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func prepareSchema(ctx context.Context, c *config.Config) error {
	if c.Database.Migrate != config.MigrateAuto {
		return nil // build's readiness says what is missing
	}
	return migrateSchema(ctx, c)
}

func ownerURL(c *config.Config) connectors.Secret {
	if c.Database.OwnerURL.IsZero() {
		return c.Database.URL
	}
	return c.Database.OwnerURL
}

// run serves until ctx ends, then lets what is under way finish within
// http.shutdown_timeout.
func (h *hub) run(ctx context.Context, only part, env environment) error {
	if err := store.CheckSchema(ctx, h.pool); err != nil {
		return err
	}
	if err := h.definitions.sync(ctx); err != nil {
		return err
	}
	running := newGroup()
	// The inbox outlives the listeners: what they accepted is stored.
	inboxCtx, stopInbox := context.WithCancel(context.WithoutCancel(ctx))
	running.add(func() error { h.registry.Run(inboxCtx); return nil })
	if err := h.rotateKeys(ctx); err != nil {
		stopInbox()
		return err
	}
	looksCtx, stopLooks := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLooks()
	if h.private != nil {
		running.add(func() error { return h.watchPrivate(looksCtx) })
	}
	var servers []*http.Server
	if only != onlyJobs {
		running.add(func() error { h.introspector.Run(looksCtx); return nil })
		server, err := h.listenPublic(ctx, running)
		if err != nil {
			stopInbox()
			return err
		}
		servers = append(servers, server)
	}
	opsServer, err := h.listenOps(ctx, running, env)
	if err != nil {
		stopInbox()
		return errors.Join(err, shutdown(servers, time.Second))
	}
	servers = append(servers, opsServer)
	if only != onlyHTTP {
		if err := h.startRiver(context.WithoutCancel(ctx)); err != nil {
			stopInbox()
			return errors.Join(err, shutdown(servers, time.Second))
		}
	}
	keysCtx, stopKeys := context.WithCancel(context.WithoutCancel(ctx))
	running.add(func() error { h.keepKeys(keysCtx); return nil })
	running.add(func() error { h.definitions.keep(keysCtx); return nil })
	running.add(func() error { h.keepSealing(keysCtx); return nil })
	running.add(func() error { h.keepClock(keysCtx); return nil })
	h.log.Info().Str("public", h.config.HTTP.Listen).Str("ops", h.config.Ops.Listen).Str("only", string(only)).Msg("serving")

	var cause error
	select {
	case <-ctx.Done():
	case cause = <-running.failed:
	}
	h.log.Info().Msg("stopping: what is under way finishes first")
	h.routes.Health.Drain()
	// Listeners and jobs stop side by side, within one limit.
	jobsEnded := make(chan error, 1)
	go func() { jobsEnded <- h.stopJobs(context.WithoutCancel(ctx)) }()
	errs := []error{cause, shutdown(servers, h.config.HTTP.ShutdownTimeout), <-jobsEnded}
	h.finishJourneys(ctx)
	stopKeys()
	stopLooks()
	stopInbox()
	running.wait()
	return errors.Join(errs...)
}

// stopJobs lets jobs finish within the limit. What does not is cancelled: it
// runs again elsewhere.
func (h *hub) stopJobs(ctx context.Context) error {
	if h.river == nil {
		return nil
	}
	softly, cancel := context.WithTimeout(ctx, h.config.HTTP.ShutdownTimeout)
	defer cancel()
	h.outbox.Waker().Drain()
	lanes := make(chan error, 1)
	go func() { lanes <- h.outbox.Waker().Finish(softly) }()
	if h.river.Stop(softly) == nil {
		return <-lanes
	}
	hard, cancelHard := context.WithTimeout(ctx, 5*time.Second)
	defer cancelHard()
	return errors.Join(h.river.StopAndCancel(hard), <-lanes)
}

func shutdown(servers []*http.Server, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var errs []error
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// rotateKeys makes the key of the built-in issuer that is due, if one is.
func (h *hub) rotateKeys(ctx context.Context) error {
	_, err := h.keys.Rotate(ctx)
	return err
}

const keepKeysEvery = 10 * time.Minute

func (h *hub) keepKeys(ctx context.Context) {
	tick := time.NewTicker(keepKeysEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := h.rotateKeys(ctx); err != nil && ctx.Err() == nil {
				h.log.Error().Err(err).Msg("signing keys were not rotated")
			}
		}
	}
}

func (h *hub) listenPublic(ctx context.Context, running *group) (*http.Server, error) {
	c := h.config.HTTP
	l, err := listen(ctx, c.Listen)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: h.routes.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: c.ReadTimeout,
		WriteTimeout: c.WriteTimeout, IdleTimeout: c.IdleTimeout, MaxHeaderBytes: 32 << 10,
	}
	running.add(func() error {
		if c.TLS.Enabled() {
			return closedIsFine(server.ServeTLS(l, c.TLS.CertFile, c.TLS.KeyFile))
		}
		return closedIsFine(server.Serve(l))
	})
	return server, nil
}

func closedIsFine(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (h *hub) listenOps(ctx context.Context, running *group, env environment) (*http.Server, error) {
	handler, err := h.opsHandler(ctx, env)
	if err != nil {
		return nil, err
	}
	l, err := listen(ctx, h.config.Ops.Listen)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	running.add(func() error { return closedIsFine(server.Serve(l)) })
	return server, nil
}

func (h *hub) opsHandler(ctx context.Context, env environment) (http.Handler, error) {
	queues, err := h.openQueuePages(ctx)
	if err != nil {
		return nil, err
	}
	o := &ops.Handler{
		Store: h.store, Registry: h.registry, Tester: h.tester(), MetricsToken: h.config.Ops.MetricsToken.Reveal(),
		Metrics: promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}), Queues: queues, Assets: page.Assets(h.routes.DesignSystem), Users: opsUsers(h.config.Ops),
	}
	if len(o.Users) == 0 {
		password := rand.Text()
		o.Users = []ops.User{{Name: "ops", Operator: true, Check: func(given string) bool { return ops.SamePassword(given, password) }}}
		fmt.Fprintf(env.stdout, "ops pages: http://%s/ user ops, password %s (made for this run: set ops.users)\n", h.config.Ops.Listen, password)
	}
	router, err := o.Router()
	if err != nil {
		return nil, err
	}
	return h.routes.Around.Request(router), nil
}

func opsUsers(c config.Ops) []ops.User {
	users := make([]ops.User, len(c.Users))
	for i, u := range c.Users {
		password := u.Password
		check := func(given string) bool { return ops.SamePassword(given, password.Reveal()) }
		if u.Hashed() {
			check = func(given string) bool {
				return bcrypt.CompareHashAndPassword([]byte(password.Reveal()), []byte(given)) == nil
			}
		}
		users[i] = ops.User{Name: u.Name, Operator: u.Role == config.Operator, Check: check}
	}
	return users
}

// openQueuePages gives River's own pages, arguments hidden in lists.
func (h *hub) openQueuePages(ctx context.Context) (http.Handler, error) {
	client, err := insertOnly(h.pool)
	if err != nil {
		return nil, err
	}
	handler, err := riverui.NewHandler(&riverui.HandlerOpts{
		Endpoints: riverui.NewEndpoints(client, nil), Logger: quietRiver(h.log), Prefix: "/river", JobListHideArgsByDefault: true,
	})
	if err != nil {
		return nil, err
	}
	return handler, handler.Start(context.WithoutCancel(ctx))
}

// group runs functions side by side and tells the first that fails.
type group struct {
	running sync.WaitGroup
	failed  chan error
}

func newGroup() *group { return &group{failed: make(chan error, 8)} }

func (g *group) add(f func() error) {
	g.running.Go(func() {
		if err := f(); err != nil {
			g.failed <- err
		}
	})
}

func (g *group) wait() { g.running.Wait() }

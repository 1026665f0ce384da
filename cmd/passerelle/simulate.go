package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors/apiparticulier/apiparticuliertest"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/franceconnect/franceconnecttest"
	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/hubee/hubeetest"
	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/mail/mailtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/sirene/sirenetest"
	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
)

// simulator is a partner that runs.
type simulator interface {
	// Describe is one line of JSON: all that a client needs.
	Describe() string
	Close() error
}

// simulation is what every simulator is started with.
type simulation struct {
	listen, seed string
	run          partnertest.Run
}

// loner is a partner that can be run alone. open declares its own flags and
// gives what starts it once they are read.
type loner struct {
	name, summary string
	open          func(fs *flag.FlagSet) func(simulation) (simulator, error)
}

func simulatedPartners() []loner {
	return []loner{
		{"hubee", "HubEE V1: folders of families for communes", openHubEE},
		{"franceconnect", "FranceConnect v2: logs invented citizens in", openFranceConnect},
		{"api-particulier", "API Particulier: the quotient familial of the same people", openAPIParticulier},
		{"sirene", "API Sirene: INSEE's register of establishments", openSirene},
		{"datapass", "DataPass: signed webhooks and API v1", openDataPass},
		{"mailbox", "a mail relay and its mailbox as web pages", openMailbox},
		{"receiver", "a provider's endpoint that checks webhooks", openReceiver},
		{"gravitee", "Gravitee APIM 4: management API and gateway", openGravitee},
		{"kong", "Kong 3: admin API and proxy", openKong},
		{"tyk", "Tyk 5: control API and proxy", openTyk},
		{"keycloak", "Keycloak 26: one realm", openKeycloak},
		{"hydra", "Ory Hydra 2: admin API and token endpoint", openHydra},
	}
}

// simulate runs one partner of the hub alone, until it is asked to stop. The one
// line on stdout says how to use it; the log of its calls goes to stderr.
func simulate(ctx context.Context, env environment, args []string) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	var names []string
	for _, p := range simulatedPartners() {
		names = append(names, p.name)
		if p.name == name {
			return p.simulate(ctx, env, args[1:])
		}
	}
	usage := "usage: passerelle simulate " + strings.Join(names, "|") + " [--listen ADDR] [--seed FILE]\n`passerelle simulate PARTNER -h` lists a partner's flags"
	if name == "-h" || name == "--help" {
		fmt.Fprintln(env.stdout, usage)
		return nil
	}
	if name != "" {
		usage = fmt.Sprintf("simulate: no partner %q\n%s", name, usage)
	}
	return &usageError{usage}
}

func (p loner) simulate(ctx context.Context, env environment, args []string) error {
	fs := flag.NewFlagSet("passerelle simulate "+p.name, flag.ContinueOnError)
	fs.SetOutput(env.stderr)
	var s simulation
	fs.StringVar(&s.listen, "listen", "127.0.0.1:0", "`address`; port 0 takes a free one, another is kept (a partner of several addresses takes the ports that follow)")
	fs.StringVar(&s.seed, "seed", "", "`file` of what it holds at the start, YAML or JSON (default the documented example)")
	fs.BoolVar(&s.run.Remote, "allow-remote", false, "listen beyond loopback: whoever reaches it can use it and its admin routes")
	quiet := fs.Bool("quiet", false, "do not log the calls")
	start := p.open(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return &usageError{fmt.Sprintf("simulate %s: what is %q?", p.name, fs.Arg(0))}
	}
	if !s.run.Remote && !isLoopback(s.listen) {
		return &usageError{fmt.Sprintf("simulate %s: --listen %s is not a loopback address: say --allow-remote if others shall reach it", p.name, s.listen)}
	}
	if _, err := s.run.Address(s.listen); err != nil {
		return &usageError{fmt.Sprintf("simulate %s: --listen: %v", p.name, err)}
	}
	log := zerolog.New(zerolog.SyncWriter(env.stderr)).With().Timestamp().Str("partner", p.name).Logger()
	if !*quiet {
		s.run.Log = func(c partnertest.Call) { logCall(log, c) }
	}
	running, err := start(s)
	var address *net.OpError
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		return &usageError{fmt.Sprintf("simulate %s: %s", p.name, usage.text)}
	case errors.As(err, &address):
		return err // the machine's fault
	case err != nil && s.seed != "":
		return &usageError{fmt.Sprintf("simulate %s: seed %s: %v", p.name, s.seed, err)}
	case err != nil:
		return err
	}
	if _, err := fmt.Fprintln(env.stdout, running.Describe()); err != nil {
		return errors.Join(err, running.Close())
	}
	log.Info().Msg("started; stops on Ctrl-C or SIGTERM")
	<-ctx.Done()
	log.Info().Msg("stopped")
	return running.Close()
}

func isLoopback(addr string) bool {
	_, err := partnertest.Run{}.Address(addr)
	var malformed *net.AddrError
	return err == nil || errors.As(err, &malformed) // another sentence tells it
}

// logCall writes one line for each call. The path is the router's pattern where
// there is one, and no query is shown: a state or a name may be in them.
func logCall(log zerolog.Logger, c partnertest.Call) {
	path := c.Route
	if path == "" {
		path = c.Path
	}
	line := log.Info().Str("side", c.Side).Str("method", c.Method).Str("path", path).Int("status", c.Status).Dur("took_ms", c.Took)
	if c.Fault != "" {
		line = line.Str("fault", string(c.Fault)).Bool("worked", c.Worked)
	}
	if c.Correlation != "" {
		line = line.Str("correlation_id", c.Correlation)
	}
	line.Msg("call")
}

// words is a flag that may be given several times.
type words []string

func (w *words) String() string { return strings.Join(*w, " ") }

func (w *words) Set(value string) error {
	*w = append(*w, value)
	return nil
}

// seeded reads a partner's seed: the file's, else the example.
func seeded[S any](file string, load func(string) (S, error), example func() (S, error)) (S, error) {
	if file == "" {
		return example()
	}
	seed, err := load(file)
	if errors.Is(err, os.ErrNotExist) {
		return seed, &usageError{fmt.Sprintf("--seed %s: no such file", file)}
	}
	return seed, err
}

func openHubEE(*flag.FlagSet) func(simulation) (simulator, error) {
	return func(s simulation) (simulator, error) {
		seed, err := seeded(s.seed, hubeetest.LoadSeed, hubeetest.DefaultSeed)
		if err != nil {
			return nil, err
		}
		return started(hubeetest.Start(hubeetest.Options{Addr: s.listen, Seed: seed, Run: s.run}))
	}
}

func openFranceConnect(fs *flag.FlagSet) func(simulation) (simulator, error) {
	var redirect, afterLogout words
	fs.Var(&redirect, "redirect-uri", "`URI` that the first client of the seed may come back to, besides its own (may be repeated)")
	fs.Var(&afterLogout, "post-logout-redirect-uri", "`URI` to come back to after logout (may be repeated)")
	auto := fs.String("auto", "", "`id` of the citizen who logs in without pages")
	issuer := fs.String("issuer", "", "`URL` ending in /api/v2 that the tokens name (default the address)")
	return func(s simulation) (simulator, error) {
		seed, err := seeded(s.seed, franceconnecttest.LoadSeed, franceconnecttest.DefaultSeed)
		if err != nil {
			return nil, err
		}
		if len(redirect)+len(afterLogout) > 0 {
			if len(seed.Clients) == 0 {
				return nil, &usageError{"--redirect-uri: the seed has no client"}
			}
			c := &seed.Clients[0]
			c.RedirectURIs = append(c.RedirectURIs, redirect...)
			c.PostLogoutRedirectURIs = append(c.PostLogoutRedirectURIs, afterLogout...)
		}
		if *auto != "" {
			seed.Auto = *auto
		}
		return started(franceconnecttest.Start(franceconnecttest.Options{Addr: s.listen, Issuer: *issuer, Seed: seed, Run: s.run}))
	}
}

func openAPIParticulier(fs *flag.FlagSet) func(simulation) (simulator, error) {
	at := fs.String("franceconnect", "", "`URL` of a FranceConnect simulator that knows the tokens (default: those of the seed are good, and no other)")
	id := fs.String("franceconnect-client-id", "", "as which data provider to ask it (default the example's)")
	secret := fs.String("franceconnect-client-secret", "", "the data provider's secret (default the example's)")
	return func(s simulation) (simulator, error) {
		seed, err := seeded(s.seed, apiparticuliertest.LoadSeed, apiparticuliertest.DefaultSeed)
		if err != nil {
			return nil, err
		}
		opts := apiparticuliertest.Options{Addr: s.listen, Seed: seed, Run: s.run}
		if *at != "" {
			example, err := franceconnecttest.DefaultSeed()
			if err != nil {
				return nil, err
			}
			fc := apiparticuliertest.FranceConnect{
				CheckTokenURL: franceconnecttest.CheckTokenOf(*at),
				ClientID:      example.DataProviders[0].ID, ClientSecret: example.DataProviders[0].Secret,
			}
			if (*id == "") != (*secret == "") {
				return nil, &usageError{"--franceconnect-client-id and --franceconnect-client-secret go together"}
			}
			if *id != "" {
				fc.ClientID, fc.ClientSecret = *id, *secret
			}
			opts.FranceConnect = &fc
		}
		return started(apiparticuliertest.Start(opts))
	}
}

func openSirene(*flag.FlagSet) func(simulation) (simulator, error) {
	return func(s simulation) (simulator, error) {
		opts, err := options[sirenetest.Options](s.seed)
		if err != nil {
			return nil, err
		}
		opts.Run = s.run
		register := sirenetest.New(opts)
		if _, err := register.Start(s.listen); err != nil {
			return nil, errors.Join(err, register.Close())
		}
		return register, nil
	}
}

func openDataPass(fs *flag.FlagSet) func(simulation) (simulator, error) {
	webhook := fs.String("webhook", "", "`URL` that is sent the events of every definition, signed")
	secret := fs.String("webhook-secret", "", "the text that signs them (default drawn, and shown in the line)")
	return func(s simulation) (simulator, error) {
		seed, err := seeded(s.seed, datapasstest.LoadSeed, datapasstest.DefaultSeed)
		if err != nil {
			return nil, err
		}
		if *webhook == "" && *secret != "" {
			return nil, &usageError{"--webhook-secret goes with --webhook"}
		}
		if *webhook != "" {
			if err := datapasstest.CheckReceiver(*webhook); err != nil {
				return nil, &usageError{fmt.Sprintf("--webhook: %v", err)}
			}
			seed.Subscriptions = append(seed.Subscriptions, datapasstest.SeedSubscription{Definition: "*", URL: *webhook, Secret: *secret})
		}
		d := datapasstest.New(datapasstest.Options{Run: s.run})
		if err := d.Fill(*seed); err != nil {
			return nil, errors.Join(err, d.Close())
		}
		if _, err := d.Start(s.listen); err != nil {
			return nil, errors.Join(err, d.Close())
		}
		return d, nil
	}
}

// mailbox is a relay with its two addresses.
type mailbox struct {
	*mailtest.Server
	smtp, web string
}

func (m *mailbox) Describe() string { return m.Server.Describe(m.smtp, m.web) }

func openMailbox(fs *flag.FlagSet) func(simulation) (simulator, error) {
	bounceURL := fs.String("bounce-url", "", "`URL` that is told of mails that come back")
	bounceSecret := fs.String("bounce-secret", "", "the text that signs those reports")
	return func(s simulation) (simulator, error) {
		opts, err := seeded(s.seed, mailtest.LoadSeed, func() (mailtest.Options, error) { return mailtest.Options{}, nil })
		if err != nil {
			return nil, err
		}
		opts.Run = s.run
		if *bounceURL != "" {
			opts.BounceURL, opts.BounceSecret = *bounceURL, *bounceSecret
		}
		relay, err := mailtest.New(opts)
		if err != nil {
			return nil, err
		}
		m := &mailbox{Server: relay}
		if m.web, err = relay.StartWeb(s.listen); err == nil {
			m.smtp, err = relay.StartSMTP(portAfter(s.listen, 1))
		}
		if err != nil {
			return nil, errors.Join(err, relay.Close())
		}
		return m, nil
	}
}

// receiver is a provider's endpoint with its address.
type receiver struct {
	*webhooktest.Server
	url string
}

func (r *receiver) Describe() string { return r.Server.Describe(r.url) }

func openReceiver(fs *flag.FlagSet) func(simulation) (simulator, error) {
	var secrets words
	fs.Var(&secrets, "secret", "a `secret` that signs what comes: whsec_…, 64 hexadecimal characters, or a text of DataPass (may be repeated)")
	return func(s simulation) (simulator, error) {
		opts, err := seeded(s.seed, webhooktest.LoadSeed, func() (webhooktest.Options, error) {
			return webhooktest.Options{Secrets: []string{webhooktest.ExampleSecret}}, nil
		})
		if err != nil {
			return nil, err
		}
		if len(secrets) > 0 {
			opts.Secrets = secrets
		}
		opts.Run = s.run
		in, err := webhooktest.New(opts)
		if err != nil && len(secrets) > 0 {
			return nil, &usageError{fmt.Sprintf("--secret: %v", err)}
		}
		if err != nil {
			return nil, err
		}
		r := &receiver{Server: in}
		if r.url, err = in.Start(s.listen); err != nil {
			return nil, errors.Join(err, in.Close())
		}
		return r, nil
	}
}

// API managers: their seed is what their options say.

func openGravitee(*flag.FlagSet) func(simulation) (simulator, error) {
	return func(s simulation) (simulator, error) {
		opts, err := options[graviteetest.Options](s.seed)
		if err != nil {
			return nil, err
		}
		opts.Run, opts.ManagementAddr, opts.GatewayAddr, opts.TechnicalAddr = s.run, s.listen, portAfter(s.listen, 1), portAfter(s.listen, 2)
		return started(graviteetest.Start(opts))
	}
}

func openKong(*flag.FlagSet) func(simulation) (simulator, error) {
	return func(s simulation) (simulator, error) {
		opts, err := options[kongtest.Options](s.seed)
		if err != nil {
			return nil, err
		}
		opts.Run, opts.AdminAddr, opts.ProxyAddr, opts.StatusAddr = s.run, s.listen, portAfter(s.listen, 1), portAfter(s.listen, 2)
		return started(kongtest.Start(opts))
	}
}

func openTyk(*flag.FlagSet) func(simulation) (simulator, error) {
	return func(s simulation) (simulator, error) {
		opts, err := options[tyktest.Options](s.seed)
		if err != nil {
			return nil, err
		}
		opts.Run, opts.ControlAddr, opts.ProxyAddr = s.run, s.listen, portAfter(s.listen, 1)
		return started(tyktest.Start(opts))
	}
}

func openKeycloak(*flag.FlagSet) func(simulation) (simulator, error) {
	return func(s simulation) (simulator, error) {
		opts, err := options[keycloaktest.Options](s.seed)
		if err != nil {
			return nil, err
		}
		opts.Run, opts.Addr, opts.ManagementAddr = s.run, s.listen, portAfter(s.listen, 1)
		return started(keycloaktest.Start(opts))
	}
}

func openHydra(*flag.FlagSet) func(simulation) (simulator, error) {
	return func(s simulation) (simulator, error) {
		opts, err := options[hydratest.Options](s.seed)
		if err != nil {
			return nil, err
		}
		opts.Run, opts.AdminAddr, opts.PublicAddr = s.run, s.listen, portAfter(s.listen, 1)
		return started(hydratest.Start(opts))
	}
}

// options are a partner's, of its seed file; without one the zero value, which
// is its example.
func options[O any](file string) (O, error) {
	load := func(file string) (opts O, err error) {
		err = partnertest.LoadSeed(file, &opts)
		return opts, err
	}
	return seeded(file, load, func() (opts O, err error) { return opts, nil })
}

// portAfter is the address n ports further; port 0 stays, the system chooses.
// simulate has found the address good.
func portAfter(addr string, n int) string {
	host, port, err := net.SplitHostPort(addr)
	number, notNumber := strconv.Atoi(port)
	if err != nil || notNumber != nil || number == 0 {
		return addr
	}
	return net.JoinHostPort(host, strconv.Itoa(number+n))
}

// started keeps a typed nil out of the interface.
func started[S simulator](s S, err error) (simulator, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

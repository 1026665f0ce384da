package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"text/template"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/jwtissuer/jwtissuertest"
	"github.com/passerelle-hub/passerelle/connectors/mail/mailtest"
	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/auth/authtest"
	"github.com/passerelle-hub/passerelle/internal/localpg"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// demo plays the story on a hub of its own with every partner simulated.
func demo(ctx context.Context, env environment, args []string) error {
	fs, _ := flags(env, "demo")
	once := fs.Bool("once", false, "play the story, then stop: status 0 when every step passed")
	report := fs.String("report", "", "write the steps as JSON into this file")
	verbose := fs.Bool("verbose", false, "show the hub's log")
	if err := parse(fs, args); err != nil {
		return err
	}
	log := zerolog.Nop()
	if *verbose {
		log = zerolog.New(zerolog.ConsoleWriter{Out: env.stderr, TimeFormat: time.TimeOnly}).With().Timestamp().Logger()
	}
	s := newStory(env.stdout)
	var w *world
	s.step(ctx, "a private Postgres, the partners and the hub start", func(ctx context.Context) (any, error) {
		var err error
		w, err = openWorld(ctx, log, env)
		if err != nil {
			return nil, err
		}
		return w.urls(), nil
	})
	if w != nil {
		s.play(ctx, w)
	}
	err := s.writeReport(*report)
	if err == nil && w != nil && !*once && s.failed == 0 {
		s.invite(w)
		<-ctx.Done()
	}
	if w != nil {
		err = errors.Join(err, w.close())
	}
	if err != nil {
		return err
	}
	if s.failed > 0 {
		return fmt.Errorf("%d of %d steps failed", s.failed, len(s.steps))
	}
	return nil
}

// world is a hub and its simulated partners on loopback.
type world struct {
	dir                  string
	postgres             *localpg.Server
	gravitee             *graviteetest.Server
	gateway              *jwtissuertest.Gateway // of the API whose keys the hub issues itself
	datapass             *datapasstest.Server
	datapassURL          string
	mailbox              *mailtest.Server
	receiver             *webhooktest.Server
	mailURL, receiverURL string
	publicURL            string
	opsURL               string
	people               *authtest.Issuer          // vouches for people
	application          string                    // id and secret of one that calls the API
	secret               string                    // of the subscription at DataPass
	settings             string                    // file
	subscription         datapasstest.Subscription // the last one
	editor               editorStory               // a software editor
	citizen              citizenStory              // what a citizen meets
	hub                  *hub
	stopHub              func() error
}

// Names of the demo's instances and people of the world: all invented.
const (
	demoSource  = "datapass-demo"
	demoManager = "gravitee-demo"
	demoIssuer  = "passerelle"
	demoOps     = "ops"
	demoOpsPass = "demo-ops-password"
	demoAgent   = "ines.bernard@dinum.example" // instructor and developer of the definitions of dinum
)

// openWorld starts everything: partners first, then the hub. What started is
// stopped again when something does not.
func openWorld(ctx context.Context, log zerolog.Logger, env environment) (_ *world, err error) {
	w := &world{secret: strings.Repeat("0123456789abcdef", 4)}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.postgres, err = localpg.Start(ctx, localpg.Options{Throwaway: true}); err != nil {
		return nil, err
	}
	if err := w.openPartners(w.postgres.URL("postgres"), demoTiming); err != nil {
		return nil, err
	}
	c, err := config.Load(w.settings, nil)
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx, c.Database.URL.Reveal()); err != nil {
		return nil, err
	}
	if w.hub, err = build(ctx, c, log); err != nil {
		return nil, err
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- w.hub.run(runCtx, everything, env) }()
	w.stopHub = func() error { stop(); return <-ended }
	return w, w.join(ctx)
}

// timing of the queues, as lines of the settings.
const demoTiming = `jobs: {timeout: 20s, rescue_after: 30s}
webhooks: {timeout: 3s, claim_for: 5s, lease: 25s}`

// openPartners starts every partner, and writes the settings of a hub that
// knows them and keeps its state in database.
func (w *world) openPartners(database, timing string) error {
	var err error
	if w.dir, err = os.MkdirTemp("", "passerelle-demo-"); err != nil {
		return err
	}
	if w.gravitee, err = graviteetest.Start(graviteetest.Options{}); err != nil {
		return err
	}
	public, err := freeAddress()
	if err != nil {
		return err
	}
	ops, err := freeAddress()
	if err != nil {
		return err
	}
	w.publicURL, w.opsURL = "http://"+public, "http://"+ops
	if w.mailbox, err = mailtest.New(mailtest.Options{BounceURL: w.publicURL + "/webhooks/mail/bounces", BounceSecret: demoBounceSecret}); err != nil {
		return err
	}
	smtp, err := w.mailbox.StartSMTP("127.0.0.1:0")
	if err != nil {
		return err
	}
	if w.mailURL, err = w.mailbox.StartWeb("127.0.0.1:0"); err != nil {
		return err
	}
	if w.receiver, err = webhooktest.New(webhooktest.Options{}); err != nil {
		return err
	}
	if w.receiverURL, err = w.receiver.Start("127.0.0.1:0"); err != nil {
		return err
	}
	w.datapass = datapasstest.New(datapasstest.Options{Environment: datapasstest.Sandbox})
	if w.datapassURL, err = w.datapass.Start("127.0.0.1:0"); err != nil {
		return err
	}
	if w.people, err = authtest.Start("127.0.0.1:0", "passerelle"); err != nil {
		return err
	}
	if err := w.citizen.open(w.publicURL); err != nil {
		return err
	}
	w.settings = filepath.Join(w.dir, "passerelle.yml")
	return w.writeSettings(database, timing, public, ops, smtp)
}

const demoBounceSecret = "demo-bounce-secret-of-32-characters"

// join makes the hub and its partners know each other: a subscription at
// DataPass, endpoints of the provider, a client for its gateway.
func (w *world) join(ctx context.Context) error {
	if err := w.awaitReady(ctx); err != nil {
		return err
	}
	var secrets []string
	for _, definition := range []string{"api_particulier", "api_entreprise"} {
		w.subscription = w.datapass.AddSubscription(datapasstest.Subscription{
			Definition: definition, URL: w.publicURL + "/webhooks/datapass/" + demoSource, Secret: w.secret,
		})
		id, key, err := w.hub.addEndpoint(ctx, definition, w.receiverURL+"/"+definition, "fournisseur de la démonstration", []string{"*"})
		if err == nil { // its receiver learns the secret below: no test event could pass yet
			err = w.hub.registry.Record(ctx, &registry.EnableEndpoint{EndpointTarget: asOperator(id), Untested: true})
		}
		if err != nil {
			return err
		}
		secrets = append(secrets, key.Hex().Reveal())
	}
	if err := w.receiver.SetSecrets(secrets...); err != nil {
		return err
	}
	if err := w.joinEditor(ctx); err != nil {
		return err
	}
	id, secret, err := w.hub.addClient(ctx, "passerelle d'API Entreprise", []string{"introspect"}, []string{"api_entreprise"})
	if err != nil {
		return err
	}
	w.gateway, err = jwtissuertest.Start("127.0.0.1:0", jwtissuertest.Options{
		IntrospectionURL: w.publicURL + "/token/introspect", ClientID: id.String(), ClientSecret: secret,
	})
	if err != nil {
		return err
	}
	return w.admitCallers(ctx)
}

// admitCallers gives the API an instructor and an application of hers.
func (w *world) admitCallers(ctx context.Context) error {
	ctx = registry.WithActor(ctx, "operator:demo")
	roles := []string{"dinum:*:instructor", "dinum:*:developer"}
	if err := w.hub.registry.Record(ctx, &registry.ChangeRoles{Email: demoAgent, Grant: roles}); err != nil {
		return err
	}
	add := &registry.AddApplication{Name: "client de l'API", Scopes: auth.Scopes()}
	if err := w.hub.addApplication(ctx, add, demoAgent); err != nil {
		return err
	}
	w.application = fmt.Sprintf("%s / %s", add.ID, add.Secret.Reveal())
	return nil
}

// nextPort walks the ports below those that the system gives to outgoing
// connections, from a place of this process's own: the hub's addresses must be
// known before it listens.
var nextPort atomic.Int32

const firstPort, ports = 20_000, 10_000

// freeAddress is a loopback address that was free a moment ago.
func freeAddress() (string, error) {
	nextPort.CompareAndSwap(0, rand.Int32N(ports)+1) //nolint:gosec // spreads processes, protects nothing
	for range ports {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+int(nextPort.Add(1)%ports)))
		l, err := net.Listen("tcp", address) //nolint:noctx // released at once
		if err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port on loopback")
}

var demoSettings = template.Must(template.New("").Parse(`# The settings of the demo: a real file, as an operator would write it.
hub: {name: passerelle-demo, environment: sandbox, public_url: "{{.PublicURL}}", contact: ops@passerelle.example}
http: {listen: "{{.Public}}"}
ops:
  listen: "{{.Ops}}"
  users: [{name: {{.OpsUser}}, password: {{.OpsPassword}}, role: operator}]
database: {url: "{{.Database}}"}
sealing:
  keys: [{id: demo, key: {{.SealingKey}}}]
datapass:
  sources:
    - name: {{.Source}}
      environment: sandbox
      secrets: ["{{.Secret}}"]
      api: {url: "{{.DataPassURL}}", client_id: "{{.DataPassClient}}", client_secret: "{{.DataPassSecret}}"}
connectors:
  - name: {{.Manager}}
    type: gravitee
    config:
      url: "{{.GraviteeURL}}"
      token: {{.GraviteeToken}}
      grants:
        api_particulier: {api: {{.GraviteeAPI}}, plan: {{.GraviteePlan}}, all_scopes: true, probe: "{{.GatewayURL}}"}
      sync_delay: 0s
  - name: {{.Issuer}}
    type: jwtissuer
    config:
      issuer: "{{.PublicURL}}"
      definitions:
        api_entreprise:
          audience: https://entreprise.api.example
          scopes:{{range .Scopes}}
            {{.}}: {{.}}{{end}}
provisioning:
  - {definition: api_particulier, environment: sandbox, managers: [{{.Manager}}], editor_fetch: declared}
  - {definition: api_entreprise, environment: sandbox, managers: [{{.Issuer}}], editor_fetch: declared}
mail:
  smtp: {host: "{{.SMTPHost}}", port: {{.SMTPPort}}, tls: none}
  from: Passerelle <ne-pas-repondre@passerelle.example>
  bounce_secret: {{.BounceSecret}}
auth:
  issuers: [{name: demo, issuer: "{{.People}}", audience: passerelle, jwks: "{{.PeopleKeys}}"}]
egress:
  allow: [127.0.0.0/8]
{{.Citizens}}
{{.Timing}}
`))

func (w *world) writeSettings(database, timing, public, ops, smtp string) error {
	host, port, err := net.SplitHostPort(smtp)
	if err != nil {
		return err
	}
	scopes, err := scopesOf("api_entreprise")
	if err != nil {
		return err
	}
	reader := w.datapass.AddApplication(datapasstest.Application{Definitions: []string{"api_particulier", "api_entreprise"}})
	var out bytes.Buffer
	err = demoSettings.Execute(&out, map[string]any{
		"PublicURL": w.publicURL, "Public": public, "Ops": ops, "OpsUser": demoOps, "OpsPassword": demoOpsPass,
		"Database": database, "Timing": timing, "Citizens": w.citizen.settings(), "SealingKey": newSealingKey().Reveal(), "Source": demoSource, "Secret": w.secret,
		"DataPassURL": w.datapassURL, "DataPassClient": reader.ClientID, "DataPassSecret": reader.ClientSecret,
		"Manager": demoManager, "Issuer": demoIssuer, "GatewayURL": w.gravitee.GatewayURL() + graviteetest.DemoPath, "GraviteeURL": w.gravitee.ManagementURL(), "GraviteeToken": w.gravitee.Token(),
		"GraviteeAPI": graviteetest.DemoAPI, "GraviteePlan": graviteetest.DemoPlan, "Scopes": scopes,
		"SMTPHost": host, "SMTPPort": port, "BounceSecret": demoBounceSecret,
		"People": w.people.URL(), "PeopleKeys": w.people.JWKS(),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(w.settings, out.Bytes(), 0o600)
}

// scopesOf gives the scopes of a definition of the embedded catalogue.
func scopesOf(definition string) ([]string, error) {
	set, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		return nil, err
	}
	d, ok := set.Definition(definition)
	if !ok {
		return nil, fmt.Errorf("the catalogue has no %s", definition)
	}
	values := map[string]bool{}
	for _, s := range d.Scopes {
		values[s.Value] = true
	}
	return slices.Sorted(maps.Keys(values)), nil
}

func (w *world) urls() map[string]string {
	return map[string]string{
		"hub": w.publicURL, "ops pages": w.opsURL + " (" + demoOps + " / " + demoOpsPass + ")", "mailbox": w.mailURL,
		"Gravitee (management)": w.gravitee.ManagementURL(), "Gravitee (gateway)": w.gravitee.GatewayURL() + graviteetest.DemoPath,
		"editor's API":              w.editor.url + " (client_id " + w.editor.clientID + ", client_secret " + w.editor.secret + ")",
		"gateway of API Entreprise": w.gateway.URL(), "provider's endpoint": w.receiverURL,
		"a citizen's journey": w.communePage(),
		"documentation":       w.publicURL + "/docs", "tokens of people": w.people.URL() + "/token (POST email, siret; instructor: " + demoAgent + ")",
	}
}

// close stops what was started; nothing is left running or on disk.
func (w *world) close() error {
	var errs []error
	if w.stopHub != nil {
		errs = append(errs, w.stopHub())
	}
	if w.hub != nil {
		w.hub.close()
	}
	for _, closer := range []func() error{
		w.citizen.close,
		closing(w.people != nil, func() error { return w.people.Close() }),
		closing(w.gateway != nil, func() error { return w.gateway.Close() }),
		closing(w.receiver != nil, func() error { return w.receiver.Close() }),
		closing(w.datapass != nil, func() error { return w.datapass.Close() }),
		closing(w.mailbox != nil, func() error { return w.mailbox.Close() }),
		closing(w.gravitee != nil, func() error { return w.gravitee.Close() }),
	} {
		errs = append(errs, closer())
	}
	if w.postgres != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		errs = append(errs, w.postgres.Stop(ctx))
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

func closing(started bool, f func() error) func() error {
	if !started {
		return func() error { return nil }
	}
	return f
}

func (w *world) linksMailedTo(address, about string) []string {
	var links []string
	for _, m := range w.mailbox.To(address) {
		if strings.Contains(m.Subject, about) {
			links = append(links, m.Links()...)
		}
	}
	return links
}

func (w *world) testSubscription(ctx context.Context) (any, error) {
	sub := w.subscription
	tested, err := w.datapass.Enable(ctx, sub.ID)
	if err != nil {
		return nil, err
	}
	body := []byte(`{"test":true}`)
	forged, err := w.datapass.SendRaw(ctx, sub.ID, datapasstest.Raw{
		Body: body, Header: http.Header{"X-Hub-Signature-256": {datapasstest.Sign("another-secret", body)}},
	})
	if err != nil || forged.Status != http.StatusUnauthorized {
		return nil, errors.Join(err, fmt.Errorf("a wrong signature answers %d, want 401", forged.Status))
	}
	return map[string]any{"validated": tested.Validated, "wrong signature": forged.Status}, nil
}

// approve has DataPass file, submit and approve a request of a definition.
func (w *world) approve(ctx context.Context, definition string) (granted, error) {
	filing := datapasstest.APIParticulier()
	if definition == "api_entreprise" {
		filing = datapasstest.APIEntreprise()
	}
	return w.file(ctx, filing)
}

// file has DataPass file, submit and approve a request.
func (w *world) file(ctx context.Context, filing datapasstest.Filing) (granted, error) {
	request, err := w.datapass.Create(ctx, filing)
	if err != nil {
		return granted{}, err
	}
	if _, err := w.datapass.Submit(ctx, request.ID); err != nil {
		return granted{}, err
	}
	if _, err := w.datapass.Approve(ctx, request.ID, datapasstest.Approval{}); err != nil {
		return granted{}, err
	}
	if request, err = w.datapass.Request(request.ID); err != nil {
		return granted{}, err
	}
	g := granted{Request: request.ID, TokenID: request.ExternalProviderID, Definition: filing.Definition, Contact: *filing.Fields["contact_technique_email"]}
	if _, err := g.token(); err != nil {
		return g, fmt.Errorf("DataPass kept no token_id: %w", err)
	}
	return g, nil
}

// provisioned checks that each key was made, once.
func (w *world) provisioned(ctx context.Context, grants ...granted) (any, error) {
	for _, g := range grants {
		id, err := g.token()
		if err != nil {
			return nil, err
		}
		c, err := w.hub.store.Credential(ctx, id)
		if err != nil {
			return nil, err
		}
		if c.State != "active" {
			return nil, fmt.Errorf("the key of %s is %s", g.Definition, c.State)
		}
	}
	n := w.gravitee.Counts()
	if n.ActiveApplications != 1 || n.OpenSubscriptions != 1 || n.LiveKeys != 1 {
		return nil, fmt.Errorf("Gravitee holds %+v", n)
	}
	return n, nil
}

// told checks that n events of a type arrived, valid and without a secret.
func (w *world) told(event string, n int) (any, error) {
	ids := map[string]bool{}
	headers := map[string]string{}
	for _, d := range w.receiver.Deliveries() {
		if d.Event != event {
			continue
		}
		if !d.Valid {
			return nil, fmt.Errorf("a delivery of %s is not valid: %v", event, d.Faults)
		}
		if strings.Contains(string(d.Body), "psk_") || strings.Contains(string(d.Body), "eyJ") {
			return nil, fmt.Errorf("a delivery of %s holds a secret", event)
		}
		ids[d.ID] = true
		for _, name := range []string{"X-Hub-Signature-256", "X-App-Environment", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
			if d.Header.Get(name) == "" {
				return nil, fmt.Errorf("a delivery of %s has no %s", event, name)
			}
			headers[name] = d.Header.Get(name)
		}
	}
	if len(ids) != n {
		return nil, fmt.Errorf("%d of %d %s arrived", len(ids), n, event)
	}
	return headers, nil
}

func (w *world) callGravitee(ctx context.Context, key string) (int, error) {
	return call(ctx, w.gravitee.GatewayURL()+graviteetest.DemoPath+"/allocataires", "X-Gravitee-Api-Key", key)
}

func (w *world) callIssuer(ctx context.Context, key string) (int, error) {
	return call(ctx, w.gateway.URL()+"/v3/etablissements", "Authorization", "Bearer "+key)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/apiparticulier/apiparticuliertest"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/franceconnect/franceconnecttest"
	"github.com/passerelle-hub/passerelle/connectors/hubee/hubeetest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// citizenStory is what a citizen meets: FranceConnect, API Particulier, and the
// HubEE that takes her folder.
type citizenStory struct {
	franceconnect *franceconnecttest.Server
	particulier   *apiparticuliertest.Server
	hubee         *hubeetest.Server
	client        franceconnecttest.Client
}

// open starts them, for a hub at an address.
func (c *citizenStory) open(publicURL string) error {
	seed, err := franceconnecttest.DefaultSeed()
	if err != nil {
		return err
	}
	c.client = seed.Clients[0]
	c.client.RedirectURIs, c.client.PostLogoutRedirectURIs = []string{publicURL + callbackPath}, []string{publicURL + logoutCallbackPath}
	seed.Clients[0] = c.client
	if c.franceconnect, err = franceconnecttest.Start(franceconnecttest.Options{Seed: seed}); err != nil {
		return err
	}
	provider := seed.DataProviders[0]
	c.particulier, err = apiparticuliertest.Start(apiparticuliertest.Options{FranceConnect: &apiparticuliertest.FranceConnect{
		CheckTokenURL: c.franceconnect.CheckTokenURL(), ClientID: provider.ID, ClientSecret: provider.Secret,
	}})
	if err != nil {
		return err
	}
	c.hubee, err = hubeetest.Start(hubeetest.Options{})
	return err
}

func (c *citizenStory) close() error {
	var errs []error
	if c.franceconnect != nil {
		errs = append(errs, c.franceconnect.Close())
	}
	if c.particulier != nil {
		errs = append(errs, c.particulier.Close())
	}
	if c.hubee != nil {
		errs = append(errs, c.hubee.Close())
	}
	return errors.Join(errs...)
}

// settings are the lines with which a hub knows them.
func (c *citizenStory) settings() string {
	osl, onboarding := c.hubee.Credential(hubeetest.OSL), c.hubee.Credential(hubeetest.DataPass)
	return fmt.Sprintf(`hubee:
  url: "%s"
  token_url: "%s"
  client_id: "%s"
  client_secret: "%s"
  onboarding: {client_id: "%s", client_secret: "%s"}
  follow_every: 1s
  check_after: 5s
franceconnect: {issuer: "%s", client_id: "%s", client_secrets: ["%s"]}
api_particulier: {url: "%s"}`, c.hubee.URL(), c.hubee.TokenURL(), osl.ClientID, osl.ClientSecret, onboarding.ClientID, onboarding.ClientSecret,
		c.franceconnect.Issuer(), c.client.ID, c.client.Secrets[0], c.particulier.URL())
}

// demoCommune is the commune of the contract's request 49117: all invented.
var demoCommune = connectors.OrganizationRef{Type: "SI", SIRET: "21350998700011", Branch: "35998"}

func (w *world) communePage() string { return w.publicURL + "/collectivites/" + demoCommune.SIRET }

// openCommune gives the demo's commune its right: approved at DataPass, known to
// HubEE, activated there by a person.
func (w *world) openCommune(ctx context.Context) (any, error) {
	w.datapass.AddSubscription(datapasstest.Subscription{Definition: "formulaire_qf", URL: w.publicURL + "/webhooks/datapass/" + demoSource, Secret: w.secret})
	request, err := w.datapass.Create(ctx, datapasstest.FormulaireQF())
	if err != nil {
		return nil, err
	}
	if _, err := w.datapass.Submit(ctx, request.ID); err != nil {
		return nil, err
	}
	if _, err := w.datapass.Approve(ctx, request.ID, datapasstest.Approval{}); err != nil {
		return nil, err
	}
	return eventually(ctx, func() (any, error) {
		r, err := w.hub.store.ReceiverByKey(ctx, registry.FolderProcess, demoCommune)
		switch {
		case err != nil:
			return nil, err
		case r.State == store.ReceiverInactive:
			_ = w.citizen.hubee.Activate(r.SubscriptionID, "API", hubeetest.OrganizationID{}, 0) // a person at HubEE does
		}
		if !store.Receives(r) {
			return nil, fmt.Errorf("the commune is %s", r.State)
		}
		return map[string]string{"page": w.communePage(), "state": r.State}, nil
	})
}

// visitor is a citizen's browser without script: it follows redirections, keeps
// cookies, and clicks the buttons of pages.
type visitor struct {
	client *http.Client
	at     *url.URL // of the page that is shown
	status int
	body   string
	header http.Header
}

func newVisitor() *visitor {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &visitor{client: &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

func (v *visitor) do(ctx context.Context, method, address string, form url.Values) error {
	target, err := url.Parse(address)
	if err != nil {
		return err
	}
	if v.at != nil {
		target = v.at.ResolveReference(target)
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	v.at, v.status, v.body, v.header = resp.Request.URL, resp.StatusCode, string(text), resp.Header
	return err
}

func (v *visitor) open(ctx context.Context, address string) error {
	return v.do(ctx, http.MethodGet, address, nil)
}

var (
	pageForm   = regexp.MustCompile(`(?s)<form[^>]* action="([^"]*)"[^>]*>(.*?)</form>`)
	pageHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// press submits the form whose address ends so, with its hidden fields and more.
func (v *visitor) press(ctx context.Context, ending string, more url.Values) error {
	for _, f := range pageForm.FindAllStringSubmatch(v.body, -1) {
		action := html.UnescapeString(f[1])
		if !strings.HasSuffix(action, ending) {
			continue
		}
		form := url.Values{}
		for _, hidden := range pageHidden.FindAllStringSubmatch(f[2], -1) {
			form.Set(html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
		}
		for name, values := range more {
			form[name] = values
		}
		return v.do(ctx, http.MethodPost, action, form)
	}
	return fmt.Errorf("no form that leads to %s on the page %q (%d)", ending, v.heading(), v.status)
}

var pageTitle = regexp.MustCompile(`(?s)<h1[^>]*>(.*?)</h1>`)

func (v *visitor) heading() string {
	if m := pageTitle.FindStringSubmatch(v.body); m != nil {
		return html.UnescapeString(strings.TrimSpace(m[1]))
	}
	return ""
}

// until does what a browser does with a Refresh header, until the page says so.
func (v *visitor) until(ctx context.Context, heading string) error {
	for v.heading() != heading {
		if v.header.Get("Refresh") == "" {
			return fmt.Errorf("the page is %q (%d), want %q", v.heading(), v.status, heading)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the page stays %q, want %q: %w", v.heading(), heading, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
		if err := v.open(ctx, v.at.String()); err != nil {
			return err
		}
	}
	return nil
}

// identify is what she does at FranceConnect: chooses who she is, and agrees.
func (v *visitor) identify(ctx context.Context, citizen string) error {
	if strings.Contains(v.body, `name="citizen"`) {
		if err := v.press(ctx, "/identity", url.Values{"citizen": {citizen}, "action": {"choose"}}); err != nil {
			return err
		}
	}
	return v.press(ctx, "/consent", url.Values{"action": {"continue"}})
}

// Headings of the pages of a journey.
const (
	pageReview = "Vérifiez avant de transmettre"
	pageSent   = "Vos informations ont bien été transmises"
)

var shownReference = regexp.MustCompile(`id="reference">([0-9A-Z]{13})<`)

// citizenSends is the whole journey of a citizen, without script.
func (w *world) citizenSends(ctx context.Context, citizen string) (any, error) {
	v := newVisitor()
	if err := v.open(ctx, w.communePage()); err != nil {
		return nil, err
	}
	if err := v.press(ctx, "/demarrer", nil); err != nil {
		return nil, err
	}
	if err := v.identify(ctx, citizen); err != nil {
		return nil, err
	}
	if err := v.until(ctx, pageReview); err != nil {
		return nil, err
	}
	if err := v.press(ctx, "/envoyer", nil); err != nil {
		return nil, err
	}
	if err := v.until(ctx, pageSent); err != nil {
		return nil, err
	}
	found := shownReference.FindStringSubmatch(v.body)
	if found == nil {
		return nil, errors.New("the confirmation shows no reference")
	}
	held := w.citizen.hubee.Folders("Formulaire-QF-" + found[1])
	if len(held) != 1 || len(held[0].Attachments) != 3 {
		return nil, fmt.Errorf("HubEE holds %d folders of that reference", len(held))
	}
	return map[string]string{"reference": found[1], "folder at HubEE": held[0].ID, "status": fmt.Sprint(held[0].GlobalStatus)}, nil
}

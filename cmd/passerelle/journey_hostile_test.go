package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// addressed sends what it is given as from an address, through a proxy that the
// hub trusts, and follows nothing.
func addressed(ctx context.Context, method, target, from string, form url.Values) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("X-Forwarded-For", from)
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func (w *world) journeys(t *testing.T) (n int) {
	t.Helper()
	mustDo(t, w.hub.pool.QueryRow(t.Context(), `select count(*) from journey`).Scan(&n))
	return n
}

func TestTwoThousandStartsFromOneAddressAreHeldBackAndLeaveLittleForAWhile(t *testing.T) {
	t.Parallel()
	const perMinute, attempts = 30, 2_000
	clock := partnertest.NewClock()
	w := openPartnersOnly(t)
	settings, err := os.ReadFile(w.settings)
	mustDo(t, err)
	changed := strings.Replace(string(settings), "http: {", "http: {trusted_proxies: [127.0.0.0/8], ", 1)
	mustDo(t, os.WriteFile(w.settings, []byte(changed+fmt.Sprintf("journeys: {per_minute: 0, per_hour: 0, per_habilitation: 0}\nrate_limits: {per_address: %d, per_visitor: 100000}\n", perMinute)), 0o600))
	w.startHub(t, &lockedBuffer{}, clocked(t, clock))
	mustDo(t, w.join(t.Context()))
	_, err = w.openCommune(t.Context())
	mustDo(t, err)
	start := func(from string) (*http.Response, string, error) {
		return addressed(t.Context(), http.MethodPost, w.communePage()+"/demarrer", from, url.Values{"cog": {demoCommune.Branch}})
	}

	// To look at a page keeps nothing.
	for range 100 {
		if resp, _, err := addressed(t.Context(), http.MethodGet, w.communePage(), "203.0.113.9", nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
	}
	if n := w.journeys(t); n != 0 {
		t.Errorf("%d rows are kept of pages that were looked at", n)
	}

	begun := time.Now()
	var begins, refused, other, next atomic.Int64
	var told atomic.Value
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for next.Add(1) <= attempts {
				resp, body, err := start("203.0.113.9")
				switch {
				case err != nil:
					other.Add(1)
				case resp.StatusCode == http.StatusSeeOther:
					begins.Add(1)
				case resp.StatusCode == http.StatusTooManyRequests:
					refused.Add(1)
					if !strings.Contains(body, `lang="fr"`) || !strings.Contains(body, "Attendez une minute") || !strings.Contains(body, "attestation") || resp.Header.Get("Retry-After") == "" {
						told.Store(fmt.Sprintf("%v %s", resp.Header, body))
					}
				default:
					other.Add(1)
				}
			}
		})
	}
	workers.Wait()
	windows := int64(time.Since(begun)/time.Minute) + 2
	if b := begins.Load(); b < perMinute || b > perMinute*windows || b+refused.Load() != attempts || other.Load() != 0 {
		t.Errorf("%d begin in %d windows, %d are refused, %d are answered otherwise", b, windows, refused.Load(), other.Load())
	}
	if page := told.Load(); page != nil {
		t.Errorf("the page of the limit: %s", page)
	}
	var largest int
	mustDo(t, w.hub.pool.QueryRow(t.Context(), `select max(pg_column_size(j.*)) from journey j`).Scan(&largest))
	if n := w.journeys(t); int64(n) != begins.Load() || largest > 2048 {
		t.Errorf("%d rows of up to %d bytes are kept of %d that began", n, largest, begins.Load())
	}

	// Others are not held back, nor can one subscriber's many addresses be told apart.
	for _, from := range []string{"203.0.113.10", "2001:db8:5:1::1"} {
		if resp, _, err := start(from); err != nil || resp.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %v %v", from, resp, err)
		}
	}
	held := false
	for n := range 3 * perMinute {
		resp, _, err := start(fmt.Sprintf("2001:db8:7:1::%x", n+1))
		mustDo(t, err)
		held = held || resp.StatusCode == http.StatusTooManyRequests
	}
	if !held {
		t.Error("each address of one IPv6 network has a limit of its own")
	}

	// What nobody came back to is gone after half an hour.
	w.advance(clock, 29*time.Minute)
	if n := w.journeys(t); int64(n) < begins.Load() {
		t.Errorf("%d rows are left after 29 minutes", n)
	}
	w.advance(clock, 2*time.Minute)
	await(t, func() error {
		if n := w.journeys(t); n != 0 {
			return fmt.Errorf("%d rows are left after 31 minutes", n)
		}
		return nil
	})
}

func TestForeignTransactionsUnknownCommunesAndForgedReturnsLeadNowhere(t *testing.T) {
	t.Parallel()
	w := openJourneys(t, &lockedBuffer{})
	ctx := t.Context()
	hers, other := w.arrives(t, "fontanel", pageReview), w.arrives(t, "garrigue", pageReview)
	key := func(v *visitor) *http.Cookie {
		for _, c := range v.client.Jar.Cookies(v.at) {
			if c.Name == "demarche" {
				return c
			}
		}
		t.Fatal("no cookie of the transaction")
		return nil
	}
	// stranger has no cookie, or that of another transaction for every address.
	stranger := func(cookie *http.Cookie) *visitor {
		v := newVisitor()
		if cookie != nil {
			jar, _ := cookiejar.New(nil) // never fails without options
			jar.SetCookies(hers.at, []*http.Cookie{{Name: cookie.Name, Value: cookie.Value, Path: "/"}})
			v.client.Jar = jar
		}
		return v
	}
	before, held := w.journeys(t), w.citizen.hubee.Totals().Folders
	for name, cookie := range map[string]*http.Cookie{"without a cookie": nil, "with another's key": key(other), "with a forged key": {Name: "demarche", Value: strings.Repeat("0", 64)}} {
		for _, id := range []string{hers.at.String(), w.publicURL + "/demarche/" + uuid.NewString(), w.publicURL + "/demarche/" + uuid.Nil.String(), w.publicURL + "/demarche/1"} {
			for _, action := range []string{"", "/document", "/partir", "/envoyer", "/identite", "/annuler", "/quitter"} {
				v := stranger(cookie)
				var err error
				if action == "" || action == "/document" {
					err = v.open(ctx, id+action)
				} else {
					err = v.do(ctx, http.MethodPost, id+action, url.Values{})
				}
				if err != nil || v.status != http.StatusNotFound || v.heading() != "Cette démarche est terminée ou a expiré" || strings.Contains(v.body, "FONTANEL") || strings.Contains(v.body, "GARRIGUE") {
					t.Errorf("%s, %s: %d %q %v", name, strings.TrimPrefix(id+action, w.publicURL), v.status, v.heading(), err)
				}
			}
		}
	}
	for _, c := range []struct{ siret, cog string }{
		{"00000000000000", demoCommune.Branch},
		{"21350998700029", demoCommune.Branch},
		{"2135099870001", demoCommune.Branch},
		{"21350998700011%00", demoCommune.Branch},
		{"21350998700011'--", demoCommune.Branch},
		{demoCommune.SIRET, ""},
		{demoCommune.SIRET, "35999"},
		{demoCommune.SIRET, "35998' or 1=1"},
	} {
		v := newVisitor()
		mustDo(t, v.do(ctx, http.MethodPost, w.publicURL+"/collectivites/"+c.siret+"/demarrer", url.Values{"cog": {c.cog}}))
		if v.status != http.StatusNotFound || !strings.Contains(v.body, `lang="fr"`) {
			t.Errorf("%v: %d %q", c, v.status, v.heading())
		}
	}
	state := strings.Repeat("a", 64)
	for _, query := range []string{
		"", "state=" + state, "code=x&state=" + state[1:], "code=x&state=" + state + "&state=" + state, "code=" + strings.Repeat("x", 5000) + "&state=" + state,
		"error=" + url.QueryEscape("<script>alert(1)</script>") + "&state=" + state, "code=x&state=" + strings.Repeat("%00", 64),
	} {
		v := newVisitor()
		mustDo(t, v.open(ctx, w.publicURL+"/callback?"+query))
		if v.status != http.StatusNotFound || strings.Contains(v.body, "alert(") {
			t.Errorf("callback?%.60s: %d %q", query, v.status, v.heading())
		}
	}
	if n := w.journeys(t); n != before {
		t.Errorf("%d transactions more than before", n-before)
	}
	if n := w.citizen.hubee.Totals().Folders; n != held {
		t.Fatalf("HubEE holds %d folders more", n-held)
	}
	mustDo(t, hers.open(ctx, hers.at.String()), other.open(ctx, other.at.String()))
	if form := w.sends(t, hers); form.Identity.FamilyName != "FONTANEL" {
		t.Errorf("hers holds %q", form.Identity.FamilyName)
	}
	if form := w.sends(t, other); form.Identity.FamilyName != "GARRIGUE" {
		t.Errorf("the other's holds %q", form.Identity.FamilyName)
	}
}

package franceconnect

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// stage is an OpenID provider that lets Élodie Fontanel pass: the simulator, or a
// real one.
type stage struct {
	now     func() time.Time
	dial    func(t *testing.T, change ...func(*Config)) *Provider
	cancels func(bool) // whether she turns back on the provider's pages
}

// suite is what the client does with any provider that speaks as FranceConnect.
func suite(t *testing.T, s stage) {
	t.Helper()
	client := s.dial(t)
	exchange := func(t *testing.T, p *Provider, change ...func(*connectors.Callback)) (connectors.Citizen, error) {
		t.Helper()
		back := newVisitor(t).visit(t, p)
		for _, one := range change {
			one(&back)
		}
		return p.Exchange(t.Context(), back)
	}
	t.Run("she is identified, twice as the same person", func(t *testing.T) {
		before := s.now()
		got, err := exchange(t, client)
		if err != nil {
			t.Fatal(err)
		}
		who := got.Identity
		if who.FamilyName != "FONTANEL" || !slices.Equal(who.GivenNames, []string{"Élodie", "Marguerite"}) || who.BirthDate != "1987-03-14" ||
			who.Gender != "female" || who.BirthPlace != "69385" || who.BirthCountry != "99100" {
			t.Errorf("%+v", who)
		}
		if got.ACR != "eidas1" || got.TokenAt.Before(before) || got.TokenBy.Sub(got.TokenAt) != 50*time.Second || got.Token.IsZero() {
			t.Errorf("%+v", got)
		}
		again, err := exchange(t, client)
		if err != nil || !bytes.Equal(got.SubjectHash, again.SubjectHash) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a code is good once", func(t *testing.T) {
		back := newVisitor(t).visit(t, client)
		if _, err := client.Exchange(t.Context(), back); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Exchange(t.Context(), back); !errors.Is(err, connectors.ErrCodeSpent) {
			t.Errorf("%v", err)
		}
	})
	t.Run("another visit's nonce is not believed", func(t *testing.T) {
		_, err := exchange(t, client, func(c *connectors.Callback) { c.Nonce = strings.Repeat("0", 64) })
		var why *connectors.UnverifiedError
		if !errors.As(err, &why) || why.Reason != "wrong nonce" {
			t.Errorf("%v", err)
		}
	})
	t.Run("she turns back", func(t *testing.T) {
		s.cancels(true)
		defer s.cancels(false)
		if _, err := exchange(t, client); !errors.Is(err, connectors.ErrCancelled) {
			t.Errorf("%v", err)
		}
	})
	t.Run("the next secret is tried, a wrong one alone is refused", func(t *testing.T) {
		wrong := connectors.NewSecret("a-secret-that-the-provider-never-heard-of")
		both := s.dial(t, func(c *Config) { c.ClientSecrets = []connectors.Secret{wrong, c.ClientSecrets[0]} })
		if _, err := exchange(t, both); err != nil {
			t.Errorf("%v", err)
		}
		alone := s.dial(t, func(c *Config) { c.ClientSecrets = []connectors.Secret{wrong} })
		if _, err := exchange(t, alone); !connectors.Is(err, connectors.Unauthorized) {
			t.Errorf("%v", err)
		}
	})
	t.Run("an algorithm that is not pinned is refused", func(t *testing.T) {
		back := newVisitor(t).visit(t, client)
		other := s.dial(t, func(c *Config) { c.Alg = "RS256" })
		if _, err := other.Exchange(t.Context(), back); !connectors.Is(err, connectors.Rejected) {
			t.Errorf("%v", err)
		}
	})
	t.Run("she logs out there", func(t *testing.T) {
		her := newVisitor(t)
		got, err := client.Exchange(t.Context(), her.visit(t, client))
		if err != nil {
			t.Fatal(err)
		}
		address, err := client.Logout(t.Context(), got.IDToken, sentState)
		if err != nil {
			t.Fatal(err)
		}
		resp := her.get(t, address)
		if resp.StatusCode >= http.StatusBadRequest {
			t.Errorf("%s", resp.Status)
		}
	})
}

// visitor is a browser with cookies of its own.
type visitor struct{ client *http.Client }

func newVisitor(t *testing.T) visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return visitor{&http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (v visitor) get(t *testing.T, address string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}

var formRule = regexp.MustCompile(`action="([^"]+)"`)

// turnBack takes a page's way back to the service.
func (v visitor) turnBack(t *testing.T, page *http.Response) *url.URL {
	t.Helper()
	text, err := io.ReadAll(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	form := formRule.FindSubmatch(text)
	if form == nil {
		t.Fatalf("%s %s", page.Status, text)
	}
	target, err := page.Request.URL.Parse(string(form[1]))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target.String(), strings.NewReader("action=cancel"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	next, err := resp.Location()
	if err != nil {
		t.Fatalf("%s %v", resp.Status, err)
	}
	return next
}

// visit goes to the provider and follows it to the callback.
func (v visitor) visit(t *testing.T, p *Provider) connectors.Callback {
	t.Helper()
	address, err := p.Authorize(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		resp := v.get(t, address)
		next, err := resp.Location()
		if err != nil {
			next = v.turnBack(t, resp)
		}
		if strings.HasPrefix(next.String(), callback+"?") {
			query := next.Query()
			if query.Get("state") != sentState {
				t.Errorf("another state: %v", query)
			}
			return connectors.Callback{
				Code: connectors.NewSecret(query.Get("code")), Issuer: query.Get("iss"), Error: query.Get("error"), Nonce: nonce,
			}
		}
		address = next.String()
	}
	t.Fatal("no callback after ten redirects")
	return connectors.Callback{}
}

func TestTheSimulatorPassesTheSuite(t *testing.T) {
	t.Parallel()
	b := open(t)
	suite(t, stage{
		now:  b.clock.Now,
		dial: func(_ *testing.T, change ...func(*Config)) *Provider { return b.dial(change...) },
		cancels: func(yes bool) {
			auto := "fontanel"
			if yes {
				auto = "" // then the pages come, and she takes the way back
			}
			if err := b.site.SetAuto(auto); err != nil {
				t.Fatal(err)
			}
		},
	})
}

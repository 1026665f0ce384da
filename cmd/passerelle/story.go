package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
)

// story is a list of steps told as they happen.
type story struct {
	out    io.Writer
	steps  []step
	failed int
}

// step is one line of the report.
type step struct {
	Name       string `json:"name"`
	Result     string `json:"result"` // passed or failed
	DurationMS int64  `json:"duration_ms"`
	Exchanged  any    `json:"exchanged,omitempty"` // no secret
	Error      string `json:"error,omitempty"`
}

func newStory(out io.Writer) *story { return &story{out: out} }

// stepLimit bounds a step: what takes longer has failed.
const stepLimit = 30 * time.Second

// step does one thing and tells what came of it. After a failure the rest is
// tried all the same: one run shows all that is wrong.
func (s *story) step(ctx context.Context, name string, do func(context.Context) (any, error)) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	start := time.Now()
	exchanged, err := do(ctx)
	took := time.Since(start)
	st := step{Name: name, Result: "passed", DurationMS: took.Milliseconds(), Exchanged: exchanged}
	mark := "✓"
	if err != nil {
		st.Result, st.Error, mark = "failed", err.Error(), "✗"
		s.failed++
	}
	s.steps = append(s.steps, st)
	fmt.Fprintf(s.out, "%s %-86s %7s\n", mark, name, took.Round(time.Millisecond))
	if err != nil {
		fmt.Fprintf(s.out, "    %v\n", err)
		return
	}
	if exchanged != nil {
		if text, err := json.Marshal(exchanged); err == nil {
			fmt.Fprintf(s.out, "    %s\n", text)
		}
	}
}

func (s *story) writeReport(file string) error {
	if file == "" {
		return nil
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	if err := e.Encode(s.steps); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

func (s *story) invite(w *world) {
	fmt.Fprintln(s.out, "\nIt stays up until Ctrl-C. To look around:")
	for name, url := range w.urls() {
		fmt.Fprintf(s.out, "  %-28s %s\n", name, url)
	}
	fmt.Fprintf(s.out, "  %-28s %s\n", "an application (id / secret)", w.application)
}

// play is the main job, end to end, over real HTTP.
func (s *story) play(ctx context.Context, w *world) {
	var particulier, entreprise granted
	s.step(ctx, "DataPass tests its subscription; a wrong signature is refused", func(ctx context.Context) (any, error) {
		return w.testSubscription(ctx)
	})
	s.step(ctx, "DataPass sends submit then approve for API Particulier, and keeps the token_id answered", func(ctx context.Context) (any, error) {
		var err error
		particulier, err = w.approve(ctx, "api_particulier")
		return particulier, err
	})
	s.step(ctx, "DataPass sends submit then approve for API Entreprise", func(ctx context.Context) (any, error) {
		var err error
		entreprise, err = w.approve(ctx, "api_entreprise")
		return entreprise, err
	})
	s.step(ctx, "Gravitee holds one application, one subscription, one live key; the built-in issuer one token", func(ctx context.Context) (any, error) {
		return eventually(ctx, func() (any, error) { return w.provisioned(ctx, particulier, entreprise) })
	})
	s.step(ctx, "the provider's endpoint was told token.issued, signed in both dialects, without a secret", func(ctx context.Context) (any, error) {
		return eventually(ctx, func() (any, error) { return w.told("token.issued", 2) })
	})
	var keys [2]string
	s.step(ctx, "each technical contact got a link that reveals the key once, after a click, then never again", func(ctx context.Context) (any, error) {
		for i, g := range []granted{particulier, entreprise} {
			key, err := w.revealOnce(ctx, g)
			if err != nil {
				return nil, err
			}
			keys[i] = key
		}
		return map[string]string{"api_particulier": masked(keys[0]), "api_entreprise": masked(keys[1])}, nil
	})
	s.step(ctx, "each key passes at its gateway, altered it does not", func(ctx context.Context) (any, error) {
		return w.tryKeys(ctx, keys, http.StatusOK)
	})
	s.step(ctx, "DataPass revokes both: both keys are refused, verified at the manager, and the provider is told", func(ctx context.Context) (any, error) {
		for _, g := range []granted{particulier, entreprise} {
			if _, err := w.datapass.Revoke(ctx, g.Request, "fin de la démonstration"); err != nil {
				return nil, err
			}
		}
		if _, err := eventually(ctx, func() (any, error) { return w.told("token.revoked", 2) }); err != nil {
			return nil, err
		}
		return w.tryKeys(ctx, keys, http.StatusUnauthorized)
	})
	s.step(ctx, "a commune's request names its software editor: the editor finds the key, opens its JWE, uses it and acknowledges it", func(ctx context.Context) (any, error) {
		return w.editorFetches(ctx)
	})
	s.step(ctx, "a commune is approved at DataPass, registered at HubEE and activated there: its page opens", func(ctx context.Context) (any, error) {
		return w.openCommune(ctx)
	})
	s.step(ctx, "a citizen identifies with FranceConnect, sees her quotient familial and sends it: HubEE has her complete folder", func(ctx context.Context) (any, error) {
		return w.citizenSends(ctx, "fontanel")
	})
	s.step(ctx, "nothing waits", func(ctx context.Context) (any, error) {
		return eventually(ctx, func() (any, error) {
			waiting, err := w.hub.store.Waiting(ctx, waitingLimit)
			if err == nil && !waiting.Empty() {
				err = fmt.Errorf("%d keys, %d events, %d partners, %d webhooks, %d mails wait", len(waiting.Credentials),
					len(waiting.Parked), len(waiting.Partners), len(waiting.Deliveries), len(waiting.Mails))
			}
			return nil, err
		})
	})
}

// eventually tries until it succeeds or ctx ends, and gives the last error.
func eventually(ctx context.Context, try func() (any, error)) (any, error) {
	for {
		got, err := try()
		if err == nil {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func masked(key string) string {
	if len(key) < 12 {
		return "…"
	}
	return key[:4] + "…" + key[len(key)-4:]
}

// granted is an approval as DataPass sees it.
type granted struct {
	Request    int64  `json:"request"`
	TokenID    string `json:"token_id"`
	Definition string `json:"definition"`
	Contact    string `json:"-"`
}

func (g granted) token() (uuid.UUID, error) { return uuid.Parse(g.TokenID) }

var revealed = regexp.MustCompile(`<code class="fr-key"[^>]*>([^<]+)</code>`)

// browserClient is the person's side of the story, not the hub's.
var browserClient = &http.Client{Timeout: 30 * time.Second}

// browse does what a browser does with a page of the hub.
func browse(ctx context.Context, method, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := browserClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(raw), err
}

// revealOnce opens the link of the mail as a person does.
func (w *world) revealOnce(ctx context.Context, g granted) (string, error) {
	link, err := w.mailedLink(ctx, g.Contact, g.Definition)
	if err != nil {
		return "", err
	}
	status, page, err := browse(ctx, http.MethodGet, link)
	if err != nil || status != http.StatusOK || strings.Contains(page, "fr-key") {
		return "", fmt.Errorf("the link's page answers %d before the click: %w", status, errors.Join(err, errors.New("want 200 without a key")))
	}
	status, page, err = browse(ctx, http.MethodPost, link)
	if err != nil {
		return "", err
	}
	found := revealed.FindStringSubmatch(page)
	if status != http.StatusOK || found == nil {
		return "", fmt.Errorf("the click answers %d and shows no key", status)
	}
	status, page, err = browse(ctx, http.MethodPost, link)
	if err != nil || status != http.StatusNotFound || strings.Contains(page, found[1]) {
		return "", fmt.Errorf("a second click answers %d, want 404", status)
	}
	return found[1], nil
}

package hub_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// maxEndpoints is small enough to be reached, large enough for the role walk.
const maxEndpoints = 40

// signingKeys is the program's.
type signingKeys struct{}

func (signingKeys) New() registry.SigningKey {
	k := webhook.NewKey()
	return registry.SigningKey{Hex: k.Hex(), Whsec: k.Whsec()}
}

func (signingKeys) Parse(s connectors.Secret) (registry.SigningKey, error) {
	k, err := webhook.ParseKey(s)
	return registry.SigningKey{Hex: k.Hex(), Whsec: k.Whsec()}, err
}

// signed gives the headers of a delivery as the program does.
func signed(l store.Lane, d store.Due, at time.Time) (map[string]string, error) {
	keys := make([]webhook.Key, len(l.Secrets))
	for i, s := range l.Secrets {
		var err error
		if keys[i], err = webhook.ParseKey(s); err != nil {
			return nil, err
		}
	}
	slices.Reverse(keys)
	h := webhook.Headers(webhook.Message{
		ID: d.EventID.String(), At: at, Attempt: d.Attempts + 1, Sequence: d.Seq, Environment: cmp.Or(l.Environment, "sandbox"), Body: d.Body,
	}, keys, nil)
	for name, value := range l.Headers {
		h[name] = value
	}
	return h, nil
}

// receiver is an endpoint that keeps what it got.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []received
}

type received struct {
	path   string
	header http.Header
	body   []byte
}

func (s *site) receiver(t testing.TB) *receiver {
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, received{req.URL.Path, req.Header, body})
		w.WriteHeader(r.status)
		fmt.Fprint(w, "Bonjour\x00")
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// last gives the newest of what it got.
func (r *receiver) last(t testing.TB) received {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.got) == 0 {
		t.Fatal("nothing was received")
	}
	return r.got[len(r.got)-1]
}

func subscription(url string, more map[string]any) map[string]any {
	body := map[string]any{"definition_id": "api_entreprise", "url": url + "/hook", "events": []string{"approve", "token.issued"}}
	for key, value := range more {
		body[key] = value
		if value == nil {
			delete(body, key)
		}
	}
	return body
}

// endpoint is what tests read of one.
type endpoint struct {
	ID            int64      `json:"id"`
	DefinitionID  string     `json:"definition_id"`
	Editor        string     `json:"editor"`
	URL           string     `json:"url"`
	Events        []string   `json:"events"`
	Format        string     `json:"format"`
	HeaderNames   []string   `json:"header_names"`
	MaxInFlight   int        `json:"max_in_flight"`
	RateLimit     *float64   `json:"rate_limit"`
	Environment   *string    `json:"environment"`
	Enabled       bool       `json:"enabled"`
	Tested        bool       `json:"tested"`
	PreviousUntil *time.Time `json:"previous_secret_until"`
	Reason        string     `json:"disabled_reason"`
	Version       int        `json:"version"`
	Secret        *struct {
		DataPass string `json:"datapass"`
		Standard string `json:"standard"`
	} `json:"secret"`
}

func (s *site) subscribe(bearer string, body map[string]any) endpoint {
	s.t.Helper()
	var e endpoint
	s.call(http.MethodPost, "/webhooks", bearer, body).into(http.StatusCreated, &e)
	return e
}

// tested is the result of a test.
type tested struct {
	Passed     bool     `json:"passed"`
	Status     *int     `json:"status"`
	ErrorClass string   `json:"error_class"`
	Error      string   `json:"error"`
	Answer     string   `json:"answer"`
	Webhook    endpoint `json:"webhook"`
}

func (s *site) test(bearer string, id int64) tested {
	s.t.Helper()
	var r tested
	s.call(http.MethodPost, fmt.Sprintf("/webhooks/%d/test", id), bearer, nil).into(http.StatusOK, &r)
	return r
}

// act posts an action on an endpoint, whatever version it has.
func (s *site) onEndpoint(id int64, action, bearer string, body any) answer {
	s.t.Helper()
	return s.call(http.MethodPost, fmt.Sprintf("/webhooks/%d/%s", id, action), bearer, body, "If-Match", "*")
}

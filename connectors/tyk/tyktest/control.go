package tyktest

import (
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 1 << 20

// reloadTick is how long a reload that does not block may take.
const reloadTick = time.Second

// request is a call whose body has been read, so that no slow client holds the lock.
type request struct {
	*http.Request
	body []byte
}

// param is a part of the path, decoded.
func (r request) param(name string) string {
	value := chi.URLParam(r.Request, name)
	if r.URL.RawPath != "" { // chi then matches the encoded path
		if decoded, err := url.PathUnescape(value); err == nil {
			return decoded
		}
	}
	return value
}

// operation gives the body of a 200, or a refusal.
type operation func(request) (any, error)

// modified is the answer to a change.
type modified struct {
	Key     string `json:"key"`
	Status  string `json:"status"`
	Action  string `json:"action"`
	KeyHash string `json:"key_hash,omitempty"`
}

func (s *Server) control() http.Handler {
	r := chi.NewRouter()
	r.Use(withoutTrailingSlash)
	r.Get("/hello", s.serve(s.hello))
	r.Get("/ready", s.serve(s.ready))
	r.Route("/tyk", func(r chi.Router) {
		r.Use(s.authenticated)
		r.NotFound(http.NotFound)
		route := func(method, path string, op operation) { r.MethodFunc(method, path, s.serve(op)) }
		route("POST", "/keys", s.addKey)
		route("PUT", "/keys", s.changeKey)
		route("GET", "/keys", s.listKeys)
		route("DELETE", "/keys", s.deleteKey)
		route("POST", "/keys/create", s.generateKey)
		route("POST", "/keys/{key}", s.addKey)
		route("PUT", "/keys/{key}", s.changeKey)
		route("GET", "/keys/{key}", s.getKey)
		route("DELETE", "/keys/{key}", s.deleteKey)
		route("GET", "/policies", s.listPolicies)
		route("POST", "/policies", s.writePolicy)
		route("PUT", "/policies", func(request) (any, error) { return nil, noPolicyPath })
		route("DELETE", "/policies", func(request) (any, error) { return nil, noPolicyDelete })
		route("GET", "/policies/{policy}", s.getPolicy)
		route("POST", "/policies/{policy}", s.writePolicy)
		route("PUT", "/policies/{policy}", s.writePolicy)
		route("DELETE", "/policies/{policy}", s.deletePolicy)
		route("GET", "/apis", s.listAPIs)
		route("GET", "/apis/{api}", s.getAPI)
		route("GET", "/reload", s.askReload)
		route("GET", "/reload/group", s.askReload)
		route("POST", "/oauth/clients/create", s.createOAuthClient)
		route("GET", "/oauth/clients/{api}", s.listOAuthClients)
		route("GET", "/oauth/clients/{api}/{client}", s.onOAuthClient(s.getOAuthClient))
		route("PUT", "/oauth/clients/{api}/{client}/rotate", s.onOAuthClient(s.rotateOAuthClient))
		route("DELETE", "/oauth/clients/{api}/{client}", s.deleteOAuthClient)
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		write(w, nil, refuse(http.StatusMethodNotAllowed, "Method not supported"))
	})
	if s.opts.SharedPort {
		r.NotFound(s.proxy().ServeHTTP)
	}
	return r
}

// serve runs an operation alone on the state and writes its answer.
func (s *Server) serve(op operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			write(w, nil, malformed)
			return
		}
		answer, err := s.alone(op, request{r, body})
		write(w, answer, err)
	}
}

func (s *Server) alone(op operation, r request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp()
	return op(r)
}

func write(w http.ResponseWriter, answer any, err error) {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		partnertest.WriteJSON(w, refused.status, statusMessage{"error", refused.message})
	case err != nil:
		partnertest.WriteJSON(w, http.StatusInternalServerError, statusMessage{"error", err.Error()})
	default:
		partnertest.WriteJSON(w, http.StatusOK, answer)
	}
}

func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Tyk-Authorization")), []byte(s.Secret())) != 1 {
			write(w, nil, wrongSecret)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func withoutTrailingSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			shorter := *r.URL
			shorter.Path = strings.TrimRight(shorter.Path, "/")
			shorter.RawPath = strings.TrimRight(shorter.RawPath, "/")
			changed := *r
			changed.URL = &shorter
			r = &changed
		}
		next.ServeHTTP(w, r)
	})
}

type check struct {
	Status    string    `json:"status"`
	Component string    `json:"componentType"`
	Time      time.Time `json:"time"`
}

type health struct {
	Status      string           `json:"status"`
	Version     string           `json:"version"`
	Description string           `json:"description"`
	Details     map[string]check `json:"details"`
}

func (s *Server) health(description string) health {
	status := "pass"
	if s.noRedis {
		status = "fail"
	}
	return health{status, Version, description, map[string]check{
		"redis": {status, "datastore", s.Now().Truncate(time.Second)},
	}}
}

// hello is always 200: only what it says of Redis tells the truth.
func (s *Server) hello(request) (any, error) { return s.health("Tyk GW"), nil }

func (s *Server) ready(request) (any, error) {
	if s.noRedis {
		return nil, refuse(http.StatusServiceUnavailable, "Redis connection not available")
	}
	return s.health("Tyk GW Ready"), nil
}

// askReload reads the policies at once with ?block=true, else at the next tick.
func (s *Server) askReload(r request) (any, error) {
	if r.URL.Query().Get("block") == "true" && !strings.HasSuffix(r.URL.Path, "/group") {
		s.reload()
	} else if s.reloadAt.IsZero() {
		s.reloadAt = s.Now().Add(reloadTick)
	}
	return statusMessage{Status: "ok"}, nil
}

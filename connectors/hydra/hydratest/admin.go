package hydratest

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	jsonType  = "application/json; charset=utf-8"
	oauthType = "application/json;charset=UTF-8"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 1 << 20

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

// reply is a success; without body when body is nil.
type reply struct {
	status int
	body   any
	header map[string]string
}

func ok(body any) (reply, error) { return reply{status: http.StatusOK, body: body}, nil }

type operation func(request) (reply, error)

// methods are what one path answers to.
type methods map[string]operation

func (s *Server) adminSide() http.Handler {
	r := chi.NewRouter()
	s.handle(r, "/admin/clients", methods{http.MethodGet: s.listClients, http.MethodPost: s.createClient})
	s.handle(r, "/admin/clients/{id}", methods{
		http.MethodGet: s.onClient(s.getClient), http.MethodPut: s.putClient,
		http.MethodPatch: s.onClient(s.patchClient), http.MethodDelete: s.onClient(s.deleteClient),
	})
	s.handle(r, "/admin/clients/{id}/lifespans", methods{http.MethodPut: s.onClient(s.putLifespans)})
	r.With(s.since(VersionRotating)).Group(func(r chi.Router) {
		s.handle(r, "/admin/clients/{id}/secrets/rotate", methods{
			http.MethodPost: s.onClient(s.rotateSecret), http.MethodDelete: s.onClient(s.dropRotatedSecrets),
		})
	})
	s.handle(r, "/admin/oauth2/introspect", methods{http.MethodPost: s.introspect})
	s.handle(r, "/admin/oauth2/tokens", methods{http.MethodDelete: s.deleteTokens})
	s.handle(r, "/version", methods{http.MethodGet: func(request) (reply, error) {
		return ok(map[string]string{"version": string(s.version)})
	}})
	s.routeHealth(r)
	r.NotFound(wrongRoute)
	return r
}

// since hides paths that older versions do not have.
func (s *Server) since(version Version) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			there := s.version == version
			s.mu.Unlock()
			if there {
				next.ServeHTTP(w, r)
			} else {
				wrongRoute(w, r)
			}
		})
	}
}

// handle gives the other methods their 405.
func (s *Server) handle(r chi.Router, path string, answers methods) {
	allowed := []string{http.MethodOptions}
	for method, op := range answers {
		allowed = append(allowed, method)
		r.MethodFunc(method, path, func(w http.ResponseWriter, r *http.Request) { s.serve(op, w, r) })
	}
	slices.Sort(allowed)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if answers[method] == nil {
			r.MethodFunc(method, path, wrongMethod(allowed))
		}
	}
}

// serve runs an operation alone on the state and writes its answer.
func (s *Server) serve(op operation, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		write(w, reply{}, malformed.with("Unable to decode the request body: %s", err.Error()))
		return
	}
	answer, err := s.alone(op, request{r, body})
	write(w, answer, err)
}

func (s *Server) alone(op operation, r request) (reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return op(r)
}

func write(w http.ResponseWriter, answer reply, err error) {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		answer = reply{status: refused.status, body: refused.body(), header: answer.header}
		if answer.header == nil {
			answer.header = map[string]string{"Content-Type": "application/json"}
		}
	case err != nil:
		write(w, answer, &unknownFlaw)
		return
	}
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "private, no-cache, no-store, must-revalidate")
	}
	for name, value := range answer.header {
		w.Header().Set(name, value)
	}
	if answer.body == nil {
		w.Header().Del("Content-Type")
		w.WriteHeader(answer.status)
		return
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", jsonType)
	}
	partnertest.WriteJSON(w, answer.status, answer.body)
}

// onClient finds the client that the path names.
func (s *Server) onClient(op func(request, *record) (reply, error)) operation {
	return func(r request) (reply, error) {
		if s.dbDown {
			return reply{}, &unknownFlaw
		}
		found := s.byID[r.param("id")]
		if found == nil {
			return reply{}, noSuchClient()
		}
		return op(r, found)
	}
}

func (s *Server) createClient(r request) (reply, error) {
	c, err := decodeClient(r.body)
	if err != nil {
		return reply{}, err
	}
	created, err := s.create(c)
	if err != nil {
		return reply{}, err
	}
	location := "/admin/clients/" + url.PathEscape(created.ID)
	return reply{http.StatusCreated, created, map[string]string{"Location": location}}, nil
}

// create stores a new client and gives it as the answer shows it, once with its secret.
func (s *Server) create(c Client) (Client, error) {
	if c.Secret == "" {
		c.Secret = generatedSecret()
	}
	if err := c.check(); err != nil {
		return c, err
	}
	if s.dbDown {
		return c, &unknownFlaw
	}
	c.RegistrationURI = s.publicURL + "/oauth2/register/" + url.PathEscape(c.ID)
	if c.ID == "" {
		c.ID = s.newID()
	}
	if s.byID[c.ID] != nil {
		return c, clientExists()
	}
	c.RegistrationToken = opaqueToken()
	c.CreatedAt = s.Now().Round(time.Second)
	c.UpdatedAt = s.Now().Truncate(time.Microsecond)
	c.complete()
	stored := &record{Client: c.stored(), secret: hashOf(c.Secret), tokens: map[string]*token{}}
	s.add(stored)
	s.hold(c.ID, stored.secret)
	s.RegisterSecret(c.Secret, c.RegistrationToken)
	s.publish(c.ID, stored)
	if c.AuthMethod == authNone {
		c.Secret = ""
	}
	return c, nil
}

func (s *Server) getClient(_ request, found *record) (reply, error) { return ok(found.Client) }

// putClient replaces the client: a field that the body leaves out is reset, the
// secret alone is kept (api-managers.md, 3.7, traps). The answer shows another
// creation date, the database keeps the old one.
func (s *Server) putClient(r request) (reply, error) {
	c, err := decodeClient(r.body)
	if err != nil {
		return reply{}, err
	}
	c.ID = r.param("id")
	if c.CreatedAt.IsZero() {
		c.CreatedAt = s.Now()
	}
	return s.update(c, nil)
}

func (s *Server) patchClient(r request, found *record) (reply, error) {
	c := found.Client
	const unchanged = "hash of the secret"
	c.Secret = unchanged
	if err := applyPatch(r.body, &c); err != nil {
		return reply{}, &unknownFlaw
	}
	if c.Secret == unchanged {
		c.Secret = ""
	}
	return s.update(c, nil)
}

func (s *Server) putLifespans(r request, found *record) (reply, error) {
	changed, err := decodeClient(r.body)
	if err != nil {
		return reply{}, err
	}
	c := found.Client
	c.Lifespans = changed.Lifespans
	return s.update(c, nil)
}

// update checks c and writes it over the client of its id. A new secret drops
// the old ones, unless rotated says which to keep.
func (s *Server) update(c Client, rotated []hash) (reply, error) {
	if err := c.check(); err != nil {
		return reply{}, err
	}
	if s.dbDown {
		return reply{}, &unknownFlaw
	}
	found := s.byID[c.ID]
	if found == nil {
		return reply{}, noSuchClient()
	}
	c.UpdatedAt = s.Now().Truncate(time.Microsecond)
	c.complete()
	s.remove(found)
	created := found.CreatedAt
	found.Client = c.stored()
	found.CreatedAt = created
	if c.Secret != "" {
		found.secret, found.rotated = hashOf(c.Secret), rotated
		s.hold(c.ID, found.secret)
		s.RegisterSecret(c.Secret)
	}
	s.add(found)
	s.publish(c.ID, found)
	return ok(c)
}

func (s *Server) deleteClient(_ request, found *record) (reply, error) {
	s.dropTokens(found)
	s.remove(found)
	s.publish(found.ID, nil)
	return reply{status: http.StatusNoContent}, nil
}

func rotates(found *record) error {
	if found.AuthMethod == authBasic || found.AuthMethod == authPost {
		return nil
	}
	return malformed.with("The client is configured to use the %q authentication method, which does not support client secret rotation.",
		found.AuthMethod)
}

// rotateSecret makes a secret of its own and keeps five old ones.
func (s *Server) rotateSecret(_ request, found *record) (reply, error) {
	if err := rotates(found); err != nil {
		return reply{}, err
	}
	c := found.Client
	c.Secret = generatedSecret()
	kept := append([]hash{found.secret}, found.rotated...)
	return s.update(c, kept[:min(len(kept), keptOldSecrets)])
}

func (s *Server) dropRotatedSecrets(_ request, found *record) (reply, error) {
	if err := rotates(found); err != nil {
		return reply{}, err
	}
	found.rotated = nil
	return s.update(found.Client, nil)
}

// deleteTokens says 204 for a client without tokens, and for one that does not exist.
func (s *Server) deleteTokens(r request) (reply, error) {
	id := r.URL.Query().Get("client_id")
	switch {
	case id == "":
		return reply{}, invalidRequest.with(`Query parameter "client_id" is not defined but it should have been.`)
	case s.dbDown:
		return reply{}, &unknownFlaw
	}
	if found := s.byID[id]; found != nil {
		s.dropTokens(found)
	}
	return reply{status: http.StatusNoContent}, nil
}

func (s *Server) routeHealth(r chi.Router) {
	s.handle(r, "/health/alive", methods{http.MethodGet: func(request) (reply, error) {
		return ok(map[string]string{"status": "ok"})
	}})
	s.handle(r, "/health/ready", methods{http.MethodGet: func(request) (reply, error) {
		if s.dbDown {
			flaws := map[string]string{"database": "error may contain sensitive information and was obfuscated"}
			return reply{status: http.StatusServiceUnavailable, body: map[string]any{"errors": flaws}}, nil
		}
		return ok(map[string]string{"status": "ok"})
	}})
}

package keycloaktest

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const jsonType = "application/json;charset=UTF-8"

// maxBody bounds a request's body, in bytes.
const maxBody = 1 << 20

// request is a call whose body has been read, so that no slow client holds the lock.
type request struct {
	*http.Request
	body []byte
}

func (r request) param(name string) string { return chi.URLParam(r.Request, name) }

// reply is a success; without body when body is nil.
type reply struct {
	status   int
	body     any
	location string
}

func ok(body any) (reply, error) { return reply{status: http.StatusOK, body: body}, nil }

func noContent() (reply, error) { return reply{status: http.StatusNoContent}, nil }

type operation func(request) (reply, error)

func (s *Server) main() http.Handler {
	r := chi.NewRouter()
	r.Route("/admin", func(r chi.Router) {
		r.Use(s.authenticated)
		r.Get("/serverinfo", s.serve(s.serverInfo))
		r.Route("/realms/{realm}", func(r chi.Router) {
			r.Use(s.realmKnown)
			s.routeClients(r)
			r.Get("/client-scopes", s.serve(s.listScopes))
			r.Get("/client-policies/profiles", s.serve(s.profiles))
			r.Get("/client-policies/policies", s.serve(s.policies))
		})
	})
	r.Route("/realms/{realm}", func(r chi.Router) {
		r.Use(s.realmKnown)
		s.routeRealm(r)
	})
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) { write(w, reply{}, noSuchPath) })
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) { write(w, reply{}, wrongMethod) })
	return r
}

// serve runs an operation alone on the state and writes its answer.
func (s *Server) serve(op operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			write(w, reply{}, notJSON)
			return
		}
		answer, err := s.alone(op, request{r, body})
		write(w, answer, err)
	}
}

func (s *Server) alone(op operation, r request) (reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dbDown {
		return reply{}, unknownError
	}
	return op(r)
}

func write(w http.ResponseWriter, answer reply, err error) {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		answer = reply{status: refused.status, body: refused.body()}
	case err != nil:
		answer = reply{status: http.StatusInternalServerError, body: unknownError.body()}
	}
	if answer.location != "" {
		w.Header().Set("Location", answer.location)
	}
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-cache")
	partnertest.WriteJSON(w, answer.status, answer.body)
}

// authenticated asks for a live token of a client with the role manage-clients.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.mayManage(r.Header.Get("Authorization")); err != nil {
			write(w, reply{}, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) mayManage(header string) error {
	value, found := strings.CutPrefix(header, "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.liveToken(value)
	switch {
	case !found || t == nil:
		return unauthorized
	case !s.byID[t.id].admin:
		return forbidden
	}
	return nil
}

func (s *Server) realmKnown(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if chi.URLParam(r, "realm") != s.opts.Realm {
			write(w, reply{}, noSuchRealm)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isJSON(r request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/json")
}

type credential struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func (s *Server) routeClients(r chi.Router) {
	r.Get("/clients", s.serve(s.listClients))
	r.Post("/clients", s.serve(s.createClient))
	route := func(method, path string, op func(request, *client) (reply, error)) {
		r.MethodFunc(method, "/clients/{id}"+path, s.serve(s.onClient(op)))
	}
	route("GET", "", s.getClient)
	route("PUT", "", s.putClient)
	route("DELETE", "", s.deleteClient)
	route("GET", "/client-secret", s.getSecret)
	route("POST", "/client-secret", s.postSecret)
	route("GET", "/client-secret/rotated", s.getRotated)
	route("DELETE", "/client-secret/rotated", s.deleteRotated)
	route("POST", "/push-revocation", s.pushRevocation)
	for _, kind := range []scopeKind{defaultScopes, optionalScopes} {
		route("GET", "/"+string(kind), s.listScopesOf(kind))
		route("PUT", "/"+string(kind)+"/{scope}", s.assignScope(kind))
		route("DELETE", "/"+string(kind)+"/{scope}", s.removeScope)
	}
}

func (s *Server) onClient(op func(request, *client) (reply, error)) operation {
	return func(r request) (reply, error) {
		if c := s.byID[r.param("id")]; c != nil {
			return op(r, c)
		}
		return reply{}, noSuchClient
	}
}

func (s *Server) createClient(r request) (reply, error) {
	if !isJSON(r) {
		return reply{}, wrongType
	}
	ch, err := readChange(r.body)
	if err != nil {
		return reply{}, err
	}
	id, err := s.create(ch)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, location: s.AdminURL() + "/clients/" + id}, nil
}

// create stores a client and gives its id.
func (s *Server) create(ch change) (string, error) {
	c := &client{
		Enabled: true, Protocol: "openid-connect", StandardFlowEnabled: true, FullScopeAllowed: true,
		Attributes: map[string]string{},
	}
	set(&c.ID, ch.ID)
	c.apply(ch)
	if s.byClientID[c.ClientID] != nil || s.byID[c.ID] != nil {
		return "", alreadyExists("Client " + c.ClientID + " already exists")
	}
	if c.ID == "" {
		c.ID = s.newID()
	}
	setDefault(&c.ClientID, c.ID)
	switch {
	case c.PublicClient:
	case c.Secret == "":
		s.generateSecret(c)
	default:
		c.setSeconds(attrSecretCreated, s.Now())
	}
	c.DefaultScopes, c.OptionalScopes = s.scopesOfNewClient(ch)
	s.registered(c)
	s.add(c)
	s.RegisterSecret(c.Secret)
	s.publish(c.ClientID, c)
	return c.ID, nil
}

func (s *Server) getClient(_ request, c *client) (reply, error) { return ok(c.represent()) }

// putClient sets what the body holds; fields that it leaves out stay, and so do
// client scopes in any case.
func (s *Server) putClient(r request, c *client) (reply, error) {
	if !isJSON(r) {
		return reply{}, wrongType
	}
	ch, err := readChange(r.body)
	if err != nil {
		return reply{}, err
	}
	if other := s.byClientID[deref(ch.ClientID)]; other != nil && other != c {
		return reply{}, alreadyExists("Client already exists")
	}
	changed := c.copy()
	changed.apply(ch)
	if changed.Secret == "" && !changed.PublicClient {
		s.generateSecret(changed)
	}
	s.updated(changed)
	s.replace(c, changed)
	return noContent()
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func (s *Server) deleteClient(_ request, c *client) (reply, error) {
	s.remove(c)
	s.publish(c.ClientID, nil)
	return noContent()
}

func (s *Server) getSecret(_ request, c *client) (reply, error) {
	return ok(credential{"secret", c.Secret})
}

func (s *Server) postSecret(_ request, c *client) (reply, error) {
	changed := c.copy()
	s.regenerate(changed)
	s.replace(c, changed)
	return ok(credential{"secret", changed.Secret})
}

// getRotated shows the rotated secret until it is forgotten: its end alone does
// not remove it.
func (s *Server) getRotated(_ request, c *client) (reply, error) {
	if !c.hasRotatedSecret() {
		return reply{}, noRotatedSecret
	}
	return ok(credential{"secret", c.Attributes[attrRotated]})
}

func (s *Server) deleteRotated(_ request, c *client) (reply, error) {
	changed := c.copy()
	changed.forgetRotated()
	s.replace(c, changed)
	return noContent()
}

// pushRevocation tells adapters only: no token dies of it.
func (s *Server) pushRevocation(request, *client) (reply, error) { return ok(struct{}{}) }

// listClients gives those of an exact clientId, those that hold a text
// (search=true), those with attributes (q), or all, by clientId.
func (s *Server) listClients(r request) (reply, error) {
	query := r.URL.Query()
	found := s.order
	if id := query.Get("clientId"); id != "" && query.Get("search") == "true" {
		found = slices.DeleteFunc(slices.Clone(found), func(c *client) bool {
			return !strings.Contains(strings.ToLower(c.ClientID), strings.ToLower(id))
		})
	} else if id != "" {
		found = nil
		if c := s.byClientID[id]; c != nil {
			found = []*client{c}
		}
	} else if pairs := readPairs(query.Get("q")); len(pairs) > 0 {
		found = s.withAttributes(pairs)
	}
	from, to := window(query, len(found))
	list := []representation{}
	for _, c := range found[from:to] {
		list = append(list, c.represent())
	}
	return ok(list)
}

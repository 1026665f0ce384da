package keycloaktest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// scope is one client scope of the realm.
type scope struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Protocol string `json:"protocol"`

	byDefault bool // given to clients that name none
}

// scopeKind is how a client has a scope: always, or when it asks for it.
type scopeKind string

const (
	defaultScopes  scopeKind = "default-client-scopes"
	optionalScopes scopeKind = "optional-client-scopes"
)

// realmScopes are the realm's own and those of the options.
func realmScopes(more []string) []scope {
	own := []string{"acr", "basic", "email", "profile", "roles", "web-origins"}
	var out []scope
	for _, name := range append(slices.Clone(own), more...) {
		out = append(out, scope{
			ID:   uuid.NewSHA1(uuid.NameSpaceURL, []byte("keycloak:scope:"+name)).String(),
			Name: name, Protocol: "openid-connect", byDefault: slices.Contains(own, name),
		})
	}
	return out
}

func (s *Server) scopeNamed(name string) (scope, bool) {
	at := slices.IndexFunc(s.scopes, func(sc scope) bool { return sc.Name == name })
	if at < 0 {
		return scope{}, false
	}
	return s.scopes[at], true
}

// scopesOfNewClient gives what a client begins with. One that names any has none
// of the realm's own; names that do not exist are ignored without a word.
func (s *Server) scopesOfNewClient(ch change) (byDefault, optional []string) {
	if ch.DefaultClientScopes == nil && ch.OptionalClientScopes == nil {
		for _, sc := range s.scopes {
			if sc.byDefault {
				byDefault = append(byDefault, sc.Name)
			}
		}
		return byDefault, nil
	}
	known := func(names []string) (out []string) {
		for _, name := range names {
			if _, exists := s.scopeNamed(name); exists && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		return out
	}
	byDefault = known(ch.DefaultClientScopes)
	for _, name := range known(ch.OptionalClientScopes) {
		if !slices.Contains(byDefault, name) {
			optional = append(optional, name)
		}
	}
	return byDefault, optional
}

func (s *Server) listScopes(request) (reply, error) { return ok(slices.Clone(s.scopes)) }

func (s *Server) listScopesOf(kind scopeKind) func(request, *client) (reply, error) {
	return func(_ request, c *client) (reply, error) {
		names := c.DefaultScopes
		if kind == optionalScopes {
			names = c.OptionalScopes
		}
		list := []scope{}
		for _, name := range names {
			if sc, exists := s.scopeNamed(name); exists {
				list = append(list, sc)
			}
		}
		return ok(list)
	}
}

func (s *Server) scopeInPath(r request) (scope, error) {
	id := r.param("scope")
	at := slices.IndexFunc(s.scopes, func(sc scope) bool { return sc.ID == id })
	if at < 0 {
		return scope{}, noSuchScope
	}
	return s.scopes[at], nil
}

// assignScope leaves a scope that the client has already as it is, of whichever kind.
func (s *Server) assignScope(kind scopeKind) func(request, *client) (reply, error) {
	return func(r request, c *client) (reply, error) {
		sc, err := s.scopeInPath(r)
		if err != nil {
			return reply{}, err
		}
		if slices.Contains(c.DefaultScopes, sc.Name) || slices.Contains(c.OptionalScopes, sc.Name) {
			return noContent()
		}
		changed := c.copy()
		if kind == optionalScopes {
			changed.OptionalScopes = append(changed.OptionalScopes, sc.Name)
		} else {
			changed.DefaultScopes = append(changed.DefaultScopes, sc.Name)
		}
		s.replace(c, changed)
		return noContent()
	}
}

// removeScope removes a scope of whichever kind; one that the client has not is no fault.
func (s *Server) removeScope(r request, c *client) (reply, error) {
	sc, err := s.scopeInPath(r)
	if err != nil {
		return reply{}, err
	}
	changed := c.copy()
	is := func(name string) bool { return name == sc.Name }
	changed.DefaultScopes = slices.DeleteFunc(changed.DefaultScopes, is)
	changed.OptionalScopes = slices.DeleteFunc(changed.OptionalScopes, is)
	s.replace(c, changed)
	return noContent()
}

// readPairs takes "key:value key2:value2"; a value may stand in quotes.
func readPairs(text string) map[string]string {
	pairs := map[string]string{}
	for _, part := range strings.Fields(text) {
		if name, value, ok := strings.Cut(part, ":"); ok {
			pairs[strings.Trim(name, `"`)] = strings.Trim(value, `"`)
		}
	}
	return pairs
}

// window reads ?first= and ?max= for a list of n.
func window(query url.Values, n int) (from, to int) {
	to = n
	if first, err := strconv.Atoi(query.Get("first")); err == nil && first > 0 {
		from = min(first, n)
	}
	if most, err := strconv.Atoi(query.Get("max")); err == nil && most >= 0 && most < n-from {
		to = from + most
	}
	return from, to
}

// policies and profiles show the rotation policy as the realm's configuration has it.

func (s *Server) policies(request) (reply, error) {
	type policy struct {
		Name       string           `json:"name"`
		Enabled    bool             `json:"enabled"`
		Conditions []map[string]any `json:"conditions"`
		Profiles   []string         `json:"profiles"`
	}
	list := []policy{}
	if s.policy != nil {
		condition := map[string]any{"condition": "client-access-type", "configuration": map[string]any{"type": []string{"confidential"}}}
		list = append(list, policy{"secret-rotation", true, []map[string]any{condition}, []string{"secret-rotation"}})
	}
	return ok(map[string]any{"policies": list})
}

func (s *Server) profiles(request) (reply, error) {
	list := []map[string]any{}
	if s.policy != nil {
		list = append(list, map[string]any{
			"name": "secret-rotation", "executors": []map[string]any{{
				"executor": "secret-rotation", "configuration": map[string]int64{
					"expiration-period":         seconds(s.policy.Expiration),
					"rotated-expiration-period": seconds(s.policy.Rotated),
					"remaining-rotation-period": seconds(s.policy.Remaining),
				},
			}},
		})
	}
	return ok(map[string]any{"profiles": list, "globalProfiles": []any{}})
}

func (s *Server) serverInfo(request) (reply, error) {
	return ok(map[string]any{"systemInfo": map[string]string{"version": Version}})
}

// management is the listener for probes.
func (s *Server) management() http.Handler {
	mux := http.NewServeMux()
	if s.opts.HealthDisabled {
		return mux
	}
	type check struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	}
	answer := func(database bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			s.mu.Lock()
			down := s.dbDown
			s.mu.Unlock()
			status, state, checks := http.StatusOK, "UP", []check{}
			if database && down {
				status, state = http.StatusServiceUnavailable, "DOWN"
			}
			if database {
				checks = append(checks, check{"Keycloak database connections async health check", state})
			}
			write(w, reply{status: status, body: map[string]any{"status": state, "checks": checks}}, nil)
		}
	}
	mux.HandleFunc("GET /health", answer(true))
	mux.HandleFunc("GET /health/ready", answer(true))
	mux.HandleFunc("GET /health/live", answer(false))
	mux.HandleFunc("GET /health/started", answer(false))
	return mux
}

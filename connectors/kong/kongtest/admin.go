package kongtest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// request is a call whose body has been read, so that no slow client holds the lock.
type request struct {
	*http.Request
	args map[string]any
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
}

func ok(body any) (reply, error) { return reply{http.StatusOK, body}, nil }

type operation func(request) (reply, error)

// methods are what one path answers to.
type methods map[string]operation

func (s *Server) admin() http.Handler {
	r := chi.NewRouter()
	r.Use(s.authenticated, withoutTrailingSlash)
	s.routeAdmin(r)
	if s.opts.Workspace != "" {
		r.Route("/"+s.opts.Workspace, s.routeAdmin)
	}
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) { write(w, reply{}, noSuchObject()) })
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) { write(w, reply{}, methodNotAllowed()) })
	return r
}

func methodNotAllowed() *refusal {
	return plain(http.StatusMethodNotAllowed, "Method not allowed")
}

func (s *Server) routeAdmin(r chi.Router) {
	s.handle(r, "/", methods{http.MethodGet: s.root})
	s.handle(r, "/status", methods{http.MethodGet: s.statusOfNode})
	s.handle(r, "/routes", methods{http.MethodGet: s.listRoutes})
	s.handle(r, "/plugins", methods{http.MethodGet: s.listPlugins})
	s.handle(r, "/routes/{route}/plugins", methods{http.MethodGet: s.listPluginsOfRoute})
	for _, of := range schemas {
		s.handle(r, "/"+of.path, methods{
			http.MethodGet: s.inDB(s.list(of)), http.MethodPost: s.inDB(s.create(of)),
		})
		s.handle(r, "/"+of.path+"/{id}", methods{
			http.MethodGet: s.inDB(s.get(of)), http.MethodPut: s.inDB(s.put(of)),
			http.MethodPatch: s.inDB(s.patch(of)), http.MethodDelete: s.inDB(s.delete(of)),
		})
		if of == consumers {
			continue
		}
		s.handle(r, "/"+of.path+"/{id}/consumer", methods{
			http.MethodGet:    s.inDB(s.getConsumerOf(of)),
			http.MethodDelete: func(request) (reply, error) { return reply{}, methodNotAllowed() },
		})
		s.handle(r, "/consumers/{consumer}/"+of.nested, methods{
			http.MethodGet: s.inDB(s.listNested(of)), http.MethodPost: s.inDB(s.createNested(of)),
		})
		s.handle(r, "/consumers/{consumer}/"+of.nested+"/{id}", methods{
			http.MethodGet: s.inDB(s.getNested(of)), http.MethodPut: s.inDB(s.putNested(of)),
			http.MethodPatch: s.inDB(s.patchNested(of)), http.MethodDelete: s.inDB(s.deleteNested(of)),
		})
	}
}

// handle adds HEAD and OPTIONS, as Kong does to each path.
func (s *Server) handle(r chi.Router, path string, answers methods) {
	allowed := []string{http.MethodHead, http.MethodOptions}
	for method, op := range answers {
		allowed = append(allowed, method)
		r.MethodFunc(method, path, s.serve(op))
		if method == http.MethodGet {
			r.MethodFunc(http.MethodHead, path, s.serve(op))
		}
	}
	slices.Sort(allowed)
	r.MethodFunc(http.MethodOptions, path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		w.WriteHeader(http.StatusNoContent)
	})
}

// serve runs an operation alone on the state and writes its answer.
func (s *Server) serve(op operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var args map[string]any
		switch r.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch:
			var err error
			if args, err = readArgs(r); err != nil {
				write(w, reply{}, err)
				return
			}
		}
		answer, err := s.alone(op, request{r, args})
		write(w, answer, err)
	}
}

func (s *Server) alone(op operation, r request) (reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	return op(r)
}

// inDB makes an operation fail while the database cannot be reached.
func (s *Server) inDB(op operation) operation {
	return func(r request) (reply, error) {
		if s.dbDown {
			return reply{}, unexpected()
		}
		return op(r)
	}
}

func write(w http.ResponseWriter, answer reply, err error) {
	w.Header().Set("Server", "kong/"+Version)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		answer = reply{refused.status, refused.body()}
	case err != nil:
		answer = reply{http.StatusInternalServerError, unexpected().body()}
	}
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	partnertest.WriteJSON(w, answer.status, answer.body)
}

// authenticated asks for the token of the Enterprise; its texts are not in the contract.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want, got := s.AdminToken(), r.Header.Get("Kong-Admin-Token")
		switch {
		case want == "" || got == want:
			next.ServeHTTP(w, r)
		case got == "":
			write(w, reply{}, plain(http.StatusUnauthorized, "Invalid credentials. Token or User credentials required"))
		default:
			write(w, reply{}, plain(http.StatusUnauthorized, "Invalid RBAC credentials"))
		}
	})
}

func withoutTrailingSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.Path; len(path) > 1 && strings.HasSuffix(path, "/") {
			shorter := *r.URL
			shorter.Path = strings.TrimSuffix(path, "/")
			shorter.RawPath = strings.TrimSuffix(shorter.RawPath, "/")
			changed := *r
			changed.URL = &shorter
			r = &changed
		}
		next.ServeHTTP(w, r)
	})
}

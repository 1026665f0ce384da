package graviteetest

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	v1Base         = "/management/organizations/{org}/environments/{env}"
	v2Base         = "/management/v2/organizations/{org}/environments/{env}"
	automationBase = "/automation/organizations/{org}/environments/{env}"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 1 << 20

// request is a call whose body has been read, so that no slow client holds the lock.
type request struct {
	*http.Request
	body []byte
}

// reply is a success.
type reply struct {
	status   int
	body     any    // nil: none
	location string // path
}

func ok(body any) (reply, error) { return reply{status: http.StatusOK, body: body}, nil }

func noContent() (reply, error) { return reply{status: http.StatusNoContent}, nil }

type operation func(request) (reply, error)

// errorWriter writes a refusal in the form of one API.
type errorWriter func(http.ResponseWriter, *refusal)

func (s *Server) management() http.Handler {
	r := chi.NewRouter()
	r.Route(v1Base, func(r chi.Router) {
		r.Use(s.authenticated(writeV1Error), s.environmentKnown(writeV1Error))
		s.routeV1(r)
	})
	r.Route(v2Base, func(r chi.Router) {
		r.Use(s.authenticated(writeV2Error), s.environmentKnown(writeV2Error))
		s.routeV2(r)
	})
	if !s.opts.AutomationAbsent {
		r.Route(automationBase, func(r chi.Router) {
			r.Use(s.authenticated(writeV2Error), s.environmentKnown(writeV2Error))
			s.routeAutomation(r)
		})
	}
	// The technical API has a port of its own; a run with few ports finds it here too.
	r.Get("/_node/health", s.health)
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		writeV2Error(w, &refusal{status: http.StatusNotFound, message: "HTTP 404 Not Found"})
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		writeV2Error(w, &refusal{status: http.StatusMethodNotAllowed, message: "HTTP 405 Method Not Allowed"})
	})
	return r
}

// serve runs an operation alone on the state and writes its answer.
func (s *Server) serve(op operation, writeError errorWriter) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			writeError(w, &refusal{status: http.StatusBadRequest, message: err.Error()})
			return
		}
		answer, err := s.alone(op, request{r, body})
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			writeError(w, refused)
			return
		case err != nil:
			writeError(w, &refusal{status: http.StatusInternalServerError, message: err.Error()})
			return
		}
		if answer.location != "" {
			w.Header().Set("Location", answer.location)
		}
		if answer.body == nil {
			w.WriteHeader(answer.status)
			return
		}
		partnertest.WriteJSON(w, answer.status, answer.body)
	}
}

func (s *Server) alone(op operation, r request) (reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.publish()
	return op(r)
}

func (s *Server) authenticated(writeError errorWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !s.knows(r) {
				w.Header().Set("WWW-Authenticate", `Basic realm="gravitee.io"`)
				writeError(w, &refusal{status: http.StatusUnauthorized, message: "Unauthorized"})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func (s *Server) knows(r *http.Request) bool {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return equal(token, s.Token())
	}
	return s.knowsBasic(r)
}

func (s *Server) knowsBasic(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && equal(user, s.opts.User) && equal(password, s.opts.Password)
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (s *Server) environmentKnown(writeError errorWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			org, env := chi.URLParam(r, "org"), chi.URLParam(r, "env")
			switch {
			case org != s.opts.Organization:
				writeError(w, missing("organization.notFound", "Organization ["+org+"] cannot be found.", "organization", org))
			case env != s.opts.Environment:
				writeError(w, missing("environment.notFound", "Environment ["+env+"] cannot be found.", "environment", env))
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

// decode reads a JSON body that must be there. Unknown properties are refused,
// as the real server's mapper does.
func (r request) decode(v any) error {
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
		return &refusal{status: http.StatusUnsupportedMediaType, message: "HTTP 415 Unsupported Media Type"}
	}
	if len(bytes.TrimSpace(r.body)) == 0 || string(bytes.TrimSpace(r.body)) == "null" {
		return invalid("", "must not be null", nil)
	}
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	var wrongType *json.UnmarshalTypeError
	var wrongTime *time.ParseError
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		return &refusal{status: http.StatusBadRequest, message: fmt.Sprintf("Property [%s] is not recognized as a valid property", name)}
	case errors.As(err, &wrongType):
		return bad("invalidValue", "Cannot deserialize value at "+wrongType.Field)
	case errors.As(err, &wrongTime):
		return bad("invalidValue", "Cannot deserialize a date")
	default:
		return bad("invalidValue", "Cannot deserialize the body")
	}
}

// list reads a query parameter given several times, with commas, or both.
func (r request) list(name string) []string {
	var out []string
	for _, value := range r.URL.Query()[name] {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

func (r request) flag(name string) bool {
	value, err := strconv.ParseBool(r.URL.Query().Get(name))
	return err == nil && value
}

func (r request) param(name string) string { return chi.URLParam(r.Request, name) }

func writeV1Error(w http.ResponseWriter, e *refusal) {
	if e.message == customKeyRefusal {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(e.status)
		_, _ = io.WriteString(w, e.message)
		return
	}
	if len(e.violations) > 0 {
		first := e.violations[0]
		partnertest.WriteJSON(w, e.status, struct {
			Message string      `json:"message"`
			Path    string      `json:"path"`
			Value   any         `json:"invalid_value"`
			Details []violation `json:"details"`
		}{first.Message, first.Location, first.InvalidValue, e.violations})
		return
	}
	partnertest.WriteJSON(w, e.status, struct {
		Message    string            `json:"message"`
		Status     int               `json:"http_status"`
		Parameters map[string]string `json:"parameters,omitempty"`
		Code       string            `json:"technicalCode,omitempty"`
	}{e.message, e.status, e.parameters, e.code})
}

func writeV2Error(w http.ResponseWriter, e *refusal) {
	partnertest.WriteJSON(w, e.status, struct {
		Status     int               `json:"httpStatus"`
		Message    string            `json:"message"`
		Code       string            `json:"technicalCode,omitempty"`
		Parameters map[string]string `json:"parameters,omitempty"`
		Details    []violation       `json:"details,omitempty"`
	}{e.status, e.message, e.code, e.parameters, e.violations})
}

// technical is the listener of the node's own health, behind Basic only.
func (s *Server) technical() http.Handler {
	r := chi.NewRouter()
	r.Get("/_node/health", s.health)
	return r
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if !s.knowsBasic(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="gravitee.io"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	healthy := !s.unhealthy
	s.mu.Unlock()
	status := http.StatusOK
	if !healthy {
		status = http.StatusInternalServerError
	}
	type probe struct {
		Healthy bool   `json:"healthy"`
		Message string `json:"message,omitempty"`
	}
	repository := probe{Healthy: healthy}
	if !healthy {
		repository.Message = "connection to the repository lost"
	}
	partnertest.WriteJSON(w, status, map[string]probe{
		"http-server": {Healthy: true}, "management-repository": repository,
	})
}

// Package problem is the one way an error leaves the hub's own API: an RFC 9457
// problem document. Details of a fault go to the log, never to the client.
//
// It imports the standard library, chi, zerolog and an encoder of JSON only.
package problem

import (
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
	fastjson "github.com/segmentio/encoding/json"
)

// Problem is a problem document (RFC 9457). Type is a stable code, relative to
// the documentation's page of errors.
type Problem struct {
	Type     string        `json:"type"`
	Title    string        `json:"title"`
	Status   int           `json:"status"`
	Detail   string        `json:"detail,omitempty"`
	Instance string        `json:"instance,omitempty"` // the correlation id
	Errors   []FieldError  `json:"errors,omitempty"`
	After    time.Duration `json:"-"` // becomes Retry-After
}

// FieldError names one key at fault, as a JSON pointer, a header or a parameter.
type FieldError struct {
	Pointer   string `json:"pointer,omitempty"`
	Header    string `json:"header,omitempty"`
	Parameter string `json:"parameter,omitempty"` // of the query
	Detail    string `json:"detail"`
}

// Error makes a Problem an error, so that handlers return it.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// New gives a problem with a stable code.
func New(status int, code, title, detail string) *Problem {
	return &Problem{Type: "/docs/erreurs#" + code, Title: title, Status: status, Detail: detail}
}

// At adds the key at fault.
func (p *Problem) At(pointer, detail string) *Problem {
	p.Errors = append(p.Errors, FieldError{Pointer: pointer, Detail: detail})
	return p
}

// Unavailable is 503: nothing was done, come back.
func Unavailable() *Problem {
	p := New(http.StatusServiceUnavailable, "indisponible", "Service momentanément indisponible",
		"Le service ne peut pas répondre pour l’instant. L’appel peut être renvoyé tel quel.")
	p.After = 5 * time.Second
	return p
}

// Handler answers, or returns the error that Handle turns into a document.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Handle runs h; translate turns an error that is no *Problem into one, nil for
// what it does not know (then: 500, and the error goes to the log).
func Handle(translate func(error) *Problem, h Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		var p *Problem
		if !errors.As(err, &p) {
			p = translate(err)
		}
		if p == nil || p.Status >= http.StatusInternalServerError {
			zerolog.Ctx(r.Context()).Error().Err(err).Msg("request failed")
		}
		if p == nil {
			p = New(http.StatusInternalServerError, "interne", "Erreur interne", "L'incident est enregistré.")
		}
		Write(w, r, p)
	}
}

// Write sends the document.
func Write(w http.ResponseWriter, r *http.Request, p *Problem) {
	doc := *p
	if doc.Instance == "" {
		doc.Instance = w.Header().Get("X-Request-Id")
	}
	if doc.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((doc.After+time.Second-1)/time.Second)))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(doc.Status)
	if r.Method == http.MethodHead {
		return
	}
	if err := json.NewEncoder(w).Encode(doc); err != nil {
		zerolog.Ctx(r.Context()).Debug().Err(err).Msg("client left before the end of the answer")
	}
}

// TooMany is 429; Retry-After is the caller's to set.
func TooMany() *Problem {
	return New(http.StatusTooManyRequests, "trop-de-requetes", "Trop de requêtes", "Attendez un instant avant de recommencer.")
}

// Allowed gives what Allow says of an address: the methods that a router, or a
// mounted one, serves there. Who serves GET serves HEAD.
func Allowed(routes chi.Routes, r *http.Request) string {
	path := r.URL.Path
	if rctx := chi.RouteContext(r.Context()); rctx != nil && rctx.RoutePath != "" {
		path = rctx.RoutePath
	}
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		served := m
		if m == http.MethodHead {
			served = http.MethodGet
		}
		if routes.Match(chi.NewRouteContext(), served, path) {
			allowed = append(allowed, m)
		}
	}
	return strings.Join(allowed, ", ")
}

// JSON sends v as application/json with that status.
func JSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body := encoded(nil, v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := w.Write(append(body, '\n')); err != nil {
		zerolog.Ctx(r.Context()).Debug().Err(err).Msg("client left before the end of the answer")
	}
}

// List sends a list as application/json, 200, part by part: it is never in memory
// as a whole. The error of the first part is returned, nothing was sent; a later
// one ends the connection, so that the client sees that the list is not whole.
func List[T any](w http.ResponseWriter, r *http.Request, parts iter.Seq2[[]T, error]) error {
	begun, separator := false, byte('[')
	begin := func() {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusOK)
		}
	}
	for part, err := range parts {
		switch {
		case err != nil && !begun:
			return err
		case err != nil:
			zerolog.Ctx(r.Context()).Error().Err(err).Msg("a list could not be read to its end")
			panic(http.ErrAbortHandler)
		}
		begin()
		var body []byte
		for _, item := range part {
			body = encoded(append(body, separator), item)
			separator = ','
		}
		if _, err := w.Write(body); err != nil {
			zerolog.Ctx(r.Context()).Debug().Err(err).Msg("client left before the end of the answer")
			return nil
		}
	}
	begin()
	if separator == '[' {
		_, _ = w.Write([]byte{'['})
	}
	_, _ = w.Write([]byte("]\n"))
	return nil
}

func encoded(body []byte, v any) []byte {
	body, err := fastjson.Append(body, v, fastjson.EscapeHTML|fastjson.SortMapKeys)
	if err != nil {
		panic(err) // what cannot be written as JSON is a fault of ours
	}
	return body
}

package partnertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const adminPrefix = "/_admin/"

// maxAdminBody bounds what the admin surface reads, in bytes.
const maxAdminBody = 1 << 20

// adminHandler serves the admin surface, the same on every listener. Its calls
// are not logged, delayed or struck.
func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_admin/calls", s.adminCalls)
	mux.HandleFunc("GET /_admin/state", s.adminState)
	mux.HandleFunc("GET /_admin/faults", s.adminListFaults)
	mux.HandleFunc("POST /_admin/faults", s.adminAddFaults)
	mux.HandleFunc("DELETE /_admin/faults", s.adminClearFaults)
	mux.HandleFunc("GET /_admin/clock", s.adminClock)
	mux.HandleFunc("POST /_admin/clock", s.adminMoveClock)
	mux.HandleFunc("POST /_admin/reset", s.adminReset)
	if s.opts.Control != nil {
		mux.Handle(adminPrefix, s.opts.Control)
	}
	return mux
}

// CallsPage is the answer to GET /_admin/calls?route=&after=<seq>. Total and
// Counts cover all calls kept; Calls those that the query picks.
type CallsPage struct {
	Total  int            `json:"total"`
	Counts map[string]int `json:"counts"` // per "METHOD pattern"
	Calls  []Call         `json:"calls"`
	Leaks  []Leak         `json:"leaks"`
}

func (s *Server) adminCalls(w http.ResponseWriter, r *http.Request) {
	route := Route(r.URL.Query().Get("route"))
	if err := route.Valid(); err != nil {
		adminError(w, err)
		return
	}
	seen := 0
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if seen, err = strconv.Atoi(text); err != nil {
			adminError(w, fmt.Errorf("after: %q is not a number", text))
			return
		}
	}
	page := CallsPage{Total: s.Count(""), Counts: s.CountPerRoute(), Calls: []Call{}, Leaks: s.Leaks()}
	for _, c := range s.Calls(route) {
		if c.Seq > seen {
			page.Calls = append(page.Calls, c)
		}
	}
	if page.Leaks == nil {
		page.Leaks = []Leak{}
	}
	WriteJSON(w, http.StatusOK, page)
}

func (s *Server) adminState(w http.ResponseWriter, _ *http.Request) {
	if s.opts.State == nil {
		WriteJSON(w, http.StatusOK, struct{}{})
		return
	}
	WriteJSON(w, http.StatusOK, s.opts.State())
}

func (s *Server) adminListFaults(w http.ResponseWriter, _ *http.Request) {
	WriteJSON(w, http.StatusOK, s.Faults())
}

// adminAddFaults takes one fault or an array of them, all or none.
func (s *Server) adminAddFaults(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if err != nil {
		adminError(w, err)
		return
	}
	var list []Fault
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		err = decodeStrict(body, &list)
	} else {
		list = make([]Fault, 1)
		err = decodeStrict(body, &list[0])
	}
	if err != nil {
		adminError(w, err)
		return
	}
	for _, fault := range list {
		if err := fault.Valid(); err != nil {
			adminError(w, err)
			return
		}
	}
	s.Inject(list...)
	WriteJSON(w, http.StatusCreated, s.Faults())
}

func (s *Server) adminClearFaults(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}

type clockState struct {
	Now time.Time `json:"now"`
}

func (s *Server) adminClock(w http.ResponseWriter, _ *http.Request) {
	WriteJSON(w, http.StatusOK, clockState{s.Now()})
}

// adminMoveClock takes {"advance":"1h"}, {"freeze":"2026-06-01T08:00:00Z"} or {"run":true}.
func (s *Server) adminMoveClock(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if err != nil {
		adminError(w, err)
		return
	}
	var move struct {
		Advance *duration  `json:"advance"`
		Freeze  *time.Time `json:"freeze"`
		Run     bool       `json:"run"`
	}
	if err := decodeStrict(body, &move); err != nil {
		adminError(w, err)
		return
	}
	if move.Run {
		s.clock.Run()
	}
	if move.Freeze != nil {
		s.clock.Freeze(*move.Freeze)
	}
	if move.Advance != nil {
		s.clock.Advance(time.Duration(*move.Advance))
	}
	WriteJSON(w, http.StatusOK, clockState{s.Now()})
}

func (s *Server) adminReset(w http.ResponseWriter, _ *http.Request) {
	s.Reset()
	w.WriteHeader(http.StatusNoContent)
}

func adminError(w http.ResponseWriter, err error) {
	WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

// WriteJSON answers v as application/json.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func decodeStrict(body []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("unexpected text after the JSON value")
	}
	return nil
}

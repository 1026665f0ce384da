package franceconnecttest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// control is what a FranceConnect that runs as a process of its own adds under
// /_admin/:
//
//	POST /_admin/clients       a Client, added or replaced
//	POST /_admin/data-providers a DataProvider
//	GET  /_admin/citizens
//	POST /_admin/citizens      a Citizen, added or corrected (then the sub changes)
//	POST /_admin/auto          {"citizen":"fontanel"}: logins pass without pages; "" ends that
//	POST /_admin/misbehave     {"what":"wrong_nonce","where":"id_token","times":1}, or an array; DELETE ends all
//	POST /_admin/keys/rotate   {"keep_old":true,"stale":"30s"} gives {"kid"}
//	POST /_admin/sessions/end  every browser's session ends
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_admin/clients", control(s.AddClient))
	mux.HandleFunc("POST /_admin/data-providers", control(s.AddDataProvider))
	mux.HandleFunc("GET /_admin/citizens", func(w http.ResponseWriter, _ *http.Request) {
		partnertest.WriteJSON(w, http.StatusOK, s.Citizens())
	})
	mux.HandleFunc("POST /_admin/citizens", control(s.SetCitizen))
	mux.HandleFunc("POST /_admin/auto", control(func(in struct {
		Citizen string `json:"citizen"`
	},
	) error {
		return s.SetAuto(in.Citizen)
	}))
	mux.HandleFunc("POST /_admin/misbehave", control(func(in oneOrMany) error { return s.Misbehave(in...) }))
	mux.HandleFunc("DELETE /_admin/misbehave", func(w http.ResponseWriter, _ *http.Request) {
		s.Behave()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_admin/keys/rotate", s.controlRotate)
	mux.HandleFunc("POST /_admin/sessions/end", func(w http.ResponseWriter, _ *http.Request) {
		s.EndSessions()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

type oneOrMany []Bad

func (o *oneOrMany) UnmarshalJSON(text []byte) error {
	var one Bad
	if err := json.Unmarshal(text, &one); err == nil {
		*o = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(text, (*[]Bad)(o))
}

// SetCitizen adds a person, or corrects one: his subject changes then, for every
// client, as it does when a civil status is corrected.
func (s *Server) SetCitizen(c Citizen) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("franceconnecttest: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, held := range s.citizens {
		if held.ID == c.ID {
			s.citizens[i] = c
			return nil
		}
	}
	s.citizens = append(s.citizens, c)
	return nil
}

func decodeControl(r *http.Request, into any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// control decodes the body and answers 204, or 400 with what is wrong.
func control[T any](do func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		err := decodeControl(r, &in)
		if err == nil {
			err = do(in)
		}
		if err != nil {
			partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Server) controlRotate(w http.ResponseWriter, r *http.Request) {
	var in struct {
		KeepOld bool   `json:"keep_old"`
		Stale   string `json:"stale"`
	}
	err := decodeControl(r, &in)
	var stale time.Duration
	if err == nil && in.Stale != "" {
		stale, err = time.ParseDuration(in.Stale)
	}
	kid := ""
	if err == nil {
		kid, err = s.RotateKey(in.KeepOld, stale)
	}
	if err != nil {
		partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	partnertest.WriteJSON(w, http.StatusOK, map[string]string{"kid": kid})
}

// Snapshot is what GET /_admin/state shows: no token, no code, no name.
type Snapshot struct {
	Now          time.Time      `json:"now"`
	Issuer       string         `json:"issuer"`
	KID          string         `json:"kid"`
	Interactions int            `json:"interactions"`
	Sessions     int            `json:"sessions"`
	Codes        int            `json:"codes"`  // that may still be used
	Tokens       int            `json:"tokens"` // that live
	Auto         string         `json:"auto"`
	Counts       map[string]int `json:"counts"` // authorize, login, cancel, code, token, userinfo, checktoken, logout, token_<error>
}

// Snapshot counts what the simulator holds now.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	out := Snapshot{
		Now: now, Issuer: s.issuer, KID: s.keys.signing.KID(), Sessions: alive(s.sessions, now), Auto: s.auto, Counts: map[string]int{},
	}
	for _, it := range s.interactions {
		if now.Before(it.expires) {
			out.Interactions++
		}
	}
	for _, g := range s.codes {
		if !g.used && now.Before(g.codeExpires) {
			out.Codes++
		}
	}
	for token := range s.tokens {
		if s.live(token) != nil {
			out.Tokens++
		}
	}
	for name, n := range s.counts {
		out.Counts[name] = n
	}
	return out
}

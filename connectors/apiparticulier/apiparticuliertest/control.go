package apiparticuliertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Order is a failure that the caisses give to the calls to come: one of
// FailureNames, or any status and code, known or not.
type Order struct {
	Name    string `json:"name"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Title   string `json:"title"`
	Detail  string `json:"detail"`
	RetryIn int    `json:"retry_in"` // seconds, in meta; 0: what the failure has
	Times   int    `json:"times"`    // 0: until cleared
}

type order struct {
	failed []failure
	times  int
}

// FailNext makes the caisses fail, one order after the other.
func (s *Server) FailNext(list ...Order) error {
	var made []order
	for _, o := range list {
		f, known := failures[o.Name]
		switch {
		case o.Name != "" && !known:
			return fmt.Errorf("apiparticuliertest: no failure %q", o.Name)
		case o.Name == "" && (o.Status < 400 || o.Status > 599 || o.Code == ""):
			return fmt.Errorf("apiparticuliertest: an order has a name, or a status and a code")
		case o.Name == "":
			f = failure{status: o.Status, september: o.Code, title: o.Title, detail: o.Detail, provider: caisses}
		}
		if o.RetryIn > 0 {
			f.meta = map[string]any{"retry_in": o.RetryIn}
		}
		made = append(made, order{[]failure{f}, o.Times})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ordered = append(s.ordered, made...)
	return nil
}

// ClearFailures ends all orders.
func (s *Server) ClearFailures() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ordered = nil
}

// nextFailure needs the lock.
func (s *Server) nextFailure() []failure {
	if len(s.ordered) == 0 {
		return nil
	}
	next := &s.ordered[0]
	failed := next.failed
	if next.times > 0 {
		if next.times--; next.times == 0 {
			s.ordered = slices.Delete(s.ordered, 0, 1)
		}
	}
	return failed
}

// control is what an API Particulier that runs as a process of its own adds
// under /_admin/:
//
//	GET  /_admin/switches, POST /_admin/switches {"numbering":"april",...}: what is left out stays
//	POST /_admin/failures  an Order or an array: {"name":"timeout","times":2}; DELETE ends them
//	GET  /_admin/failures  the names
//	POST /_admin/cache/clear
//	POST /_admin/locks/clear
//	POST /_admin/keys      {"token","habilitation","editor","expires_at","blacklisted","ips","dpop_jkt"}
//	POST /_admin/delegations {"id","editor","habilitation","revoked"}
//	POST /_admin/families/{id} {"value":700}: what the caisse now says
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_admin/switches", func(w http.ResponseWriter, _ *http.Request) {
		partnertest.WriteJSON(w, http.StatusOK, s.Switches())
	})
	mux.HandleFunc("POST /_admin/switches", s.controlSwitches)
	mux.HandleFunc("GET /_admin/failures", func(w http.ResponseWriter, _ *http.Request) {
		partnertest.WriteJSON(w, http.StatusOK, FailureNames())
	})
	mux.HandleFunc("POST /_admin/failures", control(func(_ *http.Request, in orders) error { return s.FailNext(in...) }))
	mux.HandleFunc("DELETE /_admin/failures", done(s.ClearFailures))
	mux.HandleFunc("POST /_admin/cache/clear", done(s.ClearCache))
	mux.HandleFunc("POST /_admin/locks/clear", done(s.ClearLocks))
	mux.HandleFunc("POST /_admin/keys", control(s.controlKey))
	mux.HandleFunc("POST /_admin/delegations", control(s.controlDelegation))
	mux.HandleFunc("POST /_admin/families/{id}", control(func(r *http.Request, in struct {
		Value *int `json:"value"`
	},
	) error {
		return s.SetValue(r.PathValue("id"), in.Value)
	}))
	return mux
}

type orders []Order

func (o *orders) UnmarshalJSON(text []byte) error {
	var one Order
	if err := json.Unmarshal(text, &one); err == nil {
		*o = orders{one}
		return nil
	}
	return json.Unmarshal(text, (*[]Order)(o))
}

func done(do func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		do()
		w.WriteHeader(http.StatusNoContent)
	}
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
func control[T any](do func(*http.Request, T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		err := decodeControl(r, &in)
		if err == nil {
			err = do(r, in)
		}
		if err != nil {
			partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// controlSwitches lays what is sent over what is in force.
func (s *Server) controlSwitches(w http.ResponseWriter, r *http.Request) {
	next := s.Switches()
	if err := decodeControl(r, &next); err != nil {
		partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	s.SetSwitches(func(held *Switches) { *held = next })
	partnertest.WriteJSON(w, http.StatusOK, s.Switches())
}

func (s *Server) controlKey(_ *http.Request, in struct {
	Token        string    `json:"token"`
	Habilitation string    `json:"habilitation"`
	Editor       string    `json:"editor"`
	ExpiresAt    time.Time `json:"expires_at"`
	Blacklisted  bool      `json:"blacklisted"`
	IPs          []string  `json:"ips"`
	DPoPJKT      string    `json:"dpop_jkt"`
},
) error {
	if in.Token == "" || (in.Habilitation == "") == (in.Editor == "") {
		return fmt.Errorf("a key has a token, and a habilitation or an editor")
	}
	if err := checkAddresses(in.IPs); err != nil {
		return err
	}
	s.AddKey(Key(in))
	return nil
}

func (s *Server) controlDelegation(_ *http.Request, in struct {
	ID           string `json:"id"`
	Editor       string `json:"editor"`
	Habilitation string `json:"habilitation"`
	Revoked      bool   `json:"revoked"`
},
) error {
	s.mu.Lock()
	_, known := s.habilitations[in.Habilitation]
	s.mu.Unlock()
	if !known || in.ID == "" {
		return fmt.Errorf("a delegation has an id, and a habilitation of the seed")
	}
	s.AddDelegation(Delegation{ID: in.ID, Editor: in.Editor, Habilitation: in.Habilitation, Revoked: in.Revoked, CreatedAt: s.Now()})
	return nil
}

// SetValue changes what a caisse says of a family from now on; null: not
// computed. The cache still holds what it said.
func (s *Server) SetValue(family string, value *int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, known := s.families[family]
	if !known {
		return fmt.Errorf("apiparticuliertest: no family %q", family)
	}
	f.Value = value
	s.families[family] = f
	return nil
}

// ClearCache forgets the answers of the last 24 hours.
func (s *Server) ClearCache() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.cache)
}

// ClearLocks frees every 409 lock.
func (s *Server) ClearLocks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.locks)
}

// Package sirenetest is API Sirene 3.11 as a partner: a real HTTP server on a
// loopback address that answers GET /siret/{siret} for the establishments it
// was given, invented ones, in the shape of datapass.md, 2.4.
//
// What datapass.md does not describe (the words of its refusals) is in the form
// of its header: {"header": {"statut": 404, "message": "…"}}.
//
// It is imported by tests, by `passerelle demo` and by `passerelle simulate`,
// and imports connectors/partnertest only.
package sirenetest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Key is the one that the simulator takes.
const Key = "00000000-0000-4000-8000-5152454e4551"

//go:embed establishment.json
var sample []byte

// Establishment is one invented establishment.
type Establishment struct {
	SIRET, Name, Category  string // Category: INSEE's legal category, "7210" for a commune
	Commune, COG, PostCode string
	Street, Number         string
	Closed                 bool
	TreatedAt              string // "2025-11-28T09:41:07"
	FamilyName, FirstName  string // of a natural person (category "1000")
}

// Server is the register. The embedded base has its faults, clock and log of
// calls. Its methods may be called from any goroutine.
type Server struct {
	*partnertest.Server

	mu    sync.Mutex
	known map[string]Establishment
}

// New gives a register that knows nobody and does not listen yet.
func New() *Server {
	s := &Server{}
	s.empty()
	s.Server = partnertest.New(partnertest.Options{Name: "sirene", Reset: s.empty, State: s.state})
	return s
}

// Start serves it on a loopback address and gives its base URL.
func (s *Server) Start(addr string) (string, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /siret/{siret}", s.serve)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "Ressource inconnue") })
	return s.Listen("api", addr, mux)
}

// Put makes the register know an establishment, or know it otherwise.
func (s *Server) Put(e Establishment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[e.SIRET] = e
}

func (s *Server) empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = map[string]Establishment{}
}

func (s *Server) state() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-INSEE-Api-Key-Integration") != Key {
		refuse(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	siret := r.PathValue("siret")
	s.mu.Lock()
	e, ok := s.known[siret]
	s.mu.Unlock()
	switch {
	case len(siret) != len("00000000000000"):
		refuse(w, http.StatusBadRequest, "Erreur de syntaxe dans le paramètre siret")
	case !ok:
		refuse(w, http.StatusNotFound, "Aucun élément trouvé pour le siret "+siret)
	default:
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		_, _ = w.Write(e.JSON())
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"header": map[string]any{"statut": status, "message": message}})
}

// JSON is the register's answer, compact.
func (e Establishment) JSON() []byte {
	state := "A"
	if e.Closed {
		state = "F"
	}
	text := sample
	for _, r := range [][2]string{
		{"{nic}", tail(e.SIRET)},
		{"{siren}", head(e.SIRET)},
		{"{siret}", e.SIRET},
		{"{name}", e.Name},
		{"{category}", e.Category},
		{"{family_name}", e.FamilyName},
		{"{first_name}", e.FirstName},
		{"{state}", state},
		{"{treated_at}", e.TreatedAt},
		{"{postal_code}", e.PostCode},
		{"{commune_code}", e.COG},
		{"{commune}", e.Commune},
		{"{street}", e.Street},
		{"{number}", e.Number},
	} {
		quoted, err := json.Marshal(r[1])
		if err != nil {
			panic(fmt.Sprintf("sirenetest: %v", err)) // of a string: never
		}
		if r[1] == "" {
			quoted = []byte("null")
		}
		text = bytes.ReplaceAll(text, []byte(`"`+r[0]+`"`), quoted)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		panic(fmt.Sprintf("sirenetest: establishment.json: %v", err))
	}
	return compact.Bytes()
}

func head(siret string) string {
	if len(siret) < 9 {
		return ""
	}
	return siret[:9]
}

func tail(siret string) string {
	if len(siret) < 14 {
		return ""
	}
	return siret[9:]
}

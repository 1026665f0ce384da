// Package sirenetest is API Sirene 3.11 as a partner: a real HTTP server on a
// loopback address that answers GET /siret/{siret} for the establishments it
// was given, invented ones, in the shape of datapass.md, 2.4. Its seed is Options.
//
// What datapass.md does not describe (the words of its refusals) is in the form
// of its header: {"header": {"statut": 404, "message": "…"}}.
//
// It is imported by tests and by `passerelle simulate`, and imports connectors/partnertest only.
package sirenetest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Key is the one that the simulator takes.
const Key = "00000000-0000-4000-8000-5152454e4551"

//go:embed establishment.json
var sample []byte

// Establishment is one invented establishment.
type Establishment struct {
	SIRET     string `yaml:"siret"`
	Name      string `yaml:"name"`
	Category  string `yaml:"category"` // INSEE's legal category, "7210" for a commune
	Commune   string `yaml:"commune"`
	COG       string `yaml:"cog"` // INSEE's code of the commune
	PostCode  string `yaml:"postal_code"`
	Number    string `yaml:"number"`
	Street    string `yaml:"street"`
	Closed    bool   `yaml:"closed"`
	TreatedAt string `yaml:"treated_at"` // "2025-11-28T09:41:07"

	FamilyName string `yaml:"family_name"` // of a natural person (category "1000")
	FirstName  string `yaml:"first_name"`
}

// Options is what a register starts with; the zero value is its example.
type Options struct {
	Key            string          `yaml:"key"`            // the one that it takes; default Key
	Establishments []Establishment `yaml:"establishments"` // nil means Examples

	// Faults are in place at the start and after each reset.
	Faults []partnertest.Fault `yaml:"faults"`

	Run partnertest.Run `yaml:"-"`
}

// Examples are a commune, its social service, which is closed, and a craftswoman.
func Examples() []Establishment {
	return []Establishment{
		{
			SIRET: "21350998700011", Name: "COMMUNE DE PLOUVENEZ-LA-LANDE", Category: "7210", Commune: "PLOUVENEZ-LA-LANDE", COG: "35998",
			PostCode: "35998", Number: "1", Street: "DE LA MAIRIE", TreatedAt: "2026-01-05T10:00:00",
		},
		{
			SIRET: "20009991900009", Name: "CENTRE COMMUNAL D'ACTION SOCIALE", Category: "7361", Commune: "PLOUVENEZ-LA-LANDE", COG: "35998",
			PostCode: "35998", Number: "3", Street: "DE LA MAIRIE", Closed: true, TreatedAt: "2025-06-30T18:30:00",
		},
		{
			SIRET: "82099917500004", Category: "1000", FamilyName: "ESSAI", FirstName: "CLAIRE", Commune: "PLOUVENEZ-LA-LANDE", COG: "35998",
			PostCode: "35998", TreatedAt: "2025-11-28T09:41:07",
		},
	}
}

// Server is the register. The embedded base has its faults, clock and log of
// calls. Its methods may be called from any goroutine.
type Server struct {
	*partnertest.Server
	opts Options
	url  string

	mu    sync.Mutex
	known map[string]Establishment
}

// New gives a register that does not listen yet.
func New(opts Options) *Server {
	if opts.Key == "" {
		opts.Key = Key
	}
	if opts.Establishments == nil {
		opts.Establishments = Examples()
	}
	s := &Server{opts: opts}
	s.fill()
	s.Server = partnertest.New(partnertest.Options{Name: "sirene", Reset: s.fill, State: s.state, Faults: opts.Faults, Run: opts.Run})
	return s
}

// Start serves it on a loopback address and gives its base URL.
func (s *Server) Start(addr string) (string, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /siret/{siret}", s.serve)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "Ressource inconnue") })
	var err error
	s.url, err = s.Listen("api", addr, mux)
	return s.url, err
}

// Describe gives the one JSON line that tells a client how to use the simulator.
func (s *Server) Describe() string {
	type credential struct {
		Actor string `json:"actor"`
		Token string `json:"token"` // X-INSEE-Api-Key-Integration
	}
	line, err := json.Marshal(struct {
		Partner     string       `json:"partner"`
		API         string       `json:"api"`
		Admin       string       `json:"admin"`
		Credentials []credential `json:"credentials"`
		SIRETs      []string     `json:"sirets"`
	}{"sirene", s.url, s.url + "/_admin/", []credential{{"application", s.opts.Key}}, s.sirets()})
	if err != nil {
		panic(err) // of strings: never
	}
	return string(line)
}

// Put makes the register know an establishment, or know it otherwise.
func (s *Server) Put(e Establishment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[e.SIRET] = e
}

func (s *Server) fill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = map[string]Establishment{}
	for _, e := range s.opts.Establishments {
		s.known[e.SIRET] = e
	}
}

func (s *Server) sirets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.known))
}

func (s *Server) state() any { return map[string]any{"sirets": s.sirets()} }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-INSEE-Api-Key-Integration") != s.opts.Key {
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

package apiparticuliertest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func (s *Server) wrongVersion(w http.ResponseWriter, r *http.Request) {
	version := chi.URLParam(r, "version")
	if version == "v3" || !strings.HasPrefix(version, "v") {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "not_found"})
		return
	}
	s.refuse(w, fail("version", func(f *failure) { f.detail = strings.Replace(f.detail, "v1", version, 1) }))
}

// ping tells what the caisses are like: "bad_gateway" while failures are ordered.
func (s *Server) ping(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	status := "ok"
	if len(s.ordered) > 0 {
		status = "bad_gateway"
	}
	s.mu.Unlock()
	now := s.Now().Format(time.RFC3339)
	writeJSON(w, http.StatusOK, map[string]any{"status": status, "last_update": now, "last_ok_status": now})
}

func (s *Server) pings(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, []map[string]string{{
		"name": "cnaf_msa_quotient_familial", "url": s.url + "/api/cnaf_msa_quotient_familial/ping",
	}})
}

// operations and what each may answer beside the codes of the platform.
var operations = map[string]func(name string, f failure) bool{
	"api_particulier_v3_cnav_quotient_familial_with_civility": func(_ string, f failure) bool {
		return f.provider != franceConnect
	},
	"api_particulier_v3_cnav_quotient_familial_with_france_connect": func(string, failure) bool { return true },
}

// listErrors needs no token and may be kept for an hour.
func (s *Server) listErrors(w http.ResponseWriter, r *http.Request) {
	operation := r.URL.Query().Get("operation_id")
	answers := operations[operation]
	if answers == nil {
		s.refuse(w, fail("malformed"))
		return
	}
	switches := s.Switches()
	list := []map[string]any{}
	for _, name := range FailureNames() {
		f := failures[name]
		if strings.HasSuffix(name, "_old") == (switches.Numbering == April) || !slices.Contains([]string{"not_recognised", "gate"}, strings.TrimSuffix(name, "_old")) {
			if answers(name, f) && (name != "unexpected" || switches.Numbering == April) {
				list = append(list, map[string]any{"status": f.status, "code": f.code(switches.Numbering), "title": f.title, "detail": f.detail})
			}
		}
	}
	w.Header().Set("Cache-Control", "public, max-age=3600")
	writeJSON(w, http.StatusOK, map[string]any{"operation_id": operation, "errors": list})
}

// introspectKey tells a caller about its own key; with a recipient, what an
// editor's key may do there.
func (s *Server) introspectKey(w http.ResponseWriter, r *http.Request) {
	key, failed := s.keyOf(r)
	if failed != nil {
		s.refuse(w, failed)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	data := map[string]any{"exp": key.ExpiresAt.Unix(), "scopes": []string{}}
	habilitation, known := s.habilitations[key.Habilitation]
	if key.Editor != "" {
		data["editor"] = key.Editor
		if r.URL.Query().Has("recipient") {
			habilitation, failed = s.delegated(key.Editor, r.URL.Query())
			known = failed == nil
		}
	}
	if failed != nil {
		writeFailures(w, s.switches, failed)
		return
	}
	if known {
		data["scopes"], data["authorization_request_id"], data["siret"] = habilitation.Scopes, habilitation.ID, habilitation.SIRET
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": data, "links": map[string]any{}, "meta": map[string]any{}})
}

// listDelegations is the editor's own list, 50 a page, 100 at most.
func (s *Server) listDelegations(w http.ResponseWriter, r *http.Request) {
	key, failed := s.keyOf(r)
	if failed == nil && key.Editor == "" {
		failed = fail("scopes")
	}
	if failed != nil {
		s.refuse(w, failed)
		return
	}
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	page, size := number("page", 1), min(100, number("per_page", 50))
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := []map[string]any{}
	for _, d := range s.delegations {
		if d.Editor != key.Editor {
			continue
		}
		h, status := s.habilitations[d.Habilitation], "active"
		if d.Revoked {
			status = "revoked"
		}
		mine = append(mine, map[string]any{
			"id": d.ID, "authorization_request_id": h.ID, "siret": h.SIRET, "intitule": h.Title, "scopes": h.Scopes, "statut": status,
			"created_at": d.CreatedAt.UTC().Format(time.RFC3339),
		})
	}
	from := min((page-1)*size, len(mine))
	writeJSON(w, http.StatusOK, map[string]any{
		"data": mine[from:min(from+size, len(mine))],
		"meta": map[string]int{"page": page, "per_page": size, "total": len(mine), "total_pages": (len(mine) + size - 1) / size},
	})
}

const pdfLife = 5 * time.Minute

// addProof writes what X-Generate-Proof asks for (api-particulier.md, 8).
func (s *Server) addProof(body map[string]any, pdf bool) {
	code := uuid.NewString()
	meta := map[string]any{
		"pdf_verification_link": s.url + "/verification/" + code, "pdf_verification_code": code[:8], "pdf_link_expires_in": int(pdfLife / time.Second),
	}
	links := map[string]any{}
	if pdf {
		s.mu.Lock()
		s.pdfs[code] = s.Now().Add(pdfLife)
		s.mu.Unlock()
		links["attestation_pdf"] = s.url + "/attestations/" + code + ".pdf"
	}
	body["meta"], body["links"] = meta, links
}

// attestation is a PDF for five minutes, then gone.
func (s *Server) attestation(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	until, known := s.pdfs[chi.URLParam(r, "code")]
	s.mu.Unlock()
	switch {
	case !known:
		http.NotFound(w, r)
	case !s.Now().Before(until):
		w.WriteHeader(http.StatusGone)
	default:
		w.Header().Set("Content-Type", "application/pdf")
		_, _ = w.Write([]byte("%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Kids [] /Count 0 >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"))
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

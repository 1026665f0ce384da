package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

type shelf map[int64]habilitation.Request

func (s shelf) Request(_ context.Context, id int64) (habilitation.Request, error) {
	r, ok := s[id]
	if !ok {
		return r, fmt.Errorf("request %d: %w", id, store.ErrNotFound)
	}
	return r, nil
}

func TestTheLinkOfAMailShowsWhereTheRequestStandsAndNothingOfAnybody(t *testing.T) {
	t.Parallel()
	native, mirrored := uuid.New(), uuid.New()
	follow, err := NewFollow(Follow{
		Requests: shelf{
			7: {
				ID: 7, Origin: habilitation.Native, PublicID: native, Definition: "api_entreprise", State: habilitation.Submitted,
				Organization: habilitation.Organization{Name: "COMMUNE D’ESSAI", SIRET: "21690387200018"}, Applicant: habilitation.Applicant{Email: "claire@essai.example.fr", FamilyName: "Essai"},
				Data: habilitation.Data{"intitule": "Un titre", "contact_technique_email": "x@essai.example.fr"}, LastSubmittedAt: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC),
			},
			8: {ID: 8, Origin: habilitation.Mirrored, Source: "datapass", ExternalID: 49001, PublicID: mirrored, Definition: "api_entreprise", State: habilitation.Validated, Reopening: true},
		},
		Label: func(string) string { return "API Entreprise" }, Sources: map[string]string{"datapass": "https://datapass.example.fr"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := chi.NewRouter()
	r.Get("/demandes/{id}/{public_id}", follow.Show)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	status, body := get(fmt.Sprintf("/demandes/7/%s", native))
	for _, want := range []string{"Demande n° 7", "API Entreprise", "l’instruction est en cours", "03/11/2026", "/hub/v1/requests/7"} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d: the page does not say %q", status, want)
		}
	}
	for _, private := range []string{"essai.example.fr", "ESSAI", "Un titre", "21690387200018"} {
		if strings.Contains(body, private) {
			t.Errorf("the page tells %q", private)
		}
	}
	status, body = get(fmt.Sprintf("/demandes/8/%s", mirrored))
	if status != http.StatusOK || !strings.Contains(body, "https://datapass.example.fr/demandes/49001") || !strings.Contains(body, "mise à jour est en cours") {
		t.Errorf("%d %s", status, body)
	}
	for _, path := range []string{fmt.Sprintf("/demandes/7/%s", mirrored), fmt.Sprintf("/demandes/9/%s", native), "/demandes/x/y", "/demandes/7/" + strings.ToUpper(native.String())} {
		if status, body := get(path); status != http.StatusNotFound || strings.Contains(body, "API Entreprise") {
			t.Errorf("%s gives %d", path, status)
		}
	}
}

package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi"
)

func TestAPanicIsAnsweredByAPageToABrowserAndByAProblemToAMachine(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Use(httpapi.Around{Log: zerolog.Nop(), Duration: httpapi.NewDuration()}.Request)
	r.Get("/", func(http.ResponseWriter, *http.Request) { panic("un secret") })
	for accept, kind := range map[string]string{"text/html,*/*": "text/html; charset=utf-8", "application/json": "application/problem+json", "": "application/problem+json"} {
		w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Accept", accept)
		r.ServeHTTP(w, req)
		if w.Code != http.StatusInternalServerError || w.Header().Get("Content-Type") != kind || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%q: %d %s %s", accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
}

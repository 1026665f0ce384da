package page_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/passerelle-hub/passerelle/httpapi/page"
)

func asset(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestTheOfficialSheetGoesAboveOursWhereTheOperatorHasIt(t *testing.T) {
	t.Parallel()
	official := fstest.MapFS{
		"dsfr.min.css": {Data: []byte(".fr-btn{color:red}")}, "fonts/Marianne-Regular.woff2": {Data: []byte("x")}, "icons/a.svg": {Data: []byte("<svg/>")},
		"package.json": {Data: []byte("{}")}, "dsfr.module.min.js": {Data: []byte("alert(1)")},
	}
	ours, both := page.Assets(nil), page.Assets(official)
	if w := asset(t, ours, "/assets/passerelle.css"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), ".fr-btn") {
		t.Errorf("ours alone: %d %s", w.Code, w.Body)
	}
	for path, want := range map[string]string{
		"/assets/passerelle.css":     `@import url("/assets/own/passerelle.css") layer(own);` + "\n" + `@import url("/assets/dsfr/dsfr.min.css") layer(dsfr);`,
		"/assets/citizen.css":        `@import url("/assets/own/citizen.css") layer(own);`,
		"/assets/own/passerelle.css": ".fr-btn", "/assets/own/citizen.css": ".fr-", "/assets/communes.js": "", "/assets/dsfr/dsfr.min.css": ".fr-btn{color:red}",
		"/assets/dsfr/fonts/Marianne-Regular.woff2": "x", "/assets/dsfr/icons/a.svg": "<svg/>",
	} {
		if w := asset(t, both, path); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/assets/dsfr/", "/assets/dsfr/fonts/", "/assets/dsfr/package.json", "/assets/dsfr/dsfr.module.min.js", "/assets/dsfr/../page.go", "/assets/dsfr/absent.css"} {
		if w := asset(t, both, path); w.Code == http.StatusOK {
			t.Errorf("%s is served", path)
		}
	}
	if w := asset(t, ours, "/assets/dsfr/dsfr.min.css"); w.Code != http.StatusNotFound {
		t.Errorf("without the design system: %d", w.Code)
	}
}

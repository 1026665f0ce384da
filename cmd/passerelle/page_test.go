package main

import (
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/page"
)

// Whatever a browser does wrong, or is made to do, it shows a page in French;
// machines get a problem document.
func TestABrowserIsAnsweredByAPageInFrenchWhateverItDoesWrong(t *testing.T) {
	t.Parallel()
	w := openPartnersOnly(t)
	w.startHub(t, io.Discard)
	mustDo(t, w.awaitReady(t.Context()))
	ask := func(method, target, body string, header ...string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		mustDo(t, err)
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		mustDo(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		mustDo(t, err)
		return resp, string(text)
	}
	french := func(name string, resp *http.Response, body string, status int, says string) {
		t.Helper()
		if resp.StatusCode != status || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(body, `<html lang="fr"`) || !strings.Contains(body, "<h1>") || !strings.Contains(body, says) {
			t.Errorf("%s: %d %s, want %d that says %q: %s", name, resp.StatusCode, resp.Header.Get("Content-Type"), status, says, body)
		}
		if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, resp.Header)
		}
	}
	const html, crossSite, foreign = "text/html,application/xhtml+xml", "cross-site", "Cette demande ne vient pas de notre site"
	step := "/demarche/" + uuid.NewString()
	for _, path := range []string{"/remise/x", "/remise/x/renouveler", "/remise/x/remplacer", "/tache/x", "/tache/x/renouveler", "/desinscription/x", step + "/envoyer"} {
		resp, body := ask(http.MethodPost, w.publicURL+path, "a=b", "Sec-Fetch-Site", crossSite)
		french("from another site to "+path, resp, body, http.StatusForbidden, foreign)
		resp, body = ask(http.MethodPost, w.publicURL+path, "a=b", "Origin", "https://attaquant.example")
		french("from another origin to "+path, resp, body, http.StatusForbidden, foreign)
	}
	operator := "Basic " + base64.StdEncoding.EncodeToString([]byte(demoOps+":"+demoOpsPass))
	resp, body := ask(http.MethodPost, w.opsURL+"/partners/"+demoManager+"/pause", "", "Sec-Fetch-Site", crossSite, "Authorization", operator)
	french("from another site to the operators'", resp, body, http.StatusForbidden, foreign)

	for path, allow := range map[string]string{"/remise/x/renouveler": "POST", "/tache/x": "GET, POST", "/demandes/1/x": "GET", step + "/envoyer": "POST", "/collectivites": "GET"} {
		method := http.MethodDelete
		if allow == "POST" {
			method = http.MethodGet
		}
		resp, body := ask(method, w.publicURL+path, "", "Accept", html)
		french(method+" "+path, resp, body, http.StatusMethodNotAllowed, "Cette adresse ne s’ouvre pas ainsi")
		if got := resp.Header.Get("Allow"); got != allow {
			t.Errorf("%s: Allow is %q, want %q", path, got, allow)
		}
	}
	resp, body = ask(http.MethodDelete, w.publicURL+"/collectivites", "", "Accept", "application/json")
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("Allow") != "GET" {
		t.Errorf("a machine is told %d %v %s", resp.StatusCode, resp.Header, body)
	}

	long := "a=" + strings.Repeat("b", 200<<10)
	for path, says := range map[string]string{"/remise/x/remplacer": "trop long", "/collectivites/" + demoCommune.SIRET + "/demarrer": "trop longue"} {
		resp, body := ask(http.MethodPost, w.publicURL+path, long, "Accept", html)
		french("200 kB to "+path, resp, body, http.StatusRequestEntityTooLarge, says)
	}

	for path, says := range map[string]string{"/remise/x": "Attendez une minute", "/docs/liens": "Attendez une minute"} {
		for range 500 {
			if resp, body = ask(http.MethodGet, w.publicURL+path, "", "Accept", html); resp.StatusCode == http.StatusTooManyRequests {
				break
			}
		}
		french("many times "+path, resp, body, http.StatusTooManyRequests, says)
		if resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
}

func TestTheDesignSystemIsServedFromItsFolderOrTheStartSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := openDesignSystem(folder); err == nil || !strings.Contains(err.Error(), "hub.design_system") || !strings.Contains(err.Error(), "make dsfr") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := openDesignSystem(filepath.Join(folder, "absent")); err == nil || !strings.Contains(err.Error(), "hub.design_system") {
		t.Errorf("no folder: %v", err)
	}
	mustDo(t, os.WriteFile(filepath.Join(folder, page.DesignSystemSheet), []byte(".fr-btn{}"), 0o600))
	mustDo(t, os.Symlink("/etc/hostname", filepath.Join(folder, "outside.css")))
	w := openPartnersOnly(t)
	settings, err := os.ReadFile(w.settings)
	mustDo(t, err)
	changed := strings.Replace(string(settings), "hub: {", `hub: {design_system: "`+folder+`", `, 1)
	mustDo(t, os.WriteFile(w.settings, []byte(changed), 0o600))
	w.startHub(t, io.Discard)
	mustDo(t, w.awaitReady(t.Context()))
	for address, want := range map[string]string{
		w.publicURL + "/assets/passerelle.css": "/assets/dsfr/dsfr.min.css", w.publicURL + "/assets/dsfr/dsfr.min.css": ".fr-btn{}", w.opsURL + "/assets/passerelle.css": "/assets/dsfr/dsfr.min.css",
	} {
		if status, body, err := browse(t.Context(), http.MethodGet, address); err != nil || status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s %v", address, status, body, err)
		}
	}
	if status, body, err := browse(t.Context(), http.MethodGet, w.publicURL+"/assets/dsfr/outside.css"); err != nil || status == http.StatusOK {
		t.Errorf("a file outside the folder is served: %d %s %v", status, body, err)
	}
}

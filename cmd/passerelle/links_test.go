package main

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/httpapi/docs"
	"github.com/passerelle-hub/passerelle/internal/journey"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// The samples of the page of links, as an editor runs them: each link is opened,
// and what it carries is followed to HubEE and to the last page.
func TestTheSamplesOfLinksCarryTheFamilysIDToHubEEAndHerBackToTheEditor(t *testing.T) {
	t.Parallel()
	w := openJourneys(t, &lockedBuffer{})
	w.editorsRight(t)
	const family, back = `famille 42&b=+%20/é`, "https://familles.editeur.example/retour?a=1&b=deux%20mots"
	plain := strings.ReplaceAll(family, "é", "e") // ASCII, with all that an address escapes
	vars := append(os.Environ(), "PATH="+w.commands(t)+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "EDITEUR="+demoEditor, "PASSERELLE="+w.publicURL, "SIRET="+demoCommune.SIRET)
	code, err := docs.Sample("cle-liens.sh")
	mustDo(t, err)
	given := exec.CommandContext(t.Context(), "sh", "-eu", "-c", code.Text)
	given.Env = append(vars, "RETOUR=https://portail.editeur.example/fin/")
	out, err := given.CombinedOutput()
	id, key := wordAfter(string(out), "key_id"), wordAfter(string(out), "key")
	if err != nil || id == "" || !strings.HasPrefix(key, "pel_") {
		t.Fatalf("%v: %s", err, out)
	}
	for sample, command := range map[string][]string{
		"lien.go": {"go", "run"}, "lien.rb": {"ruby"}, "lien.py": {"python3"}, "lien.js": {"node"}, "lien.php": {"php"},
	} {
		t.Run(sample, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("%s is not installed: make setup does it on Debian", command[0])
			}
			code, err := docs.Sample(sample)
			mustDo(t, err)
			file := filepath.Join(t.TempDir(), sample)
			mustDo(t, os.WriteFile(file, []byte(code.Text), 0o600))
			link := func(family, back string) string {
				cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], file)...)
				cmd.Env = append(vars, "ID_CLE="+id, "CLE="+key, "FAMILLE="+family, "RETOUR="+back)
				out, err := cmd.Output()
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					t.Fatalf("%v: %s", err, exit.Stderr)
				}
				mustDo(t, err)
				return strings.TrimSpace(string(out))
			}
			ctx, v := t.Context(), newVisitor()
			mustDo(t, v.open(ctx, link(plain, back)), v.press(ctx, "/demarrer", nil), v.identify(ctx, "fontanel"), v.until(ctx, pageReview))
			if strings.Contains(v.body, "incomplet ou périmé") {
				t.Fatal("the link is not believed")
			}
			if form := w.sends(t, v); form.ExternalID == nil || *form.ExternalID != plain {
				t.Errorf("HubEE holds the id %v", form.ExternalID)
			}
			if !strings.Contains(v.body, `id="retour" href="`+strings.ReplaceAll(back, "&", "&amp;")+`"`) {
				t.Errorf("no way back: %s", v.body)
			}
			// One of the two alone is signed as well.
			receiver, err := w.hub.store.ReceiverByKey(ctx, registry.FolderProcess, demoCommune)
			mustDo(t, err)
			for _, want := range []journey.Entry{{ExternalID: plain}, {ReturnTo: back}} {
				u, err := url.Parse(link(want.ExternalID, want.ReturnTo))
				mustDo(t, err)
				if got, err := w.hub.links().Read(ctx, receiver, u.Query()); err != nil || got != want {
					t.Errorf("%+v is read as %+v, %v", want, got, err)
				}
			}
		})
	}

	// The registered address needs no signature; what only looks like it has no effect.
	receiver, err := w.hub.store.ReceiverByKey(t.Context(), registry.FolderProcess, demoCommune)
	mustDo(t, err)
	for address, believed := range map[string]bool{
		"https://portail.editeur.example/fin/": true, "https://portail.editeur.example/fin/famille?id=3": true,
		"https://portail.editeur.example/": false, "https://portail.editeur.example/fin": false, "https://portail.editeur.example/fin/../compte": false,
		"https://portail.editeur.example/fin/%2e%2e/compte": false, "http://portail.editeur.example/fin/": false, "https://portail.editeur.example:444/fin/": false,
		"https://portail.editeur.example.attaquant.example/fin/": false, "https://portail.editeur.example@attaquant.example/fin/": false,
		"https://attaquant.example/https://portail.editeur.example/fin/": false, "https://portail.editeur.exemple/fin/": false,
		"https://portail-editeur.example/fin/": false, "https://portail.éditeur.example/fin/": false, "https://portail.editeur.example/fin/\n": false,
		"javascript:location='https://portail.editeur.example/fin/'": false, "JAVASCRIPT://portail.editeur.example/fin/%0aalert(1)": false,
		"data:text/html,https://portail.editeur.example/fin/": false, "//portail.editeur.example/fin/": false, `https:\\portail.editeur.example\fin\`: false, "/fin/": false,
	} {
		got, err := w.hub.links().Read(t.Context(), receiver, url.Values{journey.ParamReturnTo: {address}, journey.ParamExternalID: {"42"}})
		if believed != (err == nil) || !believed && (!errors.Is(err, journey.ErrLink) || got != (journey.Entry{})) {
			t.Errorf("%q: %+v, %v", address, got, err)
		}
	}
	v := newVisitor()
	mustDo(t, v.open(t.Context(), w.communePage()+"?redirect_uri="+url.QueryEscape("https://portail.editeur.example.attaquant.example/fin/")),
		v.press(t.Context(), "/demarrer", nil), v.identify(t.Context(), "fontanel"), v.until(t.Context(), pageReview))
	if !strings.Contains(v.body, "incomplet ou périmé") || strings.Contains(v.body, "attaquant") {
		t.Error("she is not told, or the address is printed")
	}
	if w.sends(t, v); strings.Contains(v.body, "attaquant") || strings.Contains(v.body, `id="retour"`) {
		t.Error("the last page leads there")
	}
}

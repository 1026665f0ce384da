package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/docs"
)

// The samples of the page "Démarrer", as a stranger would run them in the demo.
func TestTheSamplesOfTheFirstPageWorkInTheDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	w, err := openWorld(t.Context(), zerolog.Nop(), environment{stdout: os.Stderr, stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	bin := w.commands(t)
	id, secret, _ := strings.Cut(w.application, " / ")
	subscribed := make(chan http.Header, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { subscribed <- r.Header }))
	t.Cleanup(receiver.Close)
	for _, c := range []struct{ sample, says string }{
		{"enregistrer.sh", "client_secret"},
		{"moi.sh", `"kind":"application"`},
		{"personne.sh", `"state":"draft"`},
		{"roles.sh", "dinum:api_entreprise:instructor"},
		{"enregistrer-webhooks.sh", "client_secret"}, // the next one is run by it
		{"abonner.sh", `"scope":"all"`},
	} {
		code, err := docs.Sample(c.sample)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", code.Text)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PASSERELLE="+w.publicURL, "IDENTITE="+w.people.URL(),
			"CLIENT_ID="+id, "CLIENT_SECRET="+secret, "RECEPTEUR="+receiver.URL, "RESPONSABLE=omar.petit@dinum.example", "INSTRUCTEUR=nadia.roux@dinum.example")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v, want %s:\n%s", c.sample, err, c.says, out)
		}
		if c.sample == "enregistrer-webhooks.sh" {
			id, secret = wordAfter(string(out), "client_id"), wordAfter(string(out), "client_secret")
		}
	}
	select {
	case h := <-subscribed:
		if h.Get("webhook-signature") == "" || h.Get("X-Hub-Signature-256") == "" {
			t.Errorf("the test of the subscription is not signed: %v", h)
		}
	default:
		t.Error("the subscription was never tested")
	}
}

// commands is a folder that holds passerelle, the command of this hub.
func (w *world) commands(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	script := "#!/bin/sh\nword=$1\nshift\n" + asHub + "=1 exec '" + os.Args[0] + "' \"$word\" --config '" + w.settings + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "passerelle"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}

func wordAfter(text, word string) string {
	words := strings.Fields(text)
	if i := slices.Index(words, word); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

// The sample for gateways, about a key of the built-in issuer.
func TestTheSampleOfGatewaysAsksAboutAKeyAndEndsIt(t *testing.T) {
	t.Parallel()
	w := openPartnersOnly(t)
	w.startHub(t, io.Discard)
	if err := w.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	g, err := w.approve(t.Context(), "api_entreprise")
	if err != nil {
		t.Fatal(err)
	}
	id, secret, err := w.hub.addClient(t.Context(), "passerelle", []string{"introspect", "revoke"}, []string{"api_entreprise"})
	if err != nil {
		t.Fatal(err)
	}
	code, err := docs.Sample("interroger-cle.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", code.Text)
	cmd.Env = append(os.Environ(), "PASSERELLE="+w.publicURL, "CLIENT_ID="+id.String(), "CLIENT_SECRET="+secret, "CLE="+w.lastKey(t, g, 1))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{`"active":true`, `"aud":"api_entreprise"`, `"siret":"`, `{"active":false}`, `"keys":[`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func (w *world) command(t *testing.T, words ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	status := run(t.Context(), environment{stdout: &out, stderr: &out}, append([]string{words[0], "--config", w.settings}, words[1:]...))
	return status, out.String()
}

func TestConnectorsCheckTellsWhatIsWrongWithEachManager(t *testing.T) {
	t.Parallel()
	w := openByHand(t, io.Discard)
	if status, out := w.command(t, "connectors", "check"); status != 0 || strings.Count(out, "yes") != 3 {
		t.Errorf("sound settings: %d\n%s", status, out)
	}
	for name, c := range map[string]struct {
		fault partnertest.Fault
		says  string
	}{
		"revoked credentials": {partnertest.Status("", http.StatusUnauthorized), "unauthorized"},
		"an HTML page":        {partnertest.HTML("", http.StatusOK), demoManager + ": health"},
		"half an answer":      {partnertest.HalfBody(""), "temporary"},
		"500":                 {partnertest.Status("", http.StatusInternalServerError), "temporary (500)"},
	} {
		w.gravitee.Inject(c.fault)
		if status, out := w.command(t, "connectors", "check"); status != 1 || !strings.Contains(out, c.says) {
			t.Errorf("%s: %d\n%s", name, status, out)
		}
		w.gravitee.ClearFaults()
	}
	raw, err := os.ReadFile(w.settings)
	if err != nil {
		t.Fatal(err)
	}
	// What the settings name and the manager, or the catalogue, does not know.
	text := strings.Replace(string(raw), "plan: "+graviteetest.DemoPlan, "plan: no-such-plan", 1)
	text = strings.Replace(text, "all_scopes: true, instructions", "scopes: {open_data: Données ouvertes}, instructions", 1)
	if err := os.WriteFile(w.settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out := w.command(t, "connectors", "check", "--json")
	out, _, _ = strings.Cut(out, "\n")
	var list []checked
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 1 {
		t.Fatalf("%d %v\n%s", status, err, out)
	}
	for _, c := range list {
		faults := strings.Join(c.Faults, "\n")
		switch c.Name {
		case demoManager:
			if !strings.Contains(faults, "no-such-plan") {
				t.Errorf("an unknown plan: %q", faults)
			}
		case "equipe":
			if !strings.Contains(faults, `the settings map no scope "unites_legales`) || strings.Contains(faults, `"open_data"`) {
				t.Errorf("unmapped scopes: %q", faults)
			}
		}
	}
}

func TestConnectorsPlanSaysWhatAnApprovalWouldDoAndCallsNobody(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	g, err := w.approve(t.Context(), "api_particulier")
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error { _, err := w.provisioned(t.Context(), g); return err })
	calls := w.gravitee.Count("")
	status, out := w.command(t, "connectors", "plan", fmt.Sprintf("D%d", g.Request))
	if status != 0 {
		t.Fatalf("%d %s", status, out)
	}
	for _, part := range []string{demoManager + " (gravitee): change the rights of dp-", "contact_technique", "1 endpoint(s)", "cnaf_quotient_familial"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is not told:\n%s", part, out)
		}
	}
	if strings.Contains(out, "@") {
		t.Errorf("an address is told:\n%s", out)
	}
	if n := w.gravitee.Count(""); n != calls {
		t.Errorf("a plan made %d calls", n-calls)
	}
	for _, wrong := range []string{"D999999", "999999", "-1", "x"} {
		if status, out := w.command(t, "connectors", "plan", "--", wrong); status == 0 {
			t.Errorf("%s: %s", wrong, out)
		}
	}
	if status, out := w.command(t, "connectors", "pause", "nobody"); status != 1 || !strings.Contains(out, "nobody") {
		t.Errorf("a pause of nobody: %d %s", status, out)
	}
	for _, word := range []string{"pause", "resume"} {
		if status, out := w.command(t, "connectors", word, demoManager); status != 0 {
			t.Errorf("%s: %d %s", word, status, out)
		}
		p, err := w.hub.store.Partner(t.Context(), demoManager)
		if err != nil || (p.PausedUntil != nil) != (word == "pause") {
			t.Errorf("%s: %+v, %v", word, p, err)
		}
	}
}

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/httpapi/docs"
)

// The samples of the simulators' pages, as a stranger would run them.
func TestTheSamplesOfTheSimulatorsPagesWork(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("the samples need curl")
	}
	const secret = "un-secret-partage"
	in := func(args ...string) func(*testing.T) []string {
		return func(t *testing.T) []string { return []string{simulating(t, args[1:]...).API, args[0]} }
	}
	for _, c := range []struct {
		sample string
		start  func(*testing.T) []string // address, variable, and so on
		says   []string
	}{
		{"simuler.sh", func(t *testing.T) []string { return []string{simulating(t, "hubee").Admin, "ADMIN"} }, []string{`"kind":"delay"`, `"total":0`, `"subscriptions"`, `"now"`}},
		{"simuler-hubee.sh", in("HUBEE", "hubee"), []string{`"caseNewStatus":"DONE"`, "[]"}},
		{"simuler-franceconnect.sh", in("FRANCECONNECT", "franceconnect"), []string{"eyJ"}},
		{"simuler-api-particulier.sh", in("API", "api-particulier"), []string{`"fournisseur":"CNAF"`, `"fournisseur":"MSA"`}},
		{"simuler-datapass.sh", func(t *testing.T) []string {
			receiver := simulating(t, "receiver", "--secret", secret).API
			return []string{simulating(t, "datapass", "--webhook", receiver+"/datapass", "--webhook-secret", secret).API, "DATAPASS", receiver, "RECEPTEUR"}
		}, []string{`"event":"create"`, `"event":"submit"`, `"event":"approve"`, `"valid":true`}},
		{"simuler-mailbox.sh", func(t *testing.T) []string {
			d := simulating(t, "mailbox")
			return []string{d.API, "COURRIELS", d.SMTP, "RELAIS"}
		}, []string{`"Essai"`}},
		{"simuler-sirene.sh", in("SIRENE", "sirene"), []string{`"denominationUniteLegale":"COMMUNE DE PLOUVENEZ-LA-LANDE"`, `"statut":404`}},
		{"simuler-gravitee.sh", in("GRAVITEE", "gravitee"), []string{`"data":[]`, `"applications"`}},
	} {
		t.Run(c.sample, func(t *testing.T) {
			t.Parallel()
			code, err := docs.Sample(c.sample)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", code.Text)
			cmd.Dir, cmd.Env = t.TempDir(), os.Environ()
			started := c.start(t)
			for i := 0; i < len(started); i += 2 {
				cmd.Env = append(cmd.Env, started[i+1]+"="+started[i])
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range c.says {
				if !strings.Contains(string(out), want) {
					t.Errorf("no %s in\n%s", want, out)
				}
			}
			if strings.Contains(string(out), `"valid":false`) {
				t.Errorf("not valid:\n%s", out)
			}
			if files, err := os.ReadDir(cmd.Dir); c.sample == "simuler-hubee.sh" && (err != nil || len(files) != 3) {
				t.Errorf("%d files were kept: %v", len(files), err)
			}
		})
	}
}

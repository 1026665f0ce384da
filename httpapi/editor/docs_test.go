package editor_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/docs"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

func TestTheQuickStartOfEditorsFetchesAndAcknowledgesAKey(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"sh", "curl", "sed", "sha256sum"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("the sample needs %s", program)
		}
	}
	s := newSite(t)
	g := s.approve(ourEditor)
	add := &registry.AddApplication{Name: "logiciel", Editor: ourEditor, Scopes: auth.EditorScopes()}
	s.record(add)
	sample, err := docs.Sample("lire-cle.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", sample.Text)
	cmd.Env = append(os.Environ(), "PASSERELLE="+s.url, "CLIENT_ID="+add.ID.String(), "CLIENT_SECRET="+add.Secret.Reveal())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "key.acknowledged") {
		t.Fatalf("%v: %s", err, out)
	}
	if n := s.count(`select count(*) from key_copy where credential_id = $1 and ended_how = 'acknowledged'`, g.id); n != 1 {
		t.Error("the key is not acknowledged")
	}
}

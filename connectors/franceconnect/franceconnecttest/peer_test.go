//go:build peers

package franceconnecttest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestARealOpenIDClientLogsACitizenIn runs where PASSERELLE_PEERS names
// openid-client (make peers): npm's library of that name, unchanged, checks the
// signatures of id_token and userinfo.
func TestARealOpenIDClientLogsACitizenIn(t *testing.T) {
	if !slices.Contains(strings.Split(os.Getenv("PASSERELLE_PEERS"), ","), "openid-client") {
		t.Skip("PASSERELLE_PEERS does not name openid-client")
	}
	s := New(Options{})
	t.Cleanup(func() { _ = s.Close() })
	if err := s.SetAuto("dornano"); err != nil {
		t.Fatal(err)
	}
	login := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "node", filepath.Join("..", "..", "..", ".tools", "peers", "openid-client", "login.mjs"))
		cmd.Env = append(os.Environ(), "ISSUER="+s.Issuer(), "CLIENT_ID="+clientID, "CLIENT_SECRET="+secret, "REDIRECT_URI="+callback)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := login()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var claims struct {
		ID     map[string]any `json:"id"`
		Person map[string]any `json:"person"`
	}
	if err := json.Unmarshal([]byte(out), &claims); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if claims.Person["family_name"] != "D'ORNANO-PETIT" || claims.Person["sub"] != claims.ID["sub"] {
		t.Errorf("%s", out)
	}
	// It must refuse what is wrong, else it proved nothing.
	for _, bad := range []Bad{{What: WrongNonce, Where: InIDToken, Times: 1}, {What: UnknownKID, Where: InUserinfo, Times: 1}} {
		if err := s.Misbehave(bad); err != nil {
			t.Fatal(err)
		}
		if out, err := login(); err == nil {
			t.Errorf("took %s: %s", bad.What, out)
		}
	}
}

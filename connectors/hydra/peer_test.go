//go:build peers

package hydra_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// peer is a real Hydra 2.3.0 (peers.md, 3).
type peer struct{ admin, public string }

// TestARealHydraKeepsTheContract runs where PASSERELLE_PEERS names hydra. The
// program is .tools/peers/hydra/bin/hydra (make peers).
func TestARealHydraKeepsTheContract(t *testing.T) {
	if !slices.Contains(strings.Split(os.Getenv("PASSERELLE_PEERS"), ","), "hydra") {
		t.Skip("PASSERELLE_PEERS does not name hydra")
	}
	p := startPeer(t)
	hubs := 0
	conformance.Run(t, func(t *testing.T) *conformance.Fixture {
		front := partnertest.New(partnertest.Options{Name: "hydra"})
		t.Cleanup(func() { _ = front.Close() })
		target, err := url.Parse(p.admin)
		if err != nil {
			t.Fatal(err)
		}
		adminURL, err := front.Listen(hydratest.SideAdmin, "", httputil.NewSingleHostReverseProxy(target))
		if err != nil {
			t.Fatal(err)
		}
		c := settings(adminURL, p.public)
		hubs++ // the peer keeps what other tests left: each has an owner of its own
		owner := fmt.Sprintf("%s-%d", owner, hubs)
		f := fixture(c, func(id string) (registered, bool) {
			var found registered
			return found, get(t, p.admin+"/admin/clients/"+id, &found)
		})
		missing := c
		missing.PublicURL = p.admin
		f.Owner = owner
		f.Manager, f.Misconfigured = open(t, time.Now, c, owner), open(t, time.Now, missing, owner)
		f.Stranger = open(t, time.Now, c, conformance.StrangersName) // of all tests
		f.Now = time.Now
		f.Passes = func(h connectors.Handle, secret connectors.Secret) bool { return p.tokenFor(t, h.Subject, secret) }
		f.Partner = front
		return f
	})
}

func get(t *testing.T, url string, into any) (found bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode == http.StatusOK
}

// tokenFor tells whether the token endpoint takes the secret.
func (p peer) tokenFor(t *testing.T, id string, secret connectors.Secret) bool {
	t.Helper()
	form := strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode())
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.public+"/oauth2/token", form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(id, secret.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the token endpoint answers %s", resp.Status)
	}
	return resp.StatusCode == http.StatusOK
}

func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join("..", "..", ".tools", "peers", "hydra", "bin", "hydra")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("PASSERELLE_PEERS names hydra, and there is no program, make peers builds it: %v", err)
	}
	return path
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func startPeer(t *testing.T) peer {
	t.Helper()
	admin, public := freePort(t), freePort(t)
	config := filepath.Join(t.TempDir(), "hydra.yml")
	text := fmt.Sprintf(`dsn: memory
serve:
  public: {host: 127.0.0.1, port: %d}
  admin: {host: 127.0.0.1, port: %d}
urls:
  self: {issuer: "http://127.0.0.1:%d/"}
secrets:
  system: [test-only-secret-of-32-characters]
strategies: {access_token: jwt}
oauth2:
  hashers: {algorithm: pbkdf2, pbkdf2: {iterations: 1000}}
sqa: {opt_out: true}
log: {level: warn}
`, public, admin, public)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command(program(t), "serve", "all", "--dev", "--sqa-opt-out", "-c", config)
	cmd.Env = append(os.Environ(), "SQA_OPT_OUT=true")
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ended := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the parent-death signal follows the thread
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("hydra:\n%s", output.String())
		}
	})
	p := peer{admin: fmt.Sprintf("http://127.0.0.1:%d", admin), public: fmt.Sprintf("http://127.0.0.1:%d", public)}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(p.admin + "/health/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("hydra is not ready within 10 s: %v", err)
		}
	}
}

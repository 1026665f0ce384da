//go:build peers

package franceconnect

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// TestARealOpenIDProviderPassesTheSuite runs where PASSERELLE_PEERS names
// oidc-provider: version 9.13.3, installed by make peers (peers.md, 4.1).
func TestARealOpenIDProviderPassesTheSuite(t *testing.T) {
	if !slices.Contains(strings.Split(os.Getenv("PASSERELLE_PEERS"), ","), "oidc-provider") {
		t.Skip("PASSERELLE_PEERS does not name oidc-provider")
	}
	clientSecret := rand.Text() + rand.Text()
	base := startPeer(t, clientSecret)
	dial := func(t *testing.T, change ...func(*Config)) *Provider {
		t.Helper()
		c := Default()
		c.Issuer, c.ClientID, c.ClientSecrets = base+"/api/v2", "passerelle", []connectors.Secret{connectors.NewSecret(clientSecret)}
		c.RedirectURI, c.LogoutURI = callback, loggedOut
		for _, one := range change {
			one(&c)
		}
		client, err := outbound.Partner("oidc-provider", c.Settings, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Open(connectors.Deps{Name: "oidc-provider", Now: time.Now, Partner: client}, testMAC)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	suite(t, stage{
		now: time.Now, dial: dial,
		cancels: func(yes bool) {
			order := "/control/agree"
			if yes {
				order = "/control/cancel"
			}
			resp, err := http.Post(base+order, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		},
	})
	t.Run("PKCE, where it is set", func(t *testing.T) {
		p := dial(t, func(c *Config) { c.PKCE = true })
		back := newVisitor(t).visit(t, p)
		if _, err := p.Exchange(t.Context(), back); err != nil {
			t.Error(err)
		}
		without := dial(t)
		if _, err := without.Exchange(t.Context(), newVisitor(t).visit(t, p)); err == nil {
			t.Error("a challenge needs its verifier")
		}
	})
}

// startPeer runs .tools/peers/oidc-provider/op.mjs until the test ends.
func startPeer(t *testing.T, clientSecret string) (base string) {
	t.Helper()
	folder := filepath.Join("..", "..", ".tools", "peers", "oidc-provider")
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		t.Fatalf("PASSERELLE_PEERS names oidc-provider, and it is not installed, make peers does it: %v", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	var output bytes.Buffer
	cmd := exec.Command(node, "op.mjs")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), fmt.Sprintf("PORT=%d", port), "CLIENT_SECRET="+clientSecret, "REDIRECT_URI="+callback, "LOGOUT_URI="+loggedOut)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ended, started := make(chan error, 1), make(chan error, 1)
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
			t.Logf("oidc-provider:\n%s", output.String())
		}
	})
	base = fmt.Sprintf("http://127.0.0.1:%d", port)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(base + "/api/v2" + discoveryPath)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return base
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("oidc-provider is not ready within 10 s: %v", err)
		}
	}
}

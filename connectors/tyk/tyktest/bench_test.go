package tyktest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
)

// One key issued, read back and used in both forms beside 10,000 others.
func BenchmarkIssueAmongTenThousandKeys(b *testing.B) {
	s := tyktest.New(tyktest.Options{})
	b.Cleanup(func() { _ = s.Close() })
	send := func(method, address, key, body string) {
		req, err := http.NewRequestWithContext(b.Context(), method, address, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("X-Tyk-Authorization", tyktest.DefaultSecret)
		req.Header.Set("X-Api-Key", key)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			b.Fatalf("%s %s: %d", method, address, answer.StatusCode)
		}
	}
	issue := func(i int) {
		id := fmt.Sprintf("datapass-%d", i)
		token := tyktest.Token("default", id)
		send("POST", s.ControlURL()+"/tyk/keys/"+id, "", `{"org_id":"default","apply_policies":["dgfip"]}`)
		send("GET", s.ControlURL()+"/tyk/keys/"+tyktest.Hash(token)+"?hashed=true", "", "")
		send("GET", s.ProxyURL()+"/dgfip/", token, "")
		send("GET", s.ProxyURL()+"/dgfip/", id, "")
	}
	const others = 10_000
	for i := range others {
		issue(i)
	}
	i := others
	for b.Loop() {
		issue(i)
		i++
	}
}

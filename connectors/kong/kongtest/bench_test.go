package kongtest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
)

// One key issued and read back at the proxy beside 10,000 others.
func BenchmarkIssueAmongTenThousandKeys(b *testing.B) {
	s := kongtest.New(kongtest.Options{})
	b.Cleanup(func() { _ = s.Close() })
	send := func(method, url, key, body string, want int) {
		req, err := http.NewRequestWithContext(b.Context(), method, url, bytes.NewReader([]byte(body)))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("apikey", key)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			b.Fatalf("%s: %d", method, answer.StatusCode)
		}
	}
	issue := func(i int) {
		name, key := fmt.Sprintf("dp-%d", i), fmt.Sprintf("key-%d", i)
		if _, err := s.AddConsumer(kongtest.Consumer{Username: name, Groups: []string{"dgfip"}}); err != nil {
			b.Fatal(err)
		}
		send("POST", s.AdminURL()+"/consumers/"+name+"/key-auth", "", `{"key":"`+key+`"}`, 201)
		send("GET", s.ProxyURL()+"/dgfip/", key, "", 200)
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

package hydratest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
)

// One client created, found by its owner and used, beside 10,000 others.
func BenchmarkCreateAmongTenThousandClients(b *testing.B) {
	s := hydratest.New(hydratest.Options{})
	b.Cleanup(func() { _ = s.Close() })
	const others = 10_000
	for i := range others {
		if err := s.AddClient(hydratest.Client{ID: fmt.Sprintf("other-%d", i), Owner: fmt.Sprintf("owner-%d", i)}); err != nil {
			b.Fatal(err)
		}
	}
	send := func(method, address, media, body string, want int) {
		req, err := http.NewRequestWithContext(b.Context(), method, address, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", media)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			b.Fatalf("%s %s: %d", method, address, answer.StatusCode)
		}
	}
	i := 0
	for b.Loop() {
		id := fmt.Sprintf("dp-%d", i)
		send("POST", s.AdminURL()+"/admin/clients", "application/json", `{"client_id":"`+id+`","client_secret":"`+id+
			`-secret","owner":"datapass:`+id+`","grant_types":["client_credentials"],"token_endpoint_auth_method":"client_secret_post"}`, 201)
		send("GET", s.AdminURL()+"/admin/clients?owner=datapass:"+id, "", "", 200)
		send("POST", s.PublicURL()+"/oauth2/token", "application/x-www-form-urlencoded",
			"grant_type=client_credentials&client_id="+id+"&client_secret="+id+"-secret", 200)
		i++
	}
}

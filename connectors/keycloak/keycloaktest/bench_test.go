package keycloaktest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
)

// One client created, found by its clientId and by its attribute, and used
// beside 10,000 others.
func BenchmarkCreateAmongTenThousandClients(b *testing.B) {
	s := keycloaktest.New(keycloaktest.Options{AdminTokenLifespan: time.Hour})
	b.Cleanup(func() { _ = s.Close() })
	const others = 10_000
	for i := range others {
		other := keycloaktest.Client{ClientID: fmt.Sprintf("other-%d", i), Attributes: map[string]string{"hub_ref": fmt.Sprint(i)}}
		if _, err := s.AddClient(other); err != nil {
			b.Fatal(err)
		}
	}
	const form = "application/x-www-form-urlencoded"
	token := ""
	send := func(method, address, media, body string, want int) string {
		req, err := http.NewRequestWithContext(b.Context(), method, address, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", media)
		if media != form {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			b.Fatalf("%s %s: %d %s", method, address, answer.StatusCode, text)
		}
		return string(text)
	}
	credentials := "grant_type=client_credentials&client_id=" + s.AdminClient() + "&client_secret=" + s.AdminSecret()
	_, rest, _ := strings.Cut(send("POST", s.TokenURL(), form, credentials, 200), `"access_token":"`)
	token, _, _ = strings.Cut(rest, `"`)
	i := 0
	for b.Loop() {
		id := fmt.Sprintf("dp-%d", i)
		send("POST", s.AdminURL()+"/clients", "application/json", `{"clientId":"`+id+`","secret":"`+id+
			`-secret","serviceAccountsEnabled":true,"attributes":{"hub_ref":"`+id+`"}}`, 201)
		send("GET", s.AdminURL()+"/clients?clientId="+id, "", "", 200)
		send("GET", s.AdminURL()+"/clients?q=hub_ref:"+id, "", "", 200)
		send("POST", s.TokenURL(), form, "grant_type=client_credentials&client_id="+id+"&client_secret="+id+"-secret", 200)
		i++
	}
}

package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/internal/jose"
)

func publicKey(t testing.TB) json.RawMessage {
	t.Helper()
	k, err := jose.GenerateDecryptionKey(jose.P256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := k.Recipient().JWK()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestABadKeyOfAHolderIsRefusedAndTheOldOneStays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.people()
	r := s.in(p, "validated", "api_entreprise", s.data("api_entreprise", nil))
	path := fmt.Sprintf("/requests/%d/recipient-key", r.ID)
	s.call(http.MethodPut, path, p.applicant, publicKey(t)).into(http.StatusNoContent, nil)
	for body, want := range map[string]string{
		`{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}`: "422 jwk-privee /d", `{"kty":"RSA"}`: "422 jwk ",
		"{": "422 jwk ", strings.Repeat(" ", 9<<10): "413 corps-trop-grand",
	} {
		if got := s.call(http.MethodPut, path, p.applicant, body).problem(); got != want {
			t.Errorf("%.40s: %q, want %q", body, got, want)
		}
	}
	if n := s.count(`select count(*) from recipient_key where recipient = $1`, fmt.Sprintf("request/%d", r.ID)); n != 1 {
		t.Errorf("%d keys", n)
	}
}

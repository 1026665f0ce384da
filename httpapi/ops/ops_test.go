package ops_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/passerelle-hub/passerelle/httpapi/ops"
)

func TestAnAddressThatGuessesPasswordsIsHeldBackAndNoOther(t *testing.T) {
	t.Parallel()
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	h := &ops.Handler{
		Users:   []ops.User{{Name: "claire", Check: func(p string) bool { return ops.SamePassword(p, "correct-horse") }}},
		Metrics: ok, Queues: ok, Assets: ok,
	}
	router, err := h.Router()
	if err != nil {
		t.Fatal(err)
	}
	call := func(address, password string) int {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.RemoteAddr = address + ":40000"
		if password != "" {
			r.SetBasicAuth("claire", password)
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		return w.Code
	}
	for range 30 {
		if status := call("192.0.2.1", "correct-horse"); status != http.StatusOK {
			t.Fatalf("the right password answers %d", status)
		}
		if status := call("192.0.2.1", ""); status != http.StatusUnauthorized {
			t.Fatalf("no password answers %d", status)
		}
	}
	guesses := 0
	for call("192.0.2.1", "guess") == http.StatusUnauthorized {
		if guesses++; guesses > 50 {
			t.Fatal("fifty guesses in a row were heard")
		}
	}
	if guesses < 5 {
		t.Errorf("held back after %d guesses: a person mistypes too", guesses)
	}
	if status := call("192.0.2.1", "correct-horse"); status != http.StatusTooManyRequests {
		t.Errorf("held back, the right password answers %d: it tells that it is right", status)
	}
	if status := call("192.0.2.2", "correct-horse"); status != http.StatusOK {
		t.Errorf("another address answers %d", status)
	}
}

package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAnEndpointAddedByCommandIsTestedBeforeItIsEnabled(t *testing.T) {
	t.Parallel()
	w := openPartnersOnly(t)
	w.startHub(t, io.Discard)
	var calls, status atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	defer receiver.Close()
	add := func(want int, path string, more ...string) string {
		t.Helper()
		var out bytes.Buffer
		args := append([]string{"webhooks", "--config", w.settings, "--definition", "api_particulier", "--url", receiver.URL + path}, more...)
		if got := run(t.Context(), environment{stdout: &out, stderr: &out}, args); got != want {
			t.Errorf("%s: status %d, said %s", path, got, out.String())
		}
		return out.String()
	}
	enabled := func(path string) (yes bool) {
		t.Helper()
		if err := w.hub.pool.QueryRow(t.Context(), `select enabled from endpoint where url = $1`, receiver.URL+path).Scan(&yes); err != nil {
			t.Fatal(path, err)
		}
		return yes
	}
	status.Store(http.StatusInternalServerError)
	if said := add(1, "/sick"); enabled("/sick") || calls.Load() != 1 || !strings.Contains(said, "status 500") || !strings.Contains(said, "secret (Standard Webhooks)") {
		t.Errorf("after a test that failed: %d calls, said %s", calls.Load(), said)
	}
	if add(0, "/blamed", "--untested"); !enabled("/blamed") || calls.Load() != 1 {
		t.Errorf("untested: %d calls", calls.Load())
	}
	status.Store(http.StatusOK)
	if said := add(0, "/well"); !enabled("/well") || calls.Load() != 2 || !strings.Contains(said, "is enabled") {
		t.Errorf("after a test that passed: %d calls, said %s", calls.Load(), said)
	}
	if said := add(2, "/none", "--definition", "api_inconnue"); strings.Contains(said, "secret (") {
		t.Errorf("an unknown definition: %s", said)
	}
}

package jose

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// partner is an issuer's jwks_uri on loopback, with faults.
type partner struct {
	*httptest.Server
	calls atomic.Int32

	mu     sync.Mutex
	keys   []PublicKey
	answer func(w http.ResponseWriter, r *http.Request) // instead of the keys
}

func newPartner(t *testing.T, keys ...PublicKey) *partner {
	t.Helper()
	p := &partner{keys: keys}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.calls.Add(1)
		p.mu.Lock()
		answer, keys := p.answer, p.keys
		p.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		doc := struct {
			Keys []json.RawMessage `json:"keys"`
		}{}
		for _, k := range keys {
			data, err := k.JWK()
			if err != nil {
				t.Error(err)
			}
			doc.Keys = append(doc.Keys, data)
		}
		w.Header().Set("Content-Type", "application/jwk-set+json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(doc)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *partner) set(answer func(http.ResponseWriter, *http.Request), keys ...PublicKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer, p.keys = answer, keys
}

func (p *partner) remote(t *testing.T, c *clock) *RemoteKeys {
	t.Helper()
	r, err := NewRemoteKeys(RemoteConfig{URL: p.URL + "/jwks", Client: p.Client(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (p *partner) wantCalls(t *testing.T, want int32) {
	t.Helper()
	if got := p.calls.Load(); got != want {
		t.Errorf("the partner was asked %d times, want %d", got, want)
	}
}

func TestKeysAreFetchedOnceAndKept(t *testing.T) {
	k := mustKey(t, ES256).Public()
	c, p := newClock(), newPartner(t, k)
	r := p.remote(t, c)
	p.wantCalls(t, 0)
	for range 3 {
		got, err := r.Key(t.Context(), k.KID())
		if err != nil || !got.Equal(k) {
			t.Fatal(err)
		}
		c.pass(19 * time.Minute)
	}
	p.wantCalls(t, 1)
}

func TestAnUnknownKeyIsAskedForOnceEvery30Seconds(t *testing.T) {
	k, next := mustKey(t, ES256).Public(), mustKey(t, ES256).Public()
	c, p := newClock(), newPartner(t, k)
	r := p.remote(t, c)
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		_, err := r.Key(t.Context(), "forged-id")
		wantFault(t, err, ErrUnknownKey)
		c.pass(5 * time.Second)
	}
	p.wantCalls(t, 1) // 25 s after the first
	p.set(nil, k, next)
	_, err := r.Key(t.Context(), next.KID())
	wantFault(t, err, ErrUnknownKey)
	c.pass(5 * time.Second)
	if _, err := r.Key(t.Context(), next.KID()); err != nil {
		t.Error(err)
	}
	if _, err := r.Key(t.Context(), k.KID()); err != nil {
		t.Error(err)
	}
	p.wantCalls(t, 2)
}

func TestManyWaitForOneFetch(t *testing.T) {
	k := mustKey(t, EdDSA).Public()
	c, p := newClock(), newPartner(t, k)
	r := p.remote(t, c)
	arrived, release := make(chan struct{}), make(chan struct{})
	p.set(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived) // a second call would panic here
		<-release
		data, _ := k.JWK()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"keys":[` + string(data) + `]}`))
	})
	var wg sync.WaitGroup
	errs := make(chan error, 50)
	for range cap(errs) {
		wg.Go(func() {
			_, err := r.Key(context.Background(), k.KID())
			errs <- err
		})
	}
	<-arrived
	close(release)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	p.wantCalls(t, 1)
}

func TestOneWhoLeavesDoesNotStopTheFetchForTheOthers(t *testing.T) {
	k := mustKey(t, EdDSA).Public()
	c, p := newClock(), newPartner(t)
	r := p.remote(t, c)
	arrived, release := make(chan struct{}), make(chan struct{})
	p.set(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		data, _ := k.JWK()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"keys":[` + string(data) + `]}`))
	})
	leaver, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := r.Key(leaver, k.KID())
		left <- err
	}()
	<-arrived
	leave()
	err := <-left
	wantFault(t, err, ErrKeysUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	if _, err := r.Key(t.Context(), k.KID()); err != nil {
		t.Error(err)
	}
	p.wantCalls(t, 1)
}

func TestAnAgedSetServesWhileItIsFetchedAgain(t *testing.T) {
	k, next := mustKey(t, ES256).Public(), mustKey(t, ES256).Public()
	c, p := newClock(), newPartner(t, k)
	r := p.remote(t, c)
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	fetched := make(chan struct{})
	p.set(func(w http.ResponseWriter, _ *http.Request) {
		data, _ := next.JWK()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"keys":[` + string(data) + `]}`))
		close(fetched)
	})
	c.pass(time.Hour)
	if _, err := r.Key(t.Context(), k.KID()); err != nil {
		t.Fatalf("while the set is fetched again: %v", err)
	}
	<-fetched
	if err := r.Refresh(t.Context()); err != nil { // waits for the fetch under way
		t.Fatal(err)
	}
	_, err := r.Key(t.Context(), k.KID())
	wantFault(t, err, ErrUnknownKey)
	if _, err := r.Key(t.Context(), next.KID()); err != nil {
		t.Error(err)
	}
	p.wantCalls(t, 2)
}

func TestAWithdrawnKeyDiesAfterSixHoursEvenIfThePartnerIsDown(t *testing.T) {
	k := mustKey(t, ES256).Public()
	c, p := newClock(), newPartner(t, k)
	r := p.remote(t, c)
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	c.pass(6*time.Hour - time.Second)
	if _, err := r.Key(t.Context(), k.KID()); err != nil {
		t.Errorf("just before: %v", err)
	}
	c.pass(time.Second)
	_, err := r.Key(t.Context(), k.KID())
	wantFault(t, err, ErrKeysUnavailable)
}

func TestFaultsOfThePartnerSayNothingOfTheToken(t *testing.T) {
	k := mustKey(t, ES256).Public()
	data, err := k.JWK()
	if err != nil {
		t.Fatal(err)
	}
	write := func(status int, contentType, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"503":                 write(http.StatusServiceUnavailable, "application/json", `{"keys":[]}`),
		"an HTML page":        write(http.StatusOK, "text/html", `<html>`),
		"HTML called JSON":    write(http.StatusOK, "application/json", `<html>`),
		"no content type":     write(http.StatusOK, "", `{"keys":[]}`),
		"JSON that is no set": write(http.StatusOK, "application/json", `{"error":"x"}`),
		"more than 256 KiB":   write(http.StatusOK, "application/json", `{"keys":[`+string(data)+`],"x":"`+strings.Repeat("x", maxJWKS)+`"}`),
		"a reset":             func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half a body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "999")
			write(200, "application/json", `{"keys"`)(w, nil)
		},
		"a redirect elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "ftp://elsewhere/", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := newClock(), newPartner(t)
			p.set(answer)
			r := p.remote(t, c)
			_, err := r.Key(t.Context(), k.KID())
			wantFault(t, err, ErrKeysUnavailable)
			_, err = r.Key(t.Context(), k.KID())
			wantFault(t, err, ErrKeysUnavailable) // within 30 s: the outcome of the first, without a call
			p.wantCalls(t, 1)
			p.set(nil, k)
			c.pass(RefetchEvery)
			if _, err := r.Key(t.Context(), k.KID()); err != nil {
				t.Errorf("when the partner is well again: %v", err)
			}
		})
	}
}

func TestAVerifierFollowsTheRotationOfAnOutsideIssuer(t *testing.T) {
	old, fresh := mustKey(t, ES256), mustKey(t, ES256)
	c, p := newClock(), newPartner(t, old.Public())
	v := Verifier{Issuer: issuer, Audience: audience, Algs: []Alg{ES256}, Keys: p.remote(t, c), Now: func() time.Time { return now }}
	token := func(k PrivateKey) string {
		return forge(t, goodHeader(k, object{"typ": nil}), goodPayload(nil), signWith(t, k))
	}
	if _, err := v.Verify(t.Context(), token(old)); err != nil {
		t.Fatal(err)
	}
	p.set(nil, fresh.Public())
	c.pass(RefetchEvery)
	if _, err := v.Verify(t.Context(), token(fresh)); err != nil {
		t.Errorf("the new key: %v", err)
	}
	_, err := v.Verify(t.Context(), token(old))
	wantFault(t, err, ErrUnknownKey)
}

func TestRemoteKeysNeedSoundSettings(t *testing.T) {
	c := newClock()
	for name, config := range map[string]RemoteConfig{
		"no URL":                  {Client: http.DefaultClient, Now: c.now},
		"no client":               {URL: "http://127.0.0.1/", Now: c.now},
		"no clock":                {URL: "http://127.0.0.1/", Client: http.DefaultClient},
		"a TTL under 30 s":        {URL: "http://127.0.0.1/", Client: http.DefaultClient, Now: c.now, TTL: time.Second},
		"staler than it may last": {URL: "http://127.0.0.1/", Client: http.DefaultClient, Now: c.now, TTL: time.Hour, MaxStale: time.Minute},
	} {
		if _, err := NewRemoteKeys(config); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := NewRemoteKeys(RemoteConfig{URL: "http://bad host/", Client: http.DefaultClient, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Key(t.Context(), "any")
	wantFault(t, err, ErrKeysUnavailable)
}

package webhooktest

import (
	"compress/gzip"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func TestMisbehaviours(t *testing.T) {
	t.Parallel()
	ctx := t.Context()

	do := func(t *testing.T, m Misbehaviour) (*Server, *http.Response, error) {
		t.Helper()
		s, base := newServer(t, Options{})
		s.Misbehave(m)
		answer, err := plain().Do(signed(ctx, base+"/x", "evt_1", "{}"))
		if err == nil {
			t.Cleanup(func() { _ = answer.Body.Close() })
		}
		if got := s.ByID("evt_1"); len(got) != 1 || !got[0].Valid {
			t.Errorf("the delivery is not recorded: %+v", got)
		}
		return s, answer, err
	}

	t.Run("a body without end", func(t *testing.T) {
		t.Parallel()
		_, answer, err := do(t, Misbehaviour{Kind: StreamForever})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, answer.Body, 20<<20); err != nil || answer.StatusCode != 200 {
			t.Errorf("%d bytes, %v", n, err)
		}
	})

	t.Run("a byte at a time", func(t *testing.T) {
		t.Parallel()
		_, answer, err := do(t, Misbehaviour{Kind: Drip, Every: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, answer.Body, 10); err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})

	t.Run("a gzip bomb", func(t *testing.T) {
		t.Parallel()
		_, answer, err := do(t, Misbehaviour{Kind: GzipBomb})
		if err != nil {
			t.Fatal(err)
		}
		sent := &counter{r: answer.Body}
		reader, err := gzip.NewReader(sent)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyN(io.Discard, reader, 64<<20)
		if err != nil || answer.Header.Get("Content-Encoding") != "gzip" || sent.n > n/500 {
			t.Errorf("%d bytes out of %d, %v", n, sent.n, err)
		}
	})

	t.Run("half a body", func(t *testing.T) {
		t.Parallel()
		_, answer, err := do(t, Misbehaviour{Kind: HalfBody})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 {
			t.Errorf("%q %v", body, err)
		}
	})

	t.Run("huge headers", func(t *testing.T) {
		t.Parallel()
		_, answer, err := do(t, Misbehaviour{Kind: HugeHeader})
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for name, values := range answer.Header {
			size += len(name) + len(values[0])
		}
		if size < 2_000_000 {
			t.Errorf("%d bytes of headers", size)
		}
	})

	t.Run("a redirect, once", func(t *testing.T) {
		t.Parallel()
		s, answer, err := do(t, Misbehaviour{Kind: Redirect, Times: 1, Location: "http://169.254.169.254/latest/"})
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != 307 || answer.Header.Get("Location") != "http://169.254.169.254/latest/" {
			t.Errorf("%d %v", answer.StatusCode, answer.Header)
		}
		if _, bad := s.misbehaviour("/x"); bad {
			t.Error("a second time")
		}
	})

	t.Run("one path only", func(t *testing.T) {
		t.Parallel()
		s, base := newServer(t, Options{})
		s.Misbehave(Misbehaviour{Kind: Redirect, Path: "/bad", Location: "/", Status: 302})
		if status, _, _ := post(t, base+"/good", "evt_1", "{}"); status != 200 {
			t.Errorf("/good: %d", status)
		}
		if status, _, _ := post(t, base+"/bad", "evt_2", "{}"); status != 302 {
			t.Errorf("/bad: %d", status)
		}
		s.StopMisbehaving()
		if status, _, _ := post(t, base+"/bad", "evt_3", "{}"); status != 200 {
			t.Errorf("/bad, cured: %d", status)
		}
	})
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func TestAnswersWithoutEndStopWithTheReceiver(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{})
	s.Misbehave(Misbehaviour{Kind: Drip, Every: time.Hour})
	answer, err := plain().Do(signed(t.Context(), base, "evt_1", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(answer.Body); err == nil {
		t.Error("the answer ended well")
	}
}

func TestTheFaultsOfTheBaseStrikeToo(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{})
	s.Inject(partnertest.ResetAfter("POST /**").For(1), partnertest.Status("POST /**", 500).For(1))
	if _, err := plain().Do(signed(t.Context(), base, "evt_1", "{}")); err == nil {
		t.Error("the answer was not lost")
	}
	if got := s.ByID("evt_1"); len(got) != 1 {
		t.Errorf("the work was not done before the answer was lost: %+v", got)
	}
	if status, _, _ := post(t, base, "evt_1", "{}"); status != 500 {
		t.Errorf("%d", status)
	}
	if status, _, _ := post(t, base, "evt_1", "{}"); status != 200 || s.Totals().Repeats != 1 {
		t.Errorf("%d %+v", status, s.Totals())
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	for kind, trusted := range map[Certificate]bool{Good: true, Expired: false, WrongHost: false, SelfSigned: false} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s, _ := newServer(t, Options{})
			base, err := s.StartTLS("", kind)
			if err != nil {
				t.Fatal(err)
			}
			roots, err := s.RootCAs()
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 10 * time.Second}
			answer, err := client.Do(signed(t.Context(), base, "evt_1", "{}"))
			if err == nil {
				_ = answer.Body.Close()
			}
			var refused *tls.CertificateVerificationError
			if trusted != (err == nil) || (!trusted && !errors.As(err, &refused)) {
				t.Errorf("%v", err)
			}
			if got := s.Totals().Unique; (got == 1) != trusted {
				t.Errorf("%d deliveries", got)
			}
		})
	}
	s, _ := newServer(t, Options{})
	if _, err := s.StartTLS("", "perfect"); err == nil {
		t.Error("a certificate that does not exist is issued")
	}
}

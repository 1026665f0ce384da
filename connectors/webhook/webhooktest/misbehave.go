package webhooktest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kind names a way to misbehave that needs the connection itself.
type Kind string

// The ways to misbehave. In all of them the delivery was received and is recorded.
const (
	// StreamForever answers 200 and a body that never ends, as fast as it is read.
	StreamForever Kind = "stream_forever"
	// Drip answers 200 and a body of one byte each Misbehaviour.Every, without end.
	Drip Kind = "drip"
	// GzipBomb answers 200 and ten megabytes of gzip that make ten gigabytes.
	GzipBomb Kind = "gzip_bomb"
	// HalfBody promises a body and closes the connection in the middle of it.
	HalfBody Kind = "half_body"
	// HugeHeader answers with two megabytes of headers.
	HugeHeader Kind = "huge_header"
	// Redirect answers Misbehaviour.Status (default 307) to Misbehaviour.Location.
	Redirect Kind = "redirect"
)

// Misbehaviour is what goes wrong with the deliveries to a path.
type Misbehaviour struct {
	Kind     Kind          `json:"kind"`
	Path     string        `json:"path,omitempty"`  // "": any
	Times    int           `json:"times,omitempty"` // 0: until StopMisbehaving
	Status   int           `json:"status,omitempty"`
	Location string        `json:"location,omitempty"`
	Every    time.Duration `json:"every_ns,omitempty"`
}

func (m Misbehaviour) valid() error {
	switch m.Kind {
	case StreamForever, GzipBomb, HalfBody, HugeHeader:
	case Drip:
		if m.Every <= 0 {
			return fmt.Errorf("webhooktest: drip needs a positive every")
		}
	case Redirect:
		if m.Location == "" || (m.Status != 0 && (m.Status < 300 || m.Status > 399)) {
			return fmt.Errorf("webhooktest: redirect needs a location, and a status of 3xx or none")
		}
	default:
		return fmt.Errorf("webhooktest: unknown kind %q", m.Kind)
	}
	return nil
}

type misbehaving struct {
	Misbehaviour
	done int
}

// Misbehave puts misbehaviours in place. One that is not valid panics: it is a
// mistake in the test that wrote it.
func (s *Server) Misbehave(list ...Misbehaviour) {
	for _, m := range list {
		if err := m.valid(); err != nil {
			panic(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range list {
		s.misbehaviours = append(s.misbehaviours, &misbehaving{Misbehaviour: m})
	}
}

// StopMisbehaving removes all misbehaviours.
func (s *Server) StopMisbehaving() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misbehaviours = nil
}

func (s *Server) misbehaviour(path string) (Misbehaviour, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.misbehaviours {
		if (m.Path == "" || m.Path == path) && (m.Times == 0 || m.done < m.Times) {
			m.done++
			return m.Misbehaviour, true
		}
	}
	return Misbehaviour{}, false
}

// do answers badly. It ends when the client goes away or the receiver closes.
func (m Misbehaviour) do(ctx context.Context, w http.ResponseWriter) {
	out := http.NewResponseController(w)
	switch m.Kind {
	case StreamForever:
		w.Header().Set("Content-Type", "application/json")
		chunk := []byte(strings.Repeat(" ", 32<<10))
		for ctx.Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
		panic(http.ErrAbortHandler) // an answer without end does not end well
	case Drip:
		w.Header().Set("Content-Type", "application/json")
		tick := time.NewTicker(m.Every)
		defer tick.Stop()
		for {
			if _, err := w.Write([]byte(" ")); err != nil || out.Flush() != nil {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				panic(http.ErrAbortHandler)
			}
		}
	case GzipBomb:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		member := gzipMember()
		for range 10 << 10 {
			if _, err := w.Write(member); err != nil || ctx.Err() != nil {
				return
			}
		}
	case HalfBody:
		body := `{"token_id":"5f0e1a52-2c1b-4c43-9f0d-6a7b8c9d0e1f"}`
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write([]byte(body[:len(body)/2]))
		_ = out.Flush()
		panic(http.ErrAbortHandler)
	case HugeHeader:
		for i := range 200 {
			w.Header().Set(fmt.Sprintf("X-Huge-%d", i), strings.Repeat("x", 10<<10))
		}
		w.WriteHeader(http.StatusOK)
	case Redirect:
		status := m.Status
		if status == 0 {
			status = http.StatusTemporaryRedirect
		}
		w.Header().Set("Location", m.Location)
		w.WriteHeader(status)
	}
}

// gzipMember is a megabyte of spaces in a kilobyte. Members that follow each
// other are one gzip file (RFC 1952, 2.2).
var gzipMember = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	// Writing to memory, at a level that exists, does not fail.
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
	_ = w.Close()
	return out.Bytes()
})

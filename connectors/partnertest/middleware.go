package partnertest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// Wrap gives h with everything of this package around it, in this order:
// latency, hooks before, faults before, the work, hooks after, faults after,
// the answer. Answers are held whole in memory: h cannot stream.
func (s *Server) Wrap(side string, h http.Handler) http.Handler {
	admin := s.adminHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, adminPrefix) {
			admin.ServeHTTP(w, r)
			return
		}
		s.serve(side, h, w, r)
	})
}

func (s *Server) serve(side string, h http.Handler, w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	if s.opts.Dated {
		w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
	}
	call := &rawCall{
		Call: Call{
			Side: side, Method: r.Method, Header: r.Header.Clone(), At: s.Now(),
			Correlation: firstOf(r.Header.Get("X-Correlation-Id"), r.Header.Get("X-Request-Id")),
		},
		rawPath: r.URL.Path, rawQuery: r.URL.RawQuery, escaped: r.URL.EscapedPath(),
	}
	s.log.open(call)
	// Logged before the answer leaves: who has the answer finds the call over.
	end := func(status int) {
		over := false
		s.log.update(call, func(c *Call) {
			if !c.Done {
				c.Status, c.Took, c.Done, over = status, time.Since(started), true, true
			}
		})
		if over && s.opts.Run.Log != nil {
			s.opts.Run.Log(s.redacted(call))
		}
	}
	// A call that ends without an answer still ends in the log.
	defer end(0)
	if !s.wait(s.latencyOf(r)) {
		panic(http.ErrAbortHandler)
	}
	s.hooks.run(before, s.redacted(call), call.rawPath)

	delays, fatal := s.faults.strike(side, r.Method, r.URL.Path)
	if fatal != nil {
		s.log.update(call, func(c *Call) { c.Fault = fatal.Kind })
	}
	if !s.delay(delays, false) {
		panic(http.ErrAbortHandler)
	}

	var a *answer
	if fatal == nil || fatal.After {
		var route string
		a, route = work(h, r)
		s.log.update(call, func(c *Call) { c.Worked, c.Route, c.Status = true, route, a.status })
		s.hooks.run(after, s.redacted(call), call.rawPath)
		if !s.delay(delays, true) {
			panic(http.ErrAbortHandler)
		}
	}
	if fatal != nil {
		a = s.fail(*fatal, a, w, r, end)
	}
	end(a.status)
	a.send(w)
}

// fail replaces the answer, or ends the call without one.
func (s *Server) fail(f Fault, a *answer, w http.ResponseWriter, r *http.Request, end func(int)) *answer {
	switch f.Kind {
	case KindAnswer:
		return &answer{status: f.Status, header: f.Header.Clone(), body: *bytes.NewBufferString(f.Body)}
	case KindHalfBody:
		// An answer without a body has no half: its connection is reset.
		if a.body.Len() > 0 {
			end(a.status)
			a.sendHalf(w)
			panic(http.ErrAbortHandler)
		}
		end(0)
		reset(w)
	case KindHang:
		s.hang(r)
	case KindReset:
		end(0)
		reset(w)
	case KindDelay:
	}
	panic(http.ErrAbortHandler)
}

func (s *Server) latencyOf(r *http.Request) time.Duration {
	s.mu.Lock()
	latency := s.latency
	s.mu.Unlock()
	if latency == nil {
		return 0
	}
	return latency(r)
}

func (s *Server) delay(delays []Fault, afterWork bool) bool {
	for _, f := range delays {
		if f.After == afterWork && !s.wait(f.Delay) {
			return false
		}
	}
	return true
}

// wait holds the call for d, and reports whether the simulator is still up. A
// client that gave up is not noticed: real partners work on too.
func (s *Server) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stopping.Done():
		return false
	}
}

// hang waits for the client to give up. The server sees that only once the
// request's body has been read.
func (s *Server) hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case <-r.Context().Done():
	case <-s.stopping.Done():
	}
}

func (s *Server) redacted(call *rawCall) Call {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.secrets.redact(call)
}

// answer is what the partner would send.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (a *answer) send(w http.ResponseWriter) {
	a.sendHeader(w)
	_, _ = w.Write(a.body.Bytes())
}

// sendHalf promises the whole body and sends half of it.
func (a *answer) sendHalf(w http.ResponseWriter) {
	a.sendHeader(w)
	_, _ = w.Write(a.body.Bytes()[:a.body.Len()/2])
	_ = http.NewResponseController(w).Flush()
}

func (a *answer) sendHeader(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.body.Len() > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(a.body.Len()))
	}
	w.WriteHeader(a.status)
}

// work runs the partner's handler and gives its answer and the pattern that
// its router picked.
func work(h http.Handler, r *http.Request) (*answer, string) {
	a := &answer{header: http.Header{}}
	routing := chi.NewRouteContext()
	if routes, ok := h.(chi.Routes); ok {
		// chi keeps the pattern in a context of its own unless it finds one.
		routing.Routes = routes
		r = r.WithContext(context.WithValue(r.Context(), chi.RouteCtxKey, routing))
	}
	h.ServeHTTP(a, r)
	a.WriteHeader(http.StatusOK)
	pattern := firstOf(routing.RoutePattern(), r.Pattern)
	if _, path, ok := strings.Cut(pattern, " "); ok {
		pattern = path // ServeMux's pattern begins with the method
	}
	return a, pattern
}

// reset closes the connection so that the client sees a TCP reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // HTTP/2 or a recorder: the caller's abort closes the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

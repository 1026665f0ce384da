package apiparticuliertest

import (
	"net/http"
	"strconv"
	"time"
)

// window counts the calls of one caller in a fixed span of the partner's clock.
type window struct {
	span  time.Duration
	limit int
	begin time.Time
	count int
}

// take counts one call and says whether it passes.
func (w *window) take(now time.Time) bool {
	if now.Sub(w.begin) >= w.span {
		w.begin, w.count = now.Truncate(w.span), 0
	}
	w.count++
	return w.limit < 0 || w.count <= w.limit
}

func (w *window) reset() time.Time { return w.begin.Add(w.span) }

// allow counts the call against each window, writes the headers of the narrowest
// and refuses when one is full. It needs the lock.
func (s *Server) allow(header http.Header, windows ...*window) []failure {
	now := s.Now()
	var refusedBy *window
	for _, w := range windows {
		if !w.take(now) {
			refusedBy = w
		}
	}
	shown := windows[0]
	if refusedBy != nil {
		shown = refusedBy
	}
	if shown.limit >= 0 {
		header.Set("RateLimit-Limit", strconv.Itoa(shown.limit))
		header.Set("RateLimit-Remaining", strconv.Itoa(max(0, shown.limit-shown.count)))
		header.Set("RateLimit-Reset", strconv.FormatInt(shown.reset().Unix(), 10))
	}
	if refusedBy == nil {
		return nil
	}
	return fail("quota", func(f *failure) { f.after = refusedBy.reset().Sub(now) })
}

// allowFranceConnect counts by address, whether the token is good or not.
func (s *Server) allowFranceConnect(header http.Header, ip string) []failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allow(header,
		s.window("fc minute "+ip, time.Minute, s.switches.FCPerMinute),
		s.window("fc hour "+ip, time.Hour, s.switches.FCPerHour))
}

// allowKey counts by habilitation: its classic key and its editors' share it.
func (s *Server) allowKey(header http.Header, habilitation string) []failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.switches.Numbering == April {
		return s.allow(header, s.window("key second "+habilitation, time.Second, 20))
	}
	return s.allow(header, s.window("key minute "+habilitation, time.Minute, s.switches.KeyPerMinute))
}

// window needs the lock.
func (s *Server) window(name string, span time.Duration, limit int) *window {
	w := s.windows[name]
	if w == nil {
		w = &window{span: span}
		s.windows[name] = w
	}
	w.limit = limit
	return w
}

const banSpan = 5 * time.Minute

// banned says whether the address is out; note counts what was refused to it.
func (s *Server) banned(ip string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Now().Before(s.bans[ip])
}

func (s *Server) note(ip string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.switches.BanAfter <= 0 || status < 400 || status >= 500 {
		return
	}
	if !s.window("refusals "+ip, banSpan, s.switches.BanAfter-1).take(s.Now()) {
		s.bans[ip] = s.Now().Add(banSpan)
	}
}

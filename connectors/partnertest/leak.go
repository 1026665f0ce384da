package partnertest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Leak is a registered secret that was seen in the URL of a call. It does not
// hold the secret.
type Leak struct {
	Seq    int    `json:"seq"`
	Side   string `json:"side"`
	Method string `json:"method"`
	Path   string `json:"path"`  // redacted
	Where  string `json:"where"` // "path" or "query"
}

// secrets are the registered values, by length: a URL is searched by sliding a
// window of each length over it, which costs the same for one value or thousands.
type secrets struct {
	byLength map[int]map[string]struct{}
	declared []Route
}

func (s *secrets) add(values []string) {
	if s.byLength == nil {
		s.byLength = map[int]map[string]struct{}{}
	}
	for _, value := range values {
		if value == "" {
			continue
		}
		set := s.byLength[len(value)]
		if set == nil {
			set = map[string]struct{}{}
			s.byLength[len(value)] = set
		}
		set[value] = struct{}{}
	}
}

func (s *secrets) in(text string) bool {
	for length, set := range s.byLength {
		for start := 0; start+length <= len(text); start++ {
			if _, ok := set[text[start:start+length]]; ok {
				return true
			}
		}
	}
	return false
}

func (s *secrets) clean(text string) string {
	// Longest first: a secret may contain another.
	lengths := make([]int, 0, len(s.byLength))
	for length := range s.byLength {
		lengths = append(lengths, length)
	}
	slices.SortFunc(lengths, func(a, b int) int { return b - a })
	for _, length := range lengths {
		for start := 0; start+length <= len(text); start++ {
			if _, ok := s.byLength[length][text[start:start+length]]; ok {
				text = text[:start] + Redacted + text[start+length:]
				start += len(Redacted) - 1
			}
		}
	}
	return text
}

func (s *secrets) leaksIn(calls []*rawCall) []Leak {
	var leaks []Leak
	for _, c := range calls {
		if slices.ContainsFunc(s.declared, func(r Route) bool { return r.Matches(c.Side, c.Method, c.rawPath) }) {
			continue
		}
		leak := Leak{Seq: c.Seq, Side: c.Side, Method: c.Method, Path: s.clean(c.rawPath)}
		switch {
		case s.in(c.rawPath) || s.in(c.escaped):
			leak.Where = "path"
		case s.in(c.rawQuery) || s.in(unescaped(c.rawQuery)):
			leak.Where = "query"
		default:
			continue
		}
		leaks = append(leaks, leak)
	}
	return leaks
}

func (s *secrets) redact(c *rawCall) Call {
	out := c.Call
	out.Path = s.clean(c.rawPath)
	out.Query = s.clean(unescaped(c.rawQuery))
	out.Header = make(http.Header, len(c.Header))
	for name, values := range c.Header {
		for _, value := range values {
			if isCredentialHeader(name) {
				value = Redacted
			}
			out.Header[name] = append(out.Header[name], s.clean(value))
		}
	}
	return out
}

func unescaped(query string) string {
	if clear, err := url.QueryUnescape(query); err == nil {
		return clear
	}
	return query
}

// isCredentialHeader goes by the name: it must redact what nobody registered.
func isCredentialHeader(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"authorization", "cookie", "key", "token", "secret", "password", "dpop"} {
		if strings.Contains(name, part) {
			return name != "idempotency-key"
		}
	}
	return false
}

package webhooktest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Answer is what the receiver says to a delivery that verifies. Zero values are
// 200 and {}; one that does not verify gets 401 {"error":"Unauthorized"}, as
// from a real receiver (datapass.md, 2.11).
type Answer struct {
	Status int         `json:"status,omitempty"`
	Header http.Header `json:"header,omitempty"`
	Body   string      `json:"body,omitempty"`
	// TokenID makes the body {"token_id":"..."} (datapass.md, 2.7).
	TokenID string `json:"token_id,omitempty"`
	// RetryAfter is sent in whole seconds; 0: not sent.
	RetryAfter time.Duration `json:"retry_after_ns,omitempty"`
	// Delivery is the header webhook-delivery: "disable" or "abort-message".
	Delivery string `json:"webhook_delivery,omitempty"`
}

// SetAnswer sets the answer of a path from now on; "" is all paths that have none.
func (s *Server) SetAnswer(path string, a Answer) {
	s.AnswerWith(path, func(Delivery) Answer { return a })
}

// AnswerWith asks answer for each delivery to a path; "" is all paths that have
// no answer of their own. nil takes it away.
func (s *Server) AnswerWith(path string, answer func(Delivery) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer == nil {
		delete(s.answers, path)
		return
	}
	s.answers[path] = answer
}

// Next answers the next deliveries to a path with these, one each, before what
// SetAnswer says; "" is any path.
func (s *Server) Next(path string, list ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[path] = append(s.script[path], list...)
}

func (s *Server) answer(d Delivery) Answer {
	if !d.Valid {
		return Answer{Status: http.StatusUnauthorized, Body: `{"error":"Unauthorized"}`}
	}
	s.mu.Lock()
	for _, path := range []string{d.Path, ""} {
		if list := s.script[path]; len(list) > 0 {
			s.script[path] = list[1:]
			s.mu.Unlock()
			return list[0]
		}
	}
	answer := s.answers[d.Path]
	if answer == nil {
		answer = s.answers[""]
	}
	s.mu.Unlock()
	if answer == nil {
		return Answer{}
	}
	return answer(d) // outside the lock: it may ask the server
}

func (a Answer) send(w http.ResponseWriter) {
	for name, values := range a.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if a.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((a.RetryAfter+time.Second-1)/time.Second)))
	}
	if a.Delivery != "" {
		w.Header().Set("Webhook-Delivery", a.Delivery)
	}
	body := a.Body
	if a.TokenID != "" {
		text, err := json.Marshal(map[string]string{"token_id": a.TokenID})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body = string(text)
	}
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	if body == "" && status == http.StatusOK {
		body = "{}"
	}
	if body != "" && w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

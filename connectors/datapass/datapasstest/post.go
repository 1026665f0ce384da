package datapasstest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Exchange is one POST to a receiver. Status and Body are those of a complete
// answer; else Err says what the transport said.
type Exchange struct {
	Status int
	Body   []byte
	Err    error
}

// Passed reports a success by DataPass's rule: 200, 201 or 204 only.
func (e Exchange) Passed() bool {
	return e.Err == nil && (e.Status == http.StatusOK || e.Status == http.StatusCreated || e.Status == http.StatusNoContent)
}

// Raw is a POST that DataPass itself would not send: any bytes, and headers
// that replace its own. An empty list of values removes the header.
type Raw struct {
	Body   []byte
	Header http.Header
}

// SendRaw posts any bytes to a subscription's URL, signed with its secret unless
// the headers say otherwise. It leaves no attempt.
func (s *Server) SendRaw(ctx context.Context, subscriptionID int64, raw Raw) (Exchange, error) {
	sub, err := s.Subscription(subscriptionID)
	if err != nil {
		return Exchange{}, err
	}
	return s.post(ctx, sub, raw.Body, raw.Header), nil
}

// Sign is the value of X-Hub-Signature-256 (datapass.md, 2.3).
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// post sends the request of datapass.md, 2.3, with the given headers instead of
// DataPass's own.
func (s *Server) post(ctx context.Context, sub Subscription, body []byte, header http.Header) Exchange {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, sub.URL, bytes.NewReader(body))
	if err != nil {
		return Exchange{Err: err}
	}
	s.mu.Lock()
	environment := s.environment
	s.mu.Unlock()
	req.Header = http.Header{
		"Content-Type":        {"application/json"},
		"X-Hub-Signature-256": {Sign(sub.Secret, body)},
		"X-App-Environment":   {string(environment)},
		"User-Agent":          {"Faraday v2.14.3"},
	}
	for name, values := range header {
		if len(values) == 0 {
			req.Header.Del(name)
			continue
		}
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	answer, err := s.client.Do(req)
	if err != nil {
		return Exchange{Err: err}
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return Exchange{Err: err}
	}
	return Exchange{Status: answer.StatusCode, Body: text}
}

// maxAnswer keeps a runaway receiver from filling the memory; DataPass has no
// limit of its own.
const maxAnswer = 16 << 20

func newTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: timeout}).DialContext,
		ResponseHeaderTimeout: timeout,
		TLSHandshakeTimeout:   timeout,
		MaxIdleConnsPerHost:   64,
		DisableCompression:    true, // no Accept-Encoding of Go's own
	}
}

// tokenID reads a successful answer: a non-blank token_id of a JSON object, and
// whether the answer kills the job that reads it (datapass.md, 2.7).
func tokenID(body []byte) (token string, crash bool) {
	var answer any
	if json.Unmarshal(body, &answer) != nil {
		return "", false
	}
	switch answer := answer.(type) {
	case map[string]any:
		token, _ := answer["token_id"].(string)
		return strings.TrimSpace(token), false
	case []any, float64:
		return "", true
	}
	return "", false
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

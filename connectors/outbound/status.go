package outbound

import (
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// MaxRetryAfter bounds the delay that a partner may ask for.
const MaxRetryAfter = 24 * time.Hour

// StatusError turns an answer that is not a success into the connector's error
// (api-managers.md, 4, error classes):
//
//	429 with a delay        RateLimited{After}; without one Temporary
//	408, 425, 5xx           Temporary
//	401, 403                Unauthorized
//	404                     NotFound when it is the partner's own JSON, else
//	                        Rejected: a wrong path or version
//	409                     Conflict
//	412, other 4xx, 3xx     Rejected
//
// The detail holds the partner's words, redacted of the given secrets too.
func StatusError(partner, op string, resp *http.Response, body []byte, secrets ...connectors.Secret) *connectors.Error {
	e := &connectors.Error{
		Class: connectors.Rejected, Partner: partner, Op: op, Status: resp.StatusCode,
		Detail: Redact(detail(resp, body), secrets...),
	}
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		e.Class = connectors.Temporary
		if after, ok := RetryAfter(resp.Header); ok {
			e.Class, e.After = connectors.RateLimited, after
		}
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		e.Class = connectors.Temporary
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		e.Class = connectors.Unauthorized
	case code == http.StatusNotFound && isJSON(resp.Header, body):
		e.Class = connectors.NotFound
	case code == http.StatusConflict:
		e.Class = connectors.Conflict
	}
	return e
}

// RetryAfter reads how long the partner asks to be left alone: Retry-After in
// seconds or as a date (RFC 9110, 10.2.3), else RateLimit-Reset or
// X-RateLimit-Reset in seconds or as a Unix time. A date counts from the
// answer's own Date, so that clocks need not agree.
func RetryAfter(h http.Header) (time.Duration, bool) {
	now := time.Now()
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	if value := strings.TrimSpace(h.Get("Retry-After")); value != "" {
		if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
			return clampSeconds(seconds), true
		}
		if at, err := http.ParseTime(value); err == nil {
			return clamp(at.Sub(now)), true
		}
	}
	for _, name := range []string{"RateLimit-Reset", "X-RateLimit-Reset"} {
		reset, err := strconv.ParseInt(strings.TrimSpace(h.Get(name)), 10, 64)
		if err != nil {
			continue
		}
		if reset > 1e9 { // no delay is 30 years long: a Unix time
			return clamp(time.Unix(reset, 0).Sub(now)), true
		}
		return clampSeconds(reset), true
	}
	return 0, false
}

func clampSeconds(seconds int64) time.Duration {
	return clamp(time.Duration(min(seconds, int64(MaxRetryAfter/time.Second))) * time.Second)
}

func clamp(d time.Duration) time.Duration { return max(0, min(d, MaxRetryAfter)) }

var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// detail finds the partner's words in an answer of any kind.
func detail(resp *http.Response, body []byte) string {
	if code := resp.StatusCode; code >= 300 && code < 400 {
		return "a redirect, which is not followed"
	}
	head := body[:min(len(body), redactable)]
	switch {
	case len(body) == 0:
		return "no body"
	case isHTML(resp.Header, body):
		text := "an HTML page instead of JSON"
		if m := title.FindSubmatch(head); m != nil {
			text += ": " + string(m[1])
		}
		return text
	case isJSON(resp.Header, body):
		if text := messageOf(body); text != "" {
			return text
		}
		return "a JSON answer without a message"
	}
	return string(head)
}

func isHTML(h http.Header, body []byte) bool {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if media == "text/html" || media == "application/xhtml+xml" {
		return true
	}
	start := strings.ToLower(strings.TrimSpace(string(body[:min(len(body), 64)])))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}

// isJSON: an object or an array, not labelled as something else.
func isJSON(h http.Header, body []byte) bool {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if media != "" && media != "application/json" && !strings.HasSuffix(media, "+json") {
		return false
	}
	text := strings.TrimSpace(string(body[:min(len(body), 64)]))
	return text != "" && (text[0] == '{' || text[0] == '[') && json.Valid(body)
}

// messageKeys are the names that the partners give to their words. Only these
// are read: an error may echo the whole request.
var messageKeys = []string{
	"technicalCode", "code", "error", "errorCode", "error_code", "name", "title", "message", "error_description",
	"errorMessage", "error_msg", "description", "detail", "details", "moreInfo", "reason", "errors", "fields",
}

func messageOf(body []byte) string {
	var answer any
	if err := json.Unmarshal(body, &answer); err != nil {
		return ""
	}
	return strings.Join(collect(answer, 5), ": ")
}

func collect(value any, depth int) []string {
	if depth == 0 {
		return nil
	}
	var found []string
	switch v := value.(type) {
	case string:
		if v = strings.TrimSpace(v); v != "" {
			return []string{v}
		}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	case []any:
		for _, item := range v[:min(len(v), 5)] {
			found = append(found, collect(item, depth-1)...)
		}
	case map[string]any:
		for _, key := range messageKeys {
			if key == "fields" {
				found = append(found, fieldFaults(v[key])...)
			} else if item, ok := v[key]; ok {
				found = append(found, collect(item, depth-1)...)
			}
		}
	}
	return found
}

// fieldFaults reads Kong's `fields`: field name -> what is wrong with it.
func fieldFaults(value any) []string {
	fields, _ := value.(map[string]any)
	var found []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if text, ok := fields[name].(string); ok {
			found = append(found, name+" "+text)
		}
	}
	return found
}

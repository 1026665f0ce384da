package partnertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Sample is one recorded case of a partner (api-managers.md, section 6).
type Sample struct {
	Manager   string     `json:"manager"`
	Version   string     `json:"version"`
	Title     string     `json:"title"`
	Data      string     `json:"data"`
	Exchanges []Exchange `json:"exchanges"`
}

// Exchange is one call of a sample and what the partner answered.
type Exchange struct {
	Side     string         `json:"side"`
	Request  SampleRequest  `json:"request"`
	Response SampleResponse `json:"response"`
	Note     string         `json:"note"`
}

// SampleRequest is the call. A query value is a string or an array of strings.
type SampleRequest struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Query   map[string]any    `json:"query"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
}

// SampleResponse is the answer. A string body is the raw text.
type SampleResponse struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
}

// LoadSample reads one sample file; keys that a sample cannot have are errors.
func LoadSample(file string) (Sample, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return Sample{}, err
	}
	var s Sample
	if err := decodeStrict(body, &s); err != nil {
		return Sample{}, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// Replay sends the exchange's request to base, with header taking the place of
// the sample's own (whose credentials are placeholders), and lists every
// difference between the answer and the sample: status, the headers it names,
// and the body. JSON bodies are compared as values, strictly in both directions.
func (e Exchange) Replay(ctx context.Context, base string, header http.Header) (differences []string, err error) {
	target := base + e.Request.Path
	if query := e.Request.query(); query != "" {
		target += "?" + query
	}
	text := e.Request.Body
	var raw string
	if len(text) > 0 && json.Unmarshal(text, &raw) == nil {
		text = []byte(raw)
	}
	req, err := http.NewRequestWithContext(ctx, e.Request.Method, target, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if len(e.Request.Body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range e.Request.Headers {
		req.Header.Set(name, value)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	return e.Response.differences(answer, body), nil
}

func (r SampleRequest) query() string {
	values := url.Values{}
	for name, value := range r.Query {
		if list, ok := value.([]any); ok {
			for _, item := range list {
				values.Add(name, fmt.Sprint(item))
			}
			continue
		}
		values.Add(name, fmt.Sprint(value))
	}
	return values.Encode()
}

func (r SampleResponse) differences(answer *http.Response, body []byte) []string {
	var out []string
	if answer.StatusCode != r.Status {
		out = append(out, fmt.Sprintf("status: want %d, got %d", r.Status, answer.StatusCode))
	}
	for name, want := range r.Headers {
		got := answer.Header.Get(name)
		if strings.EqualFold(name, "Content-Type") {
			got, want = mediaType(got), mediaType(want)
		}
		if got != want {
			out = append(out, fmt.Sprintf("header %s: want %q, got %q", name, want, got))
		}
	}
	slices.Sort(out)
	if len(r.Body) == 0 {
		if len(body) != 0 {
			out = append(out, fmt.Sprintf("body: want none, got %q", body))
		}
		return out
	}
	var want, got any
	if err := json.Unmarshal(r.Body, &want); err != nil {
		return append(out, fmt.Sprintf("body of the sample: %v", err))
	}
	if raw, ok := want.(string); ok {
		if raw != string(body) {
			out = append(out, fmt.Sprintf("body: want %q, got %q", raw, body))
		}
		return out
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return append(out, fmt.Sprintf("body: want JSON, got %q", body))
	}
	return append(out, jsonDifferences("body", want, got)...)
}

func mediaType(value string) string {
	if parsed, _, err := mime.ParseMediaType(value); err == nil {
		return parsed
	}
	return value
}

func jsonDifferences(at string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		gotMap, ok := got.(map[string]any)
		if !ok {
			break
		}
		keys := map[string]struct{}{}
		for key := range want {
			keys[key] = struct{}{}
		}
		for key := range gotMap {
			keys[key] = struct{}{}
		}
		var out []string
		for key := range keys {
			wantValue, wanted := want[key]
			gotValue, present := gotMap[key]
			switch {
			case !wanted:
				out = append(out, fmt.Sprintf("%s.%s: not in the sample, got %s", at, key, compact(gotValue)))
			case !present:
				out = append(out, fmt.Sprintf("%s.%s: want %s, absent", at, key, compact(wantValue)))
			default:
				out = append(out, jsonDifferences(at+"."+key, wantValue, gotValue)...)
			}
		}
		slices.Sort(out)
		return out
	case []any:
		gotList, ok := got.([]any)
		if !ok || len(gotList) != len(want) {
			break
		}
		var out []string
		for i := range want {
			out = append(out, jsonDifferences(fmt.Sprintf("%s[%d]", at, i), want[i], gotList[i])...)
		}
		return out
	}
	if reflect.DeepEqual(want, got) {
		return nil
	}
	return []string{fmt.Sprintf("%s: want %s, got %s", at, compact(want), compact(got))}
}

func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

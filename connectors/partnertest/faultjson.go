package partnertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// wireFault is a Fault on the admin surface. Besides the kinds it takes
// "status", "rate_limited" and "html", which are made answers:
//
//	{"route":"POST /**/_renew","kind":"reset","after":true,"times":1}
//	{"route":"GET /**","kind":"delay","delay":"2s"}
//	{"route":"GET /**","kind":"rate_limited","retry_after":"30s","times":3}
//	{"route":"","kind":"answer","status":200,"header":{"Content-Type":["text/plain"]},"body":"ok"}
type wireFault struct {
	Route      Route       `json:"route"`
	Kind       Kind        `json:"kind"`
	Skip       int         `json:"skip,omitempty"`
	Times      int         `json:"times,omitempty"`
	After      bool        `json:"after,omitempty"`
	Delay      duration    `json:"delay,omitempty"`
	RetryAfter duration    `json:"retry_after,omitempty"`
	Status     int         `json:"status,omitempty"`
	Header     http.Header `json:"header,omitempty"`
	Body       string      `json:"body,omitempty"`
}

// UnmarshalJSON reads the admin surface's form.
func (f *Fault) UnmarshalJSON(text []byte) error {
	var wire wireFault
	if err := decodeStrict(text, &wire); err != nil {
		return err
	}
	fault := Fault{
		Route: wire.Route, Kind: wire.Kind, Delay: time.Duration(wire.Delay),
		Status: wire.Status, Header: wire.Header, Body: wire.Body,
	}
	switch wire.Kind {
	case "status":
		fault = Status(wire.Route, wire.Status)
	case "rate_limited":
		fault = RateLimited(wire.Route, time.Duration(wire.RetryAfter))
	case "html":
		if wire.Status == 0 {
			wire.Status = http.StatusBadGateway
		}
		fault = HTML(wire.Route, wire.Status)
	case KindHalfBody:
		wire.After = true
	}
	fault.Skip, fault.Times, fault.After = wire.Skip, wire.Times, wire.After
	*f = fault
	return nil
}

// MarshalJSON writes the admin surface's form.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireFault{
		Route: f.Route, Kind: f.Kind, Skip: f.Skip, Times: f.Times, After: f.After,
		Delay: duration(f.Delay), Status: f.Status, Header: f.Header, Body: f.Body,
	})
}

// duration is written "1h30m" in JSON.
type duration time.Duration

func (d *duration) UnmarshalJSON(text []byte) error {
	var value string
	if err := json.Unmarshal(text, &value); err != nil {
		return fmt.Errorf("a duration is a string such as \"1h30m\": %w", err)
	}
	parsed, err := time.ParseDuration(value)
	*d = duration(parsed)
	return err
}

func (d duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

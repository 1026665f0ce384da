package outbound_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

func TestAPartnersClockIsTheDateOfItsAnswers(t *testing.T) {
	t.Parallel()
	hub := time.Date(2026, 11, 3, 9, 30, 0, 400, time.UTC)
	c := outbound.NewClock(func() time.Time { return hub })
	for _, step := range []struct {
		date  string
		ahead time.Duration
	}{
		{"Tue, 03 Nov 2026 09:40:00 GMT", 10 * time.Minute},
		{"", 10 * time.Minute}, // nothing is learned
		{"tomorrow", 10 * time.Minute},
		{"Tue, 03 Nov 2026 09:20:00 GMT", -10 * time.Minute},
		{"Tue, 03 Nov 2026 09:29:57 GMT", 0}, // the network's delay
	} {
		c.Saw(&outbound.Answer{Header: http.Header{"Date": {step.date}}})
		if got := c.Now().Sub(hub); (got - step.ahead).Abs() > time.Second {
			t.Errorf("after %q it is %s ahead, want %s", step.date, got, step.ahead)
		}
	}
	c.Saw(nil)
}

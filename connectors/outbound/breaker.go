package outbound

import (
	"context"
	"errors"
	"net/http"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"
)

// ErrCircuitOpen: the partner failed several calls in a row and is left alone
// for a while. Nothing was sent.
var ErrCircuitOpen = errors.New("circuit open")

// errUncounted is a call that says nothing about the partner's health.
var errUncounted = errors.New("uncounted")

// errUnavailable is an answer that says the partner is down.
var errUnavailable = errors.New("unavailable")

func newBreaker(name string, b Breaker, log zerolog.Logger) *gobreaker.TwoStepCircuitBreaker[any] {
	failures := orDefault(b.Failures, defaultFailures)
	return gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name:        name,
		MaxRequests: 1,
		Timeout:     orDefault(b.OpenFor, defaultOpenFor),
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errUncounted) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			log.Warn().Str("partner", name).Stringer("from", from).Stringer("to", to).Msg("circuit breaker")
		},
	})
}

// verdict is what a call says about the partner. A 500 says nothing: one broken
// request must not close the road to the others. A caller who left says nothing
// either.
func verdict(ctx context.Context, resp *http.Response, err error) error {
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, ErrTooLarge) {
			return errUncounted
		}
		return err
	}
	switch resp.StatusCode {
	case http.StatusInternalServerError:
		return errUncounted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return errUnavailable
	}
	return nil
}

// Circuit is the breaker's state: "closed", "half-open", "open", or "" without one.
func (c *Client) Circuit() string {
	if c.breaker == nil {
		return ""
	}
	return c.breaker.State().String()
}

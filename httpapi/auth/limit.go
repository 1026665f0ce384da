package auth

import (
	"net/http"
	"time"

	"github.com/go-chi/httprate"
)

// Limit lets each caller send perMinute requests a minute to this process and
// says in X-RateLimit-* what is left; tooMany answers the rest. It comes after
// Require.
func Limit(perMinute int, tooMany http.HandlerFunc) func(http.Handler) http.Handler {
	key := func(r *http.Request) (string, error) {
		caller, _ := CallerOf(r.Context())
		return caller.Actor(), nil
	}
	return httprate.LimitBy(perMinute, time.Minute, key, httprate.WithLimitHandler(tooMany))
}

package auth

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/httprate"
)

const (
	resetHeader      = "RateLimit-Reset"
	retryAfterHeader = "Retry-After"
)

// Limit lets each caller send perMinute requests a minute to this process and
// says in RateLimit-Limit, -Remaining and -Reset (seconds) where he is
// (draft-ietf-httpapi-ratelimit-headers); tooMany answers the rest, with
// Retry-After. It comes after Require.
func Limit(perMinute int, tooMany http.HandlerFunc) func(http.Handler) http.Handler {
	limiter := httprate.NewRateLimiter(perMinute, time.Minute, httprate.WithResponseHeaders(httprate.ResponseHeaders{
		Limit: "RateLimit-Limit", Remaining: "RateLimit-Remaining", Reset: resetHeader, RetryAfter: retryAfterHeader,
	}))
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, _ := CallerOf(r.Context())
			over := limiter.OnLimit(w, r, caller.Actor())
			wait := secondsUntil(w.Header().Get(resetHeader))
			w.Header().Set(resetHeader, wait)
			if over {
				w.Header().Set(retryAfterHeader, wait)
				tooMany(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// secondsUntil turns the Unix time at which a window ends into whole seconds,
// one at least.
func secondsUntil(unix string) string {
	end, err := strconv.ParseInt(unix, 10, 64)
	if err != nil {
		end = time.Now().Add(time.Minute).Unix()
	}
	return strconv.FormatInt(max(end-time.Now().Unix(), 1), 10)
}

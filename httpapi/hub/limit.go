package hub

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/httprate"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
)

const resetHeader = "RateLimit-Reset"

// newLimit lets each caller send perMinute requests a minute to this process.
// RateLimit-Limit, -Remaining and -Reset (seconds) say where he is
// (draft-ietf-httpapi-ratelimit-headers).
func newLimit(perMinute int) func(http.Handler) http.Handler {
	limiter := httprate.NewRateLimiter(perMinute, time.Minute, httprate.WithResponseHeaders(httprate.ResponseHeaders{
		Limit: "RateLimit-Limit", Remaining: "RateLimit-Remaining", Reset: resetHeader, RetryAfter: "Retry-After",
	}))
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			over := limiter.OnLimit(w, r, callerOf(r).Actor())
			wait := secondsUntil(w.Header().Get(resetHeader))
			w.Header().Set(resetHeader, strconv.Itoa(int(wait/time.Second)))
			if over {
				p := problem.New(http.StatusTooManyRequests, "trop-de-requetes", "Trop de requêtes", "Attendez un instant avant de recommencer.")
				p.After = wait
				problem.Write(w, r, p)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// secondsUntil turns the Unix time at which a window ends into a wait of whole
// seconds, one at least.
func secondsUntil(unix string) time.Duration {
	end, err := strconv.ParseInt(unix, 10, 64)
	if err != nil {
		return time.Minute
	}
	return max(time.Until(time.Unix(end, 0)).Round(time.Second), time.Second)
}

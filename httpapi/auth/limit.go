package auth

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// TooManyError: the caller has sent what he may for now.
type TooManyError struct{ Wait time.Duration }

func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many requests: one more in %s", e.Wait)
}

// Limit lets each caller send so many requests a minute, to all processes
// together, and says in RateLimit-Limit, -Remaining and -Reset (seconds) where he
// is (draft-ietf-httpapi-ratelimit-headers). who names him: two machines of one
// name share. refuse answers the rest, with a *TooManyError and Retry-After, and
// what goes wrong on our side. It comes after Require.
func Limit(limit *store.SharedLimit, who func(Caller) string, refuse func(http.ResponseWriter, *http.Request, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, _ := CallerOf(r.Context())
			allowed, err := limit.Take(r.Context(), who(caller))
			if err != nil {
				refuse(w, r, err)
				return
			}
			w.Header().Set("RateLimit-Limit", strconv.Itoa(limit.PerMinute()))
			w.Header().Set("RateLimit-Remaining", strconv.Itoa(allowed.Left))
			w.Header().Set("RateLimit-Reset", wholeSeconds(allowed.Reset))
			if !allowed.OK {
				w.Header().Set("Retry-After", wholeSeconds(allowed.Wait))
				refuse(w, r, &TooManyError{allowed.Wait})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// wholeSeconds rounds up, to one at least.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64(max((d+time.Second-1)/time.Second, 1)), 10)
}

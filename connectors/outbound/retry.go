package outbound

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// newRetry gives the retrying client: quick waits of 0.1 to 0.5 s, silent.
func newRetry(client *http.Client, retries int) *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient:   client,
		RetryMax:     retries,
		RetryWaitMin: 100 * time.Millisecond,
		RetryWaitMax: 500 * time.Millisecond,
		CheckRetry:   quickRetry,
		Backoff:      jitter,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// repeatable tells whether the call may be sent twice: the methods that RFC
// 9110 (9.2.2) calls idempotent, unless the caller says otherwise.
//
// A repeated DELETE may answer 404 because its first answer was lost: the
// caller looks the object up before it believes either (api-managers.md, 2.7).
func repeatable(req *http.Request) bool {
	if marked, ok := req.Context().Value(repeatKey{}).(bool); ok {
		return marked
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// quickRetry repeats what a moment can mend: a broken connection, a server that
// fails at once. Not a timeout, which was no quick failure, nor an answer that
// names its own delay, which is the queue's to wait for.
func quickRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, nil //nolint:nilerr // The answer is whether to repeat; the client itself returns ctx's error.
	}
	if err != nil {
		switch ErrorClass(err) {
		case ClassDNS, ClassRefused, ClassReset:
			return true, nil
		}
		return false, nil
	}
	switch resp.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return resp.Header.Get("Retry-After") == "", nil
	}
	return false, nil
}

func jitter(least, most time.Duration, attempt int, _ *http.Response) time.Duration {
	wait := min(least<<attempt, most)
	return wait/2 + rand.N(wait/2+1)
}

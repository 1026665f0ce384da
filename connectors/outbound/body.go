package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ErrTooLarge is an answer longer than the client's limit.
var ErrTooLarge = errors.New("answer too large")

// maxHeader bounds the headers of an answer, in bytes.
const maxHeader = 64 << 10

type attemptsKey struct{}

func countAttempts(ctx context.Context, n *int) context.Context {
	return context.WithValue(ctx, attemptsKey{}, n)
}

// bounded reads each answer whole, within a limit, before the client sees it:
// an answer cut in the middle becomes an error of its attempt.
type bounded struct {
	next http.RoundTripper
	max  int64
}

// RoundTrip sends the request and reads its answer.
func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if n, ok := req.Context().Value(attemptsKey{}).(*int); ok {
		*n++
	}
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := b.read(req.Context(), resp)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport.
func (b *bounded) CloseIdleConnections() {
	if c, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (b *bounded) read(ctx context.Context, resp *http.Response) ([]byte, error) {
	if keep, ok := ctx.Value(keepKey{}).(int64); ok {
		body, err := io.ReadAll(io.LimitReader(resp.Body, keep))
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		return body, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, b.max+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(body)) > b.max {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.max)
	}
	return body, nil
}

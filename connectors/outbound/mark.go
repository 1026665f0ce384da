package outbound

import "context"

type (
	routeKey  struct{}
	repeatKey struct{}
	keepKey   struct{}
)

// WithRoute names the call in the log: a path template such as
// "/apis/{api}/subscriptions", never the path with its ids.
func WithRoute(ctx context.Context, template string) context.Context {
	return context.WithValue(ctx, routeKey{}, template)
}

func routeOf(ctx context.Context) string {
	if route, ok := ctx.Value(routeKey{}).(string); ok && route != "" {
		return route
	}
	return "-"
}

// Repeatable marks a call as safe to send twice, whatever its method: a POST
// that searches, or that the partner deduplicates.
func Repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatKey{}, true)
}

// Once marks a call as never to be sent twice by this package, whatever its method.
func Once(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatKey{}, false)
}

// Truncated keeps the first n bytes of the answer and drops the rest, instead
// of failing a call whose answer is longer than the client's limit.
func Truncated(ctx context.Context, n int64) context.Context {
	return context.WithValue(ctx, keepKey{}, n)
}

package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
)

// Around is what surrounds every request: its correlation id, one log event,
// one measure, and no panic that ends the process.
type Around struct {
	Log            zerolog.Logger
	TrustedProxies []netip.Prefix // X-Forwarded-For is believed from these only
	Duration       *prometheus.HistogramVec
}

// NewDuration gives the histogram of answers, by route and status.
func NewDuration() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "passerelle_http_request_seconds", Help: "Time to answer, by route pattern and status.",
		Buckets: []float64{.001, .0025, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"method", "route", "status"})
}

var correlationID = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}$`)

// requestLimit ends what waits for a connection that no one gives back: the
// caller is told 503 before http.write_timeout cuts her off without a word.
const requestLimit = 20 * time.Second

type addressKey struct{}

// Address is the caller's address, behind the trusted proxies.
func Address(r *http.Request) string {
	a, _ := r.Context().Value(addressKey{}).(string)
	return a
}

// Request wraps a handler.
func (a Around) Request(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get("X-Correlation-ID")
		if !correlationID.MatchString(id) {
			id = uuid.NewString()
		}
		w.Header().Set("X-Request-Id", id)
		log := a.Log.With().Str("correlation", id).Logger()
		ctx, cancel := context.WithTimeout(connectors.WithCorrelation(r.Context(), id), requestLimit)
		defer cancel()
		ctx = context.WithValue(ctx, addressKey{}, a.address(r))
		ctx = log.WithContext(ctx)
		rec := &recorder{ResponseWriter: w}
		r = r.WithContext(ctx)
		defer func() {
			if fault := recover(); fault != nil {
				if fault == http.ErrAbortHandler { //nolint:errorlint // the one panic that net/http asks for
					panic(fault)
				}
				log.Error().Bytes("stack", debug.Stack()).Msg("panic in a request")
				switch {
				case rec.status != 0:
				case page.Wanted(r):
					page.Say(rec, r, http.StatusInternalServerError, "Une erreur est survenue", "L’incident est enregistré. Réessayez dans quelques minutes.")
				default:
					problem.Write(rec, r, problem.New(http.StatusInternalServerError, "interne", "Erreur interne", "L'incident est enregistré."))
				}
			}
			a.record(log, r, rec.code(), start)
		}()
		next.ServeHTTP(rec, r)
	})
}

// record logs the route's pattern, never the path or the query: they may hold a link.
func (a Around) record(log zerolog.Logger, r *http.Request, status int, start time.Time) {
	route := chi.RouteContext(r.Context()).RoutePattern()
	if route == "" {
		route = "none"
	}
	took := time.Since(start)
	a.Duration.WithLabelValues(methodOf(r), route, strconv.Itoa(status)).Observe(took.Seconds())
	level := zerolog.InfoLevel
	if route == "/healthz" || route == "/readyz" {
		level = zerolog.DebugLevel
	}
	log.WithLevel(level).Str("method", r.Method).Str("route", route).Int("status", status).Dur("duration", took).Msg("request")
}

// methodOf keeps the callers from making a time series of each word they invent.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// address walks X-Forwarded-For from the right, over the proxies we trust.
func (a Around) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	forwarded := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
	for i := len(forwarded) - 1; i >= 0 && a.trusted(host); i-- {
		given := strings.TrimSpace(forwarded[i])
		if _, err := netip.ParseAddr(given); err != nil {
			break
		}
		host = given
	}
	return host
}

func (a Around) trusted(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range a.TrustedProxies {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

// Health tells the truth about this process.
type Health struct {
	// Check says what keeps the hub from working, nil for nothing.
	Check    func(ctx context.Context) error
	draining atomic.Bool
}

// Drain makes Ready answer 503, so that nothing new is sent here.
func (h *Health) Drain() { h.draining.Store(true) }

// Live answers 200 as long as the process serves.
func (h *Health) Live(w http.ResponseWriter, r *http.Request) {
	problem.JSON(w, r, http.StatusOK, map[string]string{"status": "ok"})
}

// Ready answers 200 when requests can be served: the database answers, its
// schema is the one expected, and the process is not about to stop.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		problem.Write(w, r, problem.New(http.StatusServiceUnavailable, "arret", "Arrêt en cours", "Le processus se termine."))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := h.Check(ctx); err != nil {
		zerolog.Ctx(r.Context()).Warn().Err(err).Msg("not ready")
		problem.Write(w, r, problem.Unavailable())
		return
	}
	problem.JSON(w, r, http.StatusOK, map[string]string{"status": "ok"})
}

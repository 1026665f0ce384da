package registry

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// DeliveryPolicy says what a try means for its delivery and for its endpoint
// (webhooks.md, the architecture, 5 to 7). It is pure.
type DeliveryPolicy struct {
	Schedule      []time.Duration // waits between the tries; then the end
	MaxAge        time.Duration   // nothing is tried again when older
	RetryAfterCap time.Duration   // longest wait that a receiver may ask for
	HoldFor       time.Duration   // how long a failing one holds back its request at an ordered endpoint
	BreakAfter    int             // failures in a row, then the endpoint rests
	Rest          time.Duration   // the first one; each further one is twice as long
	MaxRest       time.Duration
	DisableAfter  time.Duration // an endpoint that failed for so long is disabled
}

// Verdict is what a try makes of its delivery, and what the receiver asked for.
type Verdict struct {
	Outcome   string // store.Delivered, Failed or Abandoned
	NextAt    time.Time
	Reason    string        // why it is abandoned
	Gap       bool          // an ordered endpoint is told that it misses one
	Throttled bool          // the receiver wants fewer at once
	RestFor   time.Duration // the receiver wants none for a time
	Disable   string        // why the endpoint is disabled; "" when it is not
	TokenID   string        // answered to an approve (datapass.md, 2.7)
}

// Why deliveries are abandoned and endpoints disabled, in words for people.
const (
	ReasonTries    = "toutes les tentatives ont échoué"
	ReasonAge      = "trop ancien pour une nouvelle tentative"
	ReasonHeld     = "retenait les messages suivants de sa demande depuis trop longtemps"
	ReasonAbort    = "abandonné à la demande du destinataire (webhook-delivery: abort-message)"
	ReasonPurged   = "le corps n’est plus conservé"
	ReasonGone     = "le destinataire répond 410 (ne plus rien envoyer)"
	ReasonAsked    = "désactivé à la demande du destinataire (webhook-delivery: disable)"
	ReasonFailing  = "en échec continu depuis trop longtemps"
	headerDelivery = "Webhook-Delivery" // standard-webhooks#291
)

// Judge decides on one try. draw is from 0 to 1: it spreads retries.
func (p DeliveryPolicy) Judge(l store.Lane, d store.Due, result connectors.DeliveryResult, now time.Time, draw float64) Verdict {
	wish := strings.ToLower(strings.TrimSpace(result.Header[headerDelivery]))
	v := Verdict{}
	if wish == "disable" {
		v.Disable = ReasonAsked
	}
	if succeeded(l.Format, result.Status) {
		v.Outcome = store.Delivered
		if d.Type == string(habilitation.EventApprove) && d.HabilitationID != 0 {
			v.TokenID = tokenAnswered(result.Body)
		}
		return v
	}
	if result.Status == http.StatusGone {
		v.Disable = ReasonGone
	}
	v.Throttled = throttles(result)
	after := retryAfter(result.Header["Retry-After"], now)
	if after > 0 {
		after = min(after, p.RetryAfterCap)
		if result.Status == http.StatusTooManyRequests || result.Status == http.StatusServiceUnavailable {
			v.RestFor = after
		}
	}
	first := d.FirstTryAt
	if first.IsZero() {
		first = now
	}
	n := d.Attempts + 1
	abandon := func(reason string) Verdict {
		v.Outcome, v.Reason, v.NextAt = store.Abandoned, reason, now
		v.Gap = l.Ordered && d.Rank != store.Replay && d.Type != EventGap
		return v
	}
	switch {
	case wish == "abort-message":
		return abandon(ReasonAbort)
	case n > len(p.Schedule):
		return abandon(ReasonTries)
	case l.Ordered && !now.Before(first.Add(p.HoldFor)):
		return abandon(ReasonHeld)
	}
	wait := max(spread(p.Schedule[n-1], draw), after)
	v.Outcome, v.NextAt = store.Failed, now.Add(wait)
	if l.Ordered {
		// Its last try is when its time is over: its followers wait no longer.
		v.NextAt = earlier(v.NextAt, first.Add(p.HoldFor))
	}
	if v.NextAt.Sub(d.CreatedAt) > p.MaxAge {
		return abandon(ReasonAge)
	}
	return v
}

// spread moves a wait by a fifth of it at most, in both directions.
func spread(wait time.Duration, draw float64) time.Duration {
	return time.Duration(float64(wait) * (0.8 + 0.4*draw))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// succeeded: 200, 201 and 204 for DataPass (datapass.md, 2.7), any 2xx for
// Standard Webhooks; redirects are failures.
func succeeded(format string, status int) bool {
	if format == store.FormatDataPass {
		return status == http.StatusOK || status == http.StatusCreated || status == http.StatusNoContent
	}
	return status >= 200 && status < 300
}

// throttles: the receiver is overwhelmed (Standard Webhooks 1.0: 429, 502, 504).
func throttles(r connectors.DeliveryResult) bool {
	return slices.Contains([]int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, r.Status) ||
		r.ErrorClass == "timeout" || r.ErrorClass == "connect_timeout"
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3); 0 for none.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
		return max(0, time.Duration(min(seconds, 1_000_000))*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// tokenAnswered reads token_id of an answer; "" when it is not an object with one.
func tokenAnswered(body []byte) string {
	var answer struct {
		TokenID any `json:"token_id"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.TokenID == nil {
		return ""
	}
	var id string
	switch v := answer.TokenID.(type) {
	case string:
		id = strings.TrimSpace(v)
	case float64:
		id = strconv.FormatFloat(v, 'f', -1, 64)
	}
	if len(id) > maxTokenID || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xFFFD }) {
		return ""
	}
	return id
}

const maxTokenID = 255

// After gives how an endpoint does after a try.
func (p DeliveryPolicy) After(h store.Health, v Verdict, result connectors.DeliveryResult, now time.Time, draw float64) store.Health {
	if v.Outcome == store.Delivered {
		h.Failures, h.FailingSince, h.RestUntil, h.Rests = 0, time.Time{}, time.Time{}, 0
		h.LastOKAt, h.LastStatus, h.LastError, h.WarnedAt = now, result.Status, "", time.Time{}
		return h
	}
	h.Failures++
	if h.FailingSince.IsZero() {
		h.FailingSince = now
	}
	h.LastFailedAt, h.LastStatus = now, result.Status
	h.LastError = cmp.Or(result.Error, fmt.Sprintf("réponse %d", result.Status))
	if h.Failures >= p.BreakAfter && !h.RestUntil.After(now) { // of many in flight at once, one opens it
		rest := min(p.Rest<<min(h.Rests, 16), p.MaxRest)
		h.RestUntil = now.Add(spread(rest, draw))
		h.Rests++
	}
	if v.RestFor > 0 && h.RestUntil.Before(now.Add(v.RestFor)) {
		h.RestUntil = now.Add(v.RestFor)
	}
	return h
}

// Failing reports that an endpoint has failed for so long that it is disabled.
func (p DeliveryPolicy) Failing(h store.Health, now time.Time) bool {
	return !h.FailingSince.IsZero() && now.Sub(h.FailingSince) >= p.DisableAfter
}

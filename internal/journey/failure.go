package journey

import (
	"context"
	"errors"
	"slices"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Failure is why a journey failed: each has its own words on the page.
type Failure string

// The failures. Those of a quotient are named as its cause.
const (
	FailedCancelled   Failure = "cancelled"   // by her, here or at FranceConnect
	FailedIdentity    Failure = "fc_down"     // FranceConnect does not answer, or with an error
	FailedUnverified  Failure = "fc_doubtful" // its answer is not to be believed: an alert
	FailedCode        Failure = "fc_again"    // the return was too late or seen already
	FailedInterrupted Failure = "interrupted" // the hub stopped while it asked
	FailedLate        Failure = "late"        // the time of her token was over while she waited for her turn
	FailedNothing     Failure = "nothing"     // an answer without a quotient
	FailedClosed      Failure = "closed"      // the commune receives nothing any more
)

// lastsForHer reports that starting again changes nothing: there is no quotient
// for her, and an identity alone may be of use.
func (f Failure) lastsForHer() bool {
	return slices.Contains([]Failure{
		Failure(connectors.QuotientNoFile), Failure(connectors.QuotientUnknownFund), Failure(connectors.QuotientUnrecognised),
		Failure(connectors.QuotientIdentity), FailedNothing,
	}, f)
}

// failureOf gives the failure of an exchange or of a question.
func failureOf(err error) Failure {
	var q *connectors.QuotientError
	switch {
	case errors.As(err, &q):
		return Failure(q.Cause)
	case errors.Is(err, errLate):
		return FailedLate
	case errors.Is(err, connectors.ErrCancelled):
		return FailedCancelled
	case errors.Is(err, connectors.ErrCodeSpent):
		return FailedCode
	case errors.Is(err, connectors.ErrUnverified):
		return FailedUnverified
	case errors.Is(err, errNothing):
		return FailedNothing
	case errors.Is(err, ErrClosed):
		return FailedClosed
	case errors.As(err, new(*connectors.Error)), errors.Is(err, context.DeadlineExceeded):
		return FailedIdentity
	}
	return FailedInterrupted // ours: the database, most likely
}

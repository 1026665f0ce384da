package store

import (
	"context"
	"time"
)

// ListedAttempt is one try to deliver, as API v1 shows it.
type ListedAttempt struct {
	ID             int64
	Event          string
	Status         *int32 // nil: no answer
	Answer         string
	At             time.Time
	ShownRequestID int64 // 0: about no request
}

// Attempts gives an endpoint's tries, newest first; a nil bound is none.
func (s *Store) Attempts(ctx context.Context, endpoint int64, since, until *time.Time, limit int) ([]ListedAttempt, error) {
	rows, err := s.q.AttemptsOf(ctx, endpoint, since, until, int32(limit))
	list := make([]ListedAttempt, len(rows))
	for i, row := range rows {
		list[i] = ListedAttempt{
			ID: row.ID, Event: row.Type, Status: row.Status, Answer: row.Answer, At: row.At,
			ShownRequestID: shownID(val(row.RequestID), row.ExternalID),
		}
	}
	return list, err
}

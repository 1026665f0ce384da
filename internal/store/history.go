package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Line is one line of a request's history: who, when, what, why. It holds ids
// and classes, no secret; Detail may hold the difference of the answers.
type Line struct {
	At          time.Time
	Actor       string // "person:12", "source:datapass-prod", "job:provision_credential", "client:<id>"
	Event       string
	EntityType  string
	EntityID    string
	Reason      string
	Detail      map[string]any
	Correlation string
}

// AppendHistory writes one line, chained to the one before by its hash. The
// caller holds the request's lock.
func (t *Tx) AppendHistory(ctx context.Context, requestID int64, l Line) error {
	var err error
	last, known := t.lines[requestID]
	if !known {
		if last, err = t.q.LastHistory(ctx, requestID); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
	}
	detail := json.RawMessage("{}")
	if len(l.Detail) > 0 {
		if detail, err = json.Marshal(l.Detail); err != nil {
			return err
		}
	}
	row := db.InsertHistoryParams{
		RequestID: requestID, Seq: last.Seq + 1, At: l.At.UTC().Truncate(time.Microsecond), Actor: l.Actor, Event: l.Event,
		EntityType: l.EntityType, EntityID: l.EntityID, Reason: l.Reason, Detail: detail, Correlation: l.Correlation, PrevHash: last.Hash,
	}
	if row.PrevHash == nil {
		row.PrevHash = []byte{}
	}
	if row.Hash, err = lineHash(row); err != nil {
		return err
	}
	if err := t.later().InsertHistory(ctx, row); err != nil {
		return err
	}
	t.lines[requestID] = db.LastHistoryRow{Seq: row.Seq, Hash: row.Hash}
	return nil
}

// lineHash is SHA-256 over the previous hash and the line's canonical JSON:
// keys sorted, so that what jsonb gives back hashes to the same value.
func lineHash(row db.InsertHistoryParams) ([]byte, error) {
	var detail any
	if err := json.Unmarshal(row.Detail, &detail); err != nil {
		return nil, err
	}
	line, err := json.Marshal(map[string]any{
		"request": row.RequestID, "seq": row.Seq, "at": row.At.UTC().Format(time.RFC3339Nano), "actor": row.Actor,
		"event": row.Event, "entity_type": row.EntityType, "entity_id": row.EntityID, "reason": row.Reason,
		"detail": detail, "correlation": row.Correlation,
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	sum.Write(row.PrevHash)
	sum.Write(line)
	return sum.Sum(nil), nil
}

// HistoryLine is a stored line.
type HistoryLine = db.History

// History gives a request's lines, oldest first.
func (s *Store) History(ctx context.Context, requestID int64) ([]HistoryLine, error) {
	return s.q.HistoryOf(ctx, requestID)
}

// ArchiveNoticeEnds tells when the last notice that a credential of an archived
// request was given is over: the epoch when none was.
func (t *Tx) ArchiveNoticeEnds(ctx context.Context, requestID int64, credential uuid.UUID) (time.Time, error) {
	return t.q.ArchiveNoticeEnds(ctx, requestID, credential.String())
}

package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// AnswerKey names an answer: who called, and the Idempotency-Key he chose.
type AnswerKey struct{ Caller, Key string }

// Answer is what was answered to a POST.
type Answer struct {
	Hash   []byte // of what was asked
	Status int
	Header map[string]string
	Body   []byte
	Sealed bool // the body holds a secret: it is kept sealed
	At     time.Time
}

// TryLockKey takes a name until the end of the transaction; false when another
// transaction has it.
func (t *Tx) TryLockKey(ctx context.Context, name string) (bool, error) {
	return t.q.TryLockKey(ctx, name)
}

// Answer reads a stored answer; ErrNotFound for none.
func (t *Tx) Answer(ctx context.Context, k AnswerKey) (Answer, error) {
	row, err := t.q.IdempotentAnswer(ctx, k.Caller, k.Key)
	if errors.Is(err, pgx.ErrNoRows) {
		return Answer{}, ErrNotFound
	}
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Hash: row.Hash, Status: int(row.Status), Body: row.Body, Sealed: row.Sealed, At: row.CreatedAt}
	if a.Sealed {
		if a.Body, err = t.ring.Open(row.Body, answerAD(k)); err != nil {
			return Answer{}, err
		}
	}
	return a, json.Unmarshal(row.Header, &a.Header)
}

// SaveAnswer keeps an answer under its key.
func (t *Tx) SaveAnswer(ctx context.Context, k AnswerKey, a Answer) error {
	header, err := json.Marshal(a.Header)
	if err != nil {
		return err
	}
	if a.Sealed {
		if a.Body, err = t.ring.Seal(a.Body, answerAD(k)); err != nil {
			return err
		}
	}
	return t.q.SaveIdempotentAnswer(ctx, db.SaveIdempotentAnswerParams{
		Caller: k.Caller, Key: k.Key, Hash: a.Hash, Status: int32(a.Status), Header: header, Body: a.Body, Sealed: a.Sealed, CreatedAt: a.At,
	})
}

func answerAD(k AnswerKey) []byte { return []byte("idempotent_answer/" + k.Caller + "/" + k.Key) }

// PurgeAnswers drops those stored before a time, at most limit of them.
func (s *Store) PurgeAnswers(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.q.PurgeIdempotentAnswers(ctx, before, int32(limit))
}

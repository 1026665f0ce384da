package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Trace is a line of the record of connections: whose data was asked, when, for
// whom, by which right (qf-form.md, M-23). It names no person and holds no value.
type Trace = db.JourneyTrace

// What a trace records.
const (
	TraceConnection = "connection" // a citizen came back from FranceConnect; her data was asked
	TraceSent       = "sent"       // she sent her folder
)

// AppendTrace writes a line at the end of its receiver's chain, under the
// receiver's lock: the line refers to it, so another lock could be taken in
// another order. Seq and hashes are the store's to fill.
func (t *Tx) AppendTrace(ctx context.Context, trace Trace) (Trace, error) {
	if _, err := t.LockReceiver(ctx, trace.ReceiverID); err != nil {
		return trace, err
	}
	last, err := t.q.LastTrace(ctx, trace.ReceiverID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return trace, err
	}
	trace.Seq, trace.PrevHash, trace.At = last.Seq+1, orEmpty(last.Hash), trace.At.UTC().Truncate(time.Microsecond)
	if trace.At.Before(last.At) { // by another process's clock: chains are purged from their beginning
		trace.At = last.At.UTC()
	}
	trace.SubHash, trace.Scopes, trace.Categories = orEmpty(trace.SubHash), orEmpty(trace.Scopes), orEmpty(trace.Categories)
	if trace.Hash, err = traceHash(trace); err != nil {
		return trace, err
	}
	return trace, t.q.InsertTrace(ctx, db.InsertTraceParams(trace))
}

// AppendTrace writes one in a transaction of its own.
func (s *Store) AppendTrace(ctx context.Context, trace Trace) (written Trace, err error) {
	err = s.InTx(ctx, func(tx *Tx) error {
		written, err = tx.AppendTrace(ctx, trace)
		return err
	})
	return written, err
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// traceHash is SHA-256 over the previous hash and the line's canonical JSON.
func traceHash(t Trace) ([]byte, error) {
	line, err := json.Marshal(map[string]any{
		"receiver": t.ReceiverID, "seq": t.Seq, "at": t.At.UTC().Format(time.RFC3339Nano), "journey": t.JourneyID, "event": t.Event, "outcome": t.Outcome,
		"siret": t.Siret, "cog": t.Cog, "habilitation": t.HabilitationID, "sub_hash": hex.EncodeToString(t.SubHash), "acr": t.Acr, "scopes": t.Scopes,
		"categories": t.Categories, "month_before": t.MonthBefore, "request_id": t.RequestID, "reference": t.Reference, "notice": t.Notice, "correlation": t.Correlation,
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	sum.Write(t.PrevHash)
	sum.Write(line)
	return sum.Sum(nil), nil
}

// TraceFilter picks traces; zero values pick all.
type TraceFilter struct {
	Since, Until time.Time
	SIRET        string
}

const tracePage = 1000

// EachTrace gives every trace that a filter picks, receiver by receiver, oldest first.
func (s *Store) EachTrace(ctx context.Context, f TraceFilter, give func(Trace) error) error {
	return eachTrace(ctx, s.q, f, give)
}

func eachTrace(ctx context.Context, q *db.Queries, f TraceFilter, give func(Trace) error) error {
	if f.Until.IsZero() {
		f.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	arg := db.TracesParams{Since: f.Since, Until: f.Until, Siret: f.SIRET, MaxRows: tracePage}
	for {
		rows, err := q.Traces(ctx, arg)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := give(row); err != nil {
				return err
			}
			arg.AfterReceiver, arg.AfterSeq = row.ReceiverID, row.Seq
		}
		if len(rows) < tracePage {
			return nil
		}
	}
}

// VerifyTraces reads every trace, in one snapshot, and tells what is not as it was
// written: a line that was changed, or one that is missing and was not purged. It
// gives how many lines there are.
func (s *Store) VerifyTraces(ctx context.Context) (lines int64, flaws []string, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		q := db.New(tx)
		purged, err := q.PurgedTraces(ctx)
		if err != nil {
			return err
		}
		ends := map[int64]Trace{} // of what was read, or purged
		for _, p := range purged {
			ends[p.ReceiverID] = Trace{Seq: p.Seq, Hash: p.Hash}
		}
		flaw := func(t Trace, what string) {
			if len(flaws) < maxFlaws {
				flaws = append(flaws, fmt.Sprintf("trace %d of %s-%s: %s", t.Seq, t.Siret, t.Cog, what))
			}
		}
		return eachTrace(ctx, q, TraceFilter{}, func(t Trace) error {
			lines++
			if end := ends[t.ReceiverID]; t.Seq != end.Seq+1 || !bytes.Equal(t.PrevHash, end.Hash) {
				flaw(t, "does not follow the one before")
			}
			hash, err := traceHash(t)
			if err != nil {
				return err
			}
			if !bytes.Equal(hash, t.Hash) {
				flaw(t, "was changed")
			}
			ends[t.ReceiverID] = t
			return nil
		})
	})
	return lines, flaws, err
}

// PurgeTraces deletes those older than 36 months by the database's clock, limit at most.
func (s *Store) PurgeTraces(ctx context.Context, limit int) (int64, error) {
	return s.q.PurgeTraces(ctx, int32(limit))
}

package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Seal is one link of the global chain over all histories.
type Seal struct {
	N     int64
	At    time.Time
	Lines int64 // written since the one before
	Heads int64 // requests that they belong to
	Hash  []byte
}

// SealHistory seals the newest line of every request that was written to since
// the last seal; false when nothing was. Lines of transactions under way wait
// for the next one.
func (t *Tx) SealHistory(ctx context.Context, now time.Time) (Seal, bool, error) {
	if err := t.q.LockKey(ctx, "seal history"); err != nil {
		return Seal{}, false, err
	}
	last, err := t.q.LastSeal(ctx)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Seal{}, false, err
	}
	upto, err := t.q.CompleteBefore(ctx)
	if err != nil {
		return Seal{}, false, err
	}
	heads := headsBetween
	if last.Upto > upto { // transaction numbers began again: restored elsewhere
		heads = headsNotSealed
	}
	row := db.AuditSeal{N: last.N + 1, At: now.UTC().Truncate(time.Microsecond), Upto: upto, PrevHash: last.Hash}
	if err := t.readHeads(ctx, heads, last.Upto, &row); err != nil || row.Heads == 0 {
		return Seal{}, false, err
	}
	if row.PrevHash == nil {
		row.PrevHash = []byte{}
	}
	if row.Hash, err = sealHash(row); err != nil {
		return Seal{}, false, err
	}
	row.Mac = t.ring.Fingerprint(sealAD(row.Hash))
	if err := t.q.SealInsert(ctx, db.SealInsertParams(row)); err != nil {
		return Seal{}, false, err
	}
	// The same lines as were read: their transactions have ended, and one seal is made at a time.
	_, err = t.SQL.Exec(ctx, "insert into audit_head (n, request_id, seq, hash) select $3, h.request_id, h.seq, h.hash from ("+heads+") h", last.Upto, upto, row.N)
	return Seal{N: row.N, At: row.At, Lines: row.Lines, Heads: row.Heads, Hash: row.Hash}, err == nil, err
}

// The newest line of each request that was written to by the transactions from
// $1 on, below $2; and the same by comparison, whatever $1.
const (
	headsBetween = `select distinct on (request_id) request_id, seq, hash, count(*) over (partition by request_id) as lines
from history where xact >= $1::bigint and xact < $2::bigint
order by request_id, seq desc`
	headsNotSealed = `select distinct on (h.request_id) h.request_id, h.seq, h.hash, count(*) over (partition by h.request_id) as lines
from history h
where h.xact < $2::bigint and $1::bigint is not null
  and not exists (select from audit_head a where a.request_id = h.request_id and a.seq >= h.seq)
order by h.request_id, h.seq desc`
)

// readHeads counts the heads and computes their root, one by one: after a
// restore they are as many as there are requests.
func (t *Tx) readHeads(ctx context.Context, heads string, since int64, row *db.AuditSeal) error {
	if _, err := t.SQL.Exec(ctx, "set local statement_timeout = 0"); err != nil { // the job has its own limit
		return err
	}
	rows, err := t.SQL.Query(ctx, heads, since, row.Upto)
	if err != nil {
		return err
	}
	defer rows.Close()
	sum := sha256.New()
	for rows.Next() {
		var request, lines int64
		var seq int32
		var line []byte
		if err := rows.Scan(&request, &seq, &line, &lines); err != nil {
			return err
		}
		addHead(sum, request, seq, line)
		row.Heads++
		row.Lines += lines
	}
	row.Root = sum.Sum(nil)
	return rows.Err()
}

// addHead adds one head to the root of a seal.
func addHead(sum hash.Hash, request int64, seq int32, line []byte) {
	fmt.Fprintf(sum, "%d %d %x\n", request, seq, line)
}

func sealHash(s db.AuditSeal) ([]byte, error) {
	text, err := json.Marshal(map[string]any{
		"n": s.N, "at": s.At.UTC().Format(time.RFC3339Nano), "upto": s.Upto, "lines": s.Lines, "heads": s.Heads, "root": s.Root,
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	sum.Write(s.PrevHash)
	sum.Write(text)
	return sum.Sum(nil), nil
}

func sealAD(hash []byte) []byte { return append([]byte("audit_seal/"), hash...) }

// Flaw is something that the audit found wrong.
type Flaw struct {
	Seal      int64 // 0: of a line
	RequestID int64 // 0: of a seal
	Seq       int
	What      string
}

func (f Flaw) String() string {
	switch {
	case f.RequestID == 0:
		return fmt.Sprintf("seal %d: %s", f.Seal, f.What)
	case f.Seal == 0:
		return fmt.Sprintf("request %d, line %d: %s", f.RequestID, f.Seq, f.What)
	}
	return fmt.Sprintf("seal %d, request %d, line %d: %s", f.Seal, f.RequestID, f.Seq, f.What)
}

// maxFlaws bounds those that an audit tells one by one.
const maxFlaws = 1000

// Audit is what a verification read and found.
type Audit struct {
	Requests, Lines, Seals int64
	Unsealed               int64 // lines that wait for the next seal
	Last                   Seal  // the newest; note its hash elsewhere to compare later
	Flaws                  []Flaw
	More                   bool // there are more flaws than those
}

func (a *Audit) flaw(f Flaw) {
	if len(a.Flaws) >= maxFlaws {
		a.More = true
		return
	}
	a.Flaws = append(a.Flaws, f)
}

// VerifyHistory reads every line and every seal, in one snapshot, and checks
// that each line has the hash of its content and of the line before, each seal
// that of its heads and of the seal before, and that every sealed line is still
// what was sealed. known are hashes of seals noted earlier, which must be there.
func (s *Store) VerifyHistory(ctx context.Context, known ...[]byte) (Audit, error) {
	var a Audit
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local statement_timeout = 0"); err != nil {
			return err
		}
		q := db.New(tx)
		if err := a.lines(ctx, tx); err != nil {
			return err
		}
		if err := a.seals(ctx, tx, q, s.ring, known); err != nil {
			return err
		}
		differ, err := q.SealedHeadsThatDiffer(ctx, maxFlaws+1)
		if err != nil {
			return err
		}
		for _, d := range differ {
			what := "is no longer the line that was sealed"
			if d.Gone {
				what = "was sealed and is gone"
			}
			a.flaw(Flaw{Seal: d.N, RequestID: d.RequestID, Seq: int(d.Seq), What: what})
		}
		a.Unsealed, err = q.CountUnsealed(ctx)
		return err
	})
	return a, err
}

// lines checks the chain of each request.
func (a *Audit) lines(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `select request_id, seq, at, actor, event, entity_type, entity_id, reason, detail, correlation, prev_hash, hash
from history order by request_id, seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var before db.InsertHistoryParams
	for rows.Next() {
		var l db.InsertHistoryParams
		if err := rows.Scan(&l.RequestID, &l.Seq, &l.At, &l.Actor, &l.Event, &l.EntityType, &l.EntityID, &l.Reason, &l.Detail,
			&l.Correlation, &l.PrevHash, &l.Hash); err != nil {
			return err
		}
		if l.RequestID != before.RequestID {
			a.Requests++
			before = db.InsertHistoryParams{RequestID: l.RequestID}
		}
		a.Lines++
		want, err := lineHash(l)
		if err != nil {
			return err
		}
		flaw := func(what string) { a.flaw(Flaw{RequestID: l.RequestID, Seq: int(l.Seq), What: what}) }
		switch {
		case l.Seq != before.Seq+1:
			flaw(fmt.Sprintf("comes after line %d: what was between is gone", before.Seq))
		case !bytes.Equal(l.PrevHash, before.Hash):
			flaw("does not follow the line before it")
		}
		if !bytes.Equal(l.Hash, want) {
			flaw("was changed: its hash is not that of its content")
		}
		before = l
	}
	return rows.Err()
}

// seals checks the global chain.
func (a *Audit) seals(ctx context.Context, tx pgx.Tx, q *db.Queries, ring Sealer, known [][]byte) error {
	roots, err := rootsOf(ctx, tx)
	if err != nil {
		return err
	}
	list, err := q.Seals(ctx)
	if err != nil {
		return err
	}
	var before db.AuditSeal
	found := make([]bool, len(known))
	for _, s := range list {
		a.Seals++
		want, err := sealHash(s)
		if err != nil {
			return err
		}
		flaw := func(what string) { a.flaw(Flaw{Seal: s.N, What: what}) }
		switch {
		case s.N != before.N+1:
			flaw(fmt.Sprintf("comes after seal %d: what was between is gone", before.N))
		case !bytes.Equal(s.PrevHash, before.Hash):
			flaw("does not follow the seal before it")
		}
		if !bytes.Equal(s.Hash, want) {
			flaw("was changed: its hash is not that of its content")
		}
		if !bytes.Equal(s.Root, roots[s.N]) {
			flaw("its heads are not those that it was made of")
		}
		if !hmac.Equal(s.Mac, ring.Fingerprint(sealAD(s.Hash))) {
			flaw("was not made by this hub: its keyed mark is wrong")
		}
		for i, hash := range known {
			found[i] = found[i] || bytes.Equal(hash, s.Hash)
		}
		before = s
		a.Last = Seal{N: s.N, At: s.At, Lines: s.Lines, Heads: s.Heads, Hash: s.Hash}
	}
	for i, hash := range known {
		if !found[i] {
			a.flaw(Flaw{What: fmt.Sprintf("the seal noted as %x is not in the chain", hash)})
		}
	}
	return nil
}

// rootsOf computes the root of every seal from its heads.
func rootsOf(ctx context.Context, tx pgx.Tx) (map[int64][]byte, error) {
	rows, err := tx.Query(ctx, `select n, request_id, seq, hash from audit_head order by n, request_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	roots := map[int64][]byte{}
	sum, n := sha256.New(), int64(0)
	for rows.Next() {
		var of, request int64
		var seq int32
		var line []byte
		if err := rows.Scan(&of, &request, &seq, &line); err != nil {
			return nil, err
		}
		if of != n {
			if n != 0 {
				roots[n] = sum.Sum(nil)
			}
			sum.Reset()
			n = of
		}
		addHead(sum, request, seq, line)
	}
	if n != 0 {
		roots[n] = sum.Sum(nil)
	}
	return roots, rows.Err()
}

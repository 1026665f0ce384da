package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// The kinds of receivers, as INSEE's legal category tells them, else their names.
const (
	KindCommune         = "commune"
	KindCCAS            = "ccas"
	KindCaisseDesEcoles = "caisse_des_ecoles"
	KindGroupement      = "groupement"
)

// ReceiverSearch looks for those that receive now. What is empty does not count.
type ReceiverSearch struct {
	Process      string
	Words        []string // folded (FoldWords); each begins a word of the name
	Plain        string   // how the name is written, folded; "": Words as they are. It orders, it does not choose
	Codes        []string // postal or INSEE codes, one of them
	Prefix       string   // of a postal code, digits
	Departements []string // one of them
	Kinds        []string // one of them
	Offset       int
	Limit        int // rows; 0: only count
}

// Listed is a receiver in a list.
type Listed struct {
	ID                                               int64
	Siret, Cog, Name, Place, PostalCode, Departement string
	Kind                                             string
}

// FoundReceivers are one page of a search.
type FoundReceivers struct {
	Rows   []Listed
	Counts map[string]int // of the whole search, by kind, whatever the kinds asked for
}

// FoldWords splits a name as receivers are indexed: without case and accents.
func FoldWords(text string) []string {
	return strings.FieldsFunc(fold(text), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// short are words that names are also written with, and what they are indexed as.
var short = map[string]string{"st": "saint", "ste": "sainte"}

// query gives the search as text of to_tsquery; FoldWords left nothing that it could misread.
func (f ReceiverSearch) query() string {
	terms := make([]string, 0, len(f.Words))
	for _, w := range f.Words {
		if long, ok := short[w]; ok {
			terms = append(terms, "("+w+":*|"+long+":*)")
			continue
		}
		terms = append(terms, w+":*")
	}
	return strings.Join(terms, "&")
}

// plain is how the index would write what was asked.
func (f ReceiverSearch) plain() string {
	words := f.Words
	if f.Plain != "" {
		words = strings.Fields(f.Plain)
	}
	words = slices.Clone(words)
	for i, w := range words {
		if long, ok := short[w]; ok {
			words[i] = long
		}
	}
	return strings.Join(words, " ")
}

func (f ReceiverSearch) conditions(q *sql) {
	q.write(" from receiver where process = ", q.value(f.Process), " and state in ('active', 'delegated')")
	if len(f.Words) > 0 {
		q.write(" and receiver_search(name, place) @@ to_tsquery('simple', ", q.value(f.query()), ")")
	}
	if len(f.Codes) > 0 {
		codes := q.value(f.Codes)
		q.write(" and (postal_code = any(", codes, ") or cog = any(", codes, "))")
	}
	if f.Prefix != "" {
		q.write(" and postal_code ~>=~ ", q.value(f.Prefix), " and postal_code ~<~ ", q.value(f.Prefix+":"), "") // ":" follows "9"
	}
	if len(f.Departements) > 0 {
		q.write(" and departement = any(", q.value(f.Departements), ")")
	}
}

// SearchReceivers gives one page, best first: the whole name, then names that
// begin so, then the rest; communes before what belongs to them.
func (s *Store) SearchReceivers(ctx context.Context, f ReceiverSearch) (FoundReceivers, error) {
	found := FoundReceivers{Counts: map[string]int{}}
	count := &sql{}
	count.write("select kind, count(*)")
	f.conditions(count)
	rows, err := s.pool.Query(ctx, count.String()+" group by kind", count.args...)
	if err != nil {
		return found, err
	}
	var kind string
	var n, wanted int
	_, err = pgx.ForEachRow(rows, []any{&kind, &n}, func() error {
		found.Counts[kind] = n
		if len(f.Kinds) == 0 || slices.Contains(f.Kinds, kind) {
			wanted += n
		}
		return nil
	})
	if err != nil || f.Limit <= 0 || wanted <= f.Offset {
		return found, err
	}
	page := &sql{}
	page.write("select id, siret, cog, name, place, postal_code, departement, kind")
	f.conditions(page)
	if len(f.Kinds) > 0 {
		page.write(" and kind = any(", page.value(f.Kinds), ")")
	}
	plain := page.value(f.plain())
	page.write(" order by sort_name = ", plain, " desc, starts_with(sort_name, ", plain, ") desc, kind <> 'commune', sort_name, departement, id offset ",
		page.value(f.Offset), " limit ", page.value(f.Limit))
	if rows, err = s.pool.Query(ctx, page.String(), page.args...); err != nil {
		return found, err
	}
	found.Rows, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Listed])
	return found, err
}

// SetReceiverPlace keeps the name of the receiver's commune and its legal
// category; "" leaves what is known.
func (t *Tx) SetReceiverPlace(ctx context.Context, id int64, place, category string, now time.Time) error {
	return t.q.SetReceiverPlace(ctx, place, category, now, id)
}

// ReceiversOfSiret gives those of one SIRET, whatever their state: a SIRET may
// stand for several communes.
func (s *Store) ReceiversOfSiret(ctx context.Context, process, siret string) ([]Receiver, error) {
	return s.q.ReceiversOfSiret(ctx, process, siret)
}

// ReceiversOfCog gives those of one commune that receive now, the commune first.
func (s *Store) ReceiversOfCog(ctx context.Context, process, cog string) ([]Receiver, error) {
	return s.q.ReceiversOfCog(ctx, process, cog)
}

// ReceivingNow is a receiver as the public list tells it.
type ReceivingNow = db.ReceivingNowRow

// ReceivingNow gives all that receive now, by département and name.
func (s *Store) ReceivingNow(ctx context.Context, process string) ([]ReceivingNow, error) {
	return s.q.ReceivingNow(ctx, process)
}

// ReceiverCounts gives how many receivers are in each state.
func (s *Store) ReceiverCounts(ctx context.Context, process string) (map[string]int, error) {
	rows, err := s.q.ReceiverCounts(ctx, process)
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		counts[r.State] = int(r.N)
	}
	return counts, err
}

// WaitingReceiver is a receiver with the reason that its rights give.
type WaitingReceiver struct {
	Receiver
	RequestID int64  // of its newest right; 0 for none
	Why       string // for people
}

// ReceiversInState gives those in one state, longest first, with why.
func (s *Store) ReceiversInState(ctx context.Context, process, state string, limit int) ([]WaitingReceiver, error) {
	rows, err := s.q.ReceiversInState(ctx, process, state, int32(limit))
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	reasons, err := s.q.ReceiverWhy(ctx, ids)
	if err != nil {
		return nil, err
	}
	list := make([]WaitingReceiver, len(rows))
	for i, r := range rows {
		list[i] = WaitingReceiver{Receiver: r, Why: r.SuspendedReason}
		for _, reason := range reasons {
			if reason.ReceiverID == r.ID {
				list[i].RequestID = reason.RequestID
				if list[i].Why == "" {
					list[i].Why = reason.Problem
				}
				break
			}
		}
	}
	return list, nil
}

// UnlocatedRight gives the request, and its definition, that lets an organization
// receive although its commune is not known; ErrNotFound for none.
func (s *Store) UnlocatedRight(ctx context.Context, process, siret string) (requestID int64, definition string, err error) {
	row, err := s.q.UnlocatedRight(ctx, process, siret)
	return row.RequestID, row.Definition, notFound(err, "right of", siret)
}

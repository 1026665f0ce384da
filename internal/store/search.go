package store

import (
	"context"
	"fmt"
	"strings"
)

// searchBudget is how many candidates one search looks at. What is rarer is
// searched whole; what is commoner page by page, newest first: a page may then
// be short although more follows, and its cursor goes on from there.
const searchBudget = 2000

// search finds the requests that have all the words, newest first. It starts
// from whichever is rarest, a word or the other filters, and probes the rest.
func (s *Store) search(ctx context.Context, f Filter, p Page) (Found, error) {
	l := listing{filter: f, page: p, order: byID}
	rarest, n, err := s.rarest(ctx, l)
	if err != nil {
		return Found{}, err
	}
	if n == 0 {
		return Found{Total: &Total{Exact: true}}, nil
	}
	q := &sql{}
	l.candidates(q, rarest)
	q.write(", hits as materialized (select r.id from base b join request r on r.id = b.id where ", l.conditions(q, "", ""))
	for _, word := range f.Words {
		if word != rarest {
			q.write(" and exists (select from request_word w where w.word = ", q.value(word), " and w.request_id = r.id)")
		}
	}
	q.write(") select (select count(*) from base), (select min(id) from base), (select count(*) from hits), ",
		"array (select id from hits order by id desc limit ", q.value(p.Limit+1), "::integer offset ", q.value(p.Offset), "::integer)")
	var scanned, hits int
	var last *int64
	var ids []int64
	if err := s.pool.QueryRow(ctx, q.String(), q.args...).Scan(&scanned, &last, &hits, &ids); err != nil {
		return Found{}, err
	}
	page := &sql{}
	page.write("select unnest(", page.value(ids), "::bigint[]) as id")
	found, err := s.page(ctx, page)
	if err != nil {
		return found, err
	}
	found.cut(l)
	whole := scanned < searchBudget || n <= searchBudget
	if found.Next == nil && !whole {
		found.Next = &Cursor{ID: val(last)}
	}
	if p.After == nil {
		found.Total = totalOf(hits)
		found.Total.Exact = found.Total.Exact && whole
	}
	return found, nil
}

// candidates writes the common table expression "base" of ids to look at. The
// filters' own are read whole: they are fewer than the budget.
func (l listing) candidates(q *sql, rarest string) {
	q.write("with base as materialized (")
	if rarest == "" {
		inner := listing{filter: l.filter, order: byCreation}
		inner.rows(q, fmt.Sprint(searchBudget+1))
	} else {
		q.write("select w.request_id as id from request_word w where w.word = ", q.value(rarest))
		if l.page.After != nil {
			q.write(" and w.request_id < ", q.value(l.page.After.ID))
		}
		q.write(" order by w.request_id desc limit ", fmt.Sprint(searchBudget))
	}
	q.write(")")
}

// rarest says what to start from: a word, or "" for the other filters, and how
// many requests it has, counted up to one more than the budget.
func (s *Store) rarest(ctx context.Context, l listing) (string, int, error) {
	words := l.filter.Words
	q := &sql{}
	var counts []string
	for _, word := range words {
		counts = append(counts, fmt.Sprintf("(select count(*) from (select from request_word w where w.word = %s limit %d) c)", q.value(word), searchBudget+1))
	}
	filtered := l.filter.Definitions != nil || l.filter.Forms != nil || l.filter.Organizations != nil || l.filter.Applicants != nil
	if filtered {
		inner := &sql{args: q.args}
		(listing{filter: l.filter, order: byCreation}).rows(inner, fmt.Sprint(searchBudget+1))
		q.args = inner.args
		counts = append(counts, fmt.Sprintf("(select count(*) from (%s limit %d) c)", inner.String(), searchBudget+1))
	}
	found := make([]int, len(counts))
	targets := make([]any, len(counts))
	for i := range found {
		targets[i] = &found[i]
	}
	if err := s.pool.QueryRow(ctx, "select "+strings.Join(counts, ", "), q.args...).Scan(targets...); err != nil {
		return "", 0, err
	}
	best := 0
	for i := range words {
		if found[i] < found[best] {
			best = i
		}
	}
	if others := found[len(found)-1]; filtered && others <= searchBudget && others < found[best] {
		return "", others, nil
	}
	return words[best], found[best], nil
}

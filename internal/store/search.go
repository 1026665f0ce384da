package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// searchBudget is how many candidates one search looks at. What is rarer is
// searched whole; what is commoner page by page, newest first: a page may then
// be short although more follows, and its cursor goes on from there.
const searchBudget = MaxTotal

// search finds the requests that have all the words, newest first. It starts
// from whichever is rarest, a word or the other filters, and probes the rest.
func (s *Store) search(ctx context.Context, f Filter, p Page) (Found, error) {
	l := listing{filter: f, page: p, order: byID}
	rarest, others, n, err := s.rarest(ctx, l)
	if err != nil {
		return Found{}, err
	}
	if n == 0 {
		return Found{Total: &Total{Exact: true}}, nil
	}
	q := &sql{}
	l.candidates(q, rarest)
	q.write(", hits as materialized (select b.id from base b")
	if rarest != "" && l.onPostings() {
		if f.Definitions == nil {
			q.write(" where true")
		} else {
			q.write(" where ", among(q, "b.definition", f.Definitions))
		}
	} else {
		q.write(" join request r on r.id = b.id where ", l.conditions(q, "", "", ""))
	}
	for _, word := range others {
		// As exists it would be one more join: eight words take 80 ms to plan.
		q.write(" and (select true from request_word w where w.word = ", q.value(word), " and w.request_id = b.id)")
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
	whole := scanned < searchBudget || rarest == ""
	if found.Next == nil && !whole {
		found.Next = &Cursor{ID: val(last)}
	}
	if p.After == nil {
		found.Total = totalOf(hits)
		found.Total.Exact = found.Total.Exact && whole
	}
	return found, nil
}

// onPostings reports that postings alone say whether a request matches, beside
// the place to go on from, which candidates heeds: none of its row is read.
func (l listing) onPostings() bool {
	f := l.filter
	return f.States == nil && f.Forms == nil && f.Organizations == nil && f.Applicants == nil && f.UpdatedSince.IsZero()
}

// candidates writes the common table expression "base" of ids to look at. The
// filters' own are read whole: they are fewer than the budget.
func (l listing) candidates(q *sql, rarest string) {
	q.write("with base as materialized (")
	if rarest == "" {
		inner := listing{filter: l.filter, order: byCreation}
		inner.rows(q, fmt.Sprint(searchBudget+1))
	} else {
		q.write("select w.request_id as id, w.definition from request_word w where w.word = ", q.value(rarest))
		if l.page.After != nil {
			q.write(" and w.request_id < ", q.value(l.page.After.ID))
		}
		q.write(" order by w.request_id desc limit ", fmt.Sprint(searchBudget))
	}
	q.write(")")
}

// rarest says what to start from: a word, or "" for the other filters; which
// words are left to probe, rarest first; and how many requests what it starts
// from has or had a moment ago, counted up to one more than the budget.
func (s *Store) rarest(ctx context.Context, l listing) (start string, others []string, n int, err error) {
	found, filtered, err := s.frequencies(ctx, l)
	if err != nil {
		return "", nil, 0, err
	}
	words := slices.Clone(l.filter.Words)
	slices.SortStableFunc(words, func(a, b string) int { return found[a] - found[b] })
	if filtered < found[words[0]] {
		return "", words, filtered, nil
	}
	return words[0], words[1:], found[words[0]], nil
}

// frequencies counts the requests of each word and those of the other filters,
// up to one more than the budget; the filters only as far as the rarest word.
// What was counted a moment ago is not counted again: it only says what to start
// from. But a word that nothing had is looked at again.
func (s *Store) frequencies(ctx context.Context, l listing) (words map[string]int, filtered int, err error) {
	const common = searchBudget + 1
	words = map[string]int{}
	least := common // of the words that are known
	q := &sql{}
	q.write("with w as materialized (select ")
	var columns, counted []string
	for _, word := range l.filter.Words {
		if n, known := s.counts.get(word); known {
			words[word], least = n, min(least, n)
			continue
		}
		column := fmt.Sprintf("n%d", len(columns))
		if len(columns) > 0 {
			q.write(", ")
		}
		q.write(fmt.Sprintf("(select count(*) from (select from request_word w where w.word = %s limit %d) c) as %s", q.value(word), common, column))
		columns, counted = append(columns, column), append(counted, word)
	}
	filtered = common
	key, filters := "", l.filter.Definitions != nil || l.filter.Forms != nil || l.filter.Organizations != nil || l.filter.Applicants != nil
	if filters {
		own := &sql{}
		(listing{filter: l.filter, order: byCreation}).rows(own, fmt.Sprint(common))
		key = fmt.Sprint(own.String(), own.args)
		atLeast, _ := s.counts.get(key)
		filters = atLeast < least
	}
	if !filters && len(counted) == 0 {
		return words, filtered, nil
	}
	columns = append(columns, q.value(least)+"::bigint")
	if len(counted) == 0 {
		q.write("1")
	}
	q.write(") select ", strings.Join(columns, ", "))
	found := make([]int, len(columns)+1)
	targets := make([]any, len(columns), len(found))
	for i := range columns {
		targets[i] = &found[i]
	}
	if filters {
		q.write(", (select count(*) from (")
		(listing{filter: l.filter, order: byCreation}).rows(q, fmt.Sprint(common))
		q.write(" limit (select least(", strings.Join(columns, ", "), ") from w)) c)")
		targets = append(targets, &found[len(columns)])
	}
	q.write(" from w")
	if err := s.pool.QueryRow(ctx, q.String(), q.args...).Scan(targets...); err != nil {
		return nil, 0, err
	}
	for i, word := range counted {
		if words[word] = found[i]; found[i] > 0 {
			s.counts.put(word, found[i])
		}
	}
	if filters {
		filtered = found[len(columns)]
		s.counts.put(key, filtered)
	}
	return words, filtered, nil
}

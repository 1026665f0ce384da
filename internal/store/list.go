package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// Filter says which requests are looked for. A nil list asks for nothing, an
// empty one matches nothing.
type Filter struct {
	States        []habilitation.State
	Definitions   []string
	Forms         []string
	Organizations []int64 // rows, see OrganizationsBySIRET and OrganizationsByName
	Applicants    []int64 // rows, see PeopleByEmail
	Words         []string
	UpdatedSince  time.Time // zero: whenever; else the answer is in the order of changes
}

// Page is a part of a list: Limit items after a cursor, or from an offset.
type Page struct {
	Limit  int
	Offset int
	After  *Cursor
}

// Cursor is the place of an item in a list. At is the time of the list's order,
// zero where the order is that of the ids.
type Cursor struct {
	At time.Time
	ID int64
}

// MaxTotal is how far totals are counted. Beyond, a total says "at least": an
// exact count would read every row of an answer that nobody pages through.
const MaxTotal = 1000

// Total is how many requests match.
type Total struct {
	Value int
	Exact bool // false: at least Value
}

// Summary is a request as lists show it.
type Summary struct {
	ID                                                     int64
	Origin                                                 habilitation.Origin
	Source                                                 string
	ExternalID                                             int64
	PublicID                                               uuid.UUID
	Definition, Form                                       string
	State                                                  habilitation.State
	Reopening                                              bool
	Title                                                  string
	Organization                                           habilitation.Organization
	Applicant                                              habilitation.Applicant
	CreatedAt, LastSubmittedAt, LastValidatedAt, UpdatedAt time.Time
	Version                                                int64
}

// Found is one page of a list.
type Found struct {
	Items []Summary
	Total *Total  // of the first page only
	Next  *Cursor // nil: nothing more
}

// order is how a list is sorted, with the index that gives it.
type order int

const (
	byCreation order = iota // newest first, as DataPass lists
	byChange                // oldest change first: to follow changes since a date
	byID                    // newest first: searches by text
)

// Requests lists the requests that match, with their total on the first page.
func (s *Store) Requests(ctx context.Context, f Filter, p Page) (Found, error) {
	if f.nothing() {
		return Found{Total: &Total{Exact: true}}, nil
	}
	if len(f.Words) > 0 {
		return s.search(ctx, f, p)
	}
	l := listing{filter: f, page: p, order: byCreation}
	if !f.UpdatedSince.IsZero() {
		l.order = byChange
	}
	found, err := s.page(ctx, l.ids())
	if err != nil {
		return found, err
	}
	found.cut(l)
	if p.After != nil {
		return found, nil
	}
	if found.Next == nil && (p.Offset == 0 || len(found.Items) > 0) {
		found.Total = &Total{Value: p.Offset + len(found.Items), Exact: true}
		return found, nil
	}
	found.Total, err = s.total(ctx, l)
	return found, err
}

// cut drops the item that was read only to know whether there are more.
func (f *Found) cut(l listing) {
	if len(f.Items) <= l.page.Limit {
		return
	}
	f.Items = f.Items[:l.page.Limit]
	last := f.Items[len(f.Items)-1]
	f.Next = &Cursor{ID: last.ID}
	switch l.order {
	case byCreation:
		f.Next.At = last.CreatedAt
	case byChange:
		f.Next.At = last.UpdatedAt
	case byID:
	}
}

// nothing reports that a list of the filter is empty: nothing can match.
func (f Filter) nothing() bool {
	return f.States != nil && len(f.States) == 0 || f.Definitions != nil && len(f.Definitions) == 0 || f.Forms != nil && len(f.Forms) == 0 ||
		f.Organizations != nil && len(f.Organizations) == 0 || f.Applicants != nil && len(f.Applicants) == 0
}

// sql is a statement being written, values apart from text.
type sql struct {
	strings.Builder
	args []any
}

func (q *sql) value(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

func (q *sql) write(parts ...string) {
	for _, p := range parts {
		q.WriteString(p)
	}
}

// listing writes the statements of one list without text.
type listing struct {
	filter Filter
	page   Page
	order  order
}

// maxBranches bounds how many pairs of definition and state are read one by
// one, each from its own stretch of an index, and merged.
const maxBranches = 256

var allStates = []habilitation.State{
	habilitation.Draft, habilitation.Submitted, habilitation.ChangesRequested, habilitation.Validated, habilitation.Refused,
	habilitation.Archived, habilitation.Revoked,
}

// branches gives the column and its values to be paired with states, "" when
// the list is better read from one index. No states: the column's values alone,
// each of which has an index of its own in the list's order.
func (l listing) branches() (column string, values []string, states []habilitation.State) {
	f := l.filter
	states = f.States
	column, values = "definition", f.Definitions
	if f.Forms != nil {
		column, values = "form", f.Forms
		if states == nil {
			states = allStates // its index starts with form and state
		}
	}
	values, states = once(values), once(states) // what is given twice is read once
	if values == nil || l.order != byCreation || f.Organizations != nil || f.Applicants != nil || len(values)*max(len(states), 1) > maxBranches {
		return "", nil, nil
	}
	return column, values, states
}

// ids writes the statement that gives the page's ids, one more than asked for.
func (l listing) ids() *sql {
	q := &sql{}
	limit := q.value(l.page.Limit + 1)
	offset := q.value(l.page.Offset)
	l.rows(q, atMost(l.page.Limit+1+l.page.Offset))
	// As queries of their own they count for nothing when the plan for these
	// values is held against the one for all: that is the one to be kept.
	q.write(" order by ", l.sorting("k"), " limit (select ", limit, "::integer) offset (select ", offset, "::integer)")
	return q
}

// atMost gives a limit that is written into a statement, not less than n. The
// planner makes one plan for all values of a parameter only when it knows how
// few rows are wanted; few limits make few statements.
func atMost(n int) string {
	limit := 32
	for limit < n {
		limit *= 4
	}
	return fmt.Sprint(limit)
}

// maxUnion bounds the branches that are written out. Written out, they are
// merged as far as the page goes; more of them are each read so far.
const maxUnion = 24

// rows writes a select of at most limit matching ids with their times, k.
func (l listing) rows(q *sql, limit string) {
	column, values, states := l.branches()
	if column == "" {
		q.write("select k.id, k.at from (select r.id, ", l.time(), " as at from request r where ", l.conditions(q, "", "", ""),
			" order by ", l.sortingOfRequest(), " limit ", limit, ") k")
		return
	}
	branch := func(value, state string) {
		q.write("(select r.id, ", l.time(), " as at from request r where ", l.conditions(q, column, value, state),
			" order by ", l.sortingOfRequest(), " limit ", limit, ")")
	}
	if len(values)*max(len(states), 1) > maxUnion {
		q.write("select k.id, k.at from unnest(", q.value(values), "::text[]) b (value)")
		state := ""
		if states != nil {
			state = "s.state"
			q.write(" cross join unnest(", q.value(texts(states)), "::text[]) s (state)")
		}
		q.write(" cross join lateral ")
		branch("b.value", state)
		q.write(" k")
		return
	}
	q.write("select k.id, k.at from (")
	for i, value := range values {
		value = q.value(value)
		for j := range max(len(states), 1) {
			if i+j > 0 {
				q.write(" union all ")
			}
			state := ""
			if states != nil {
				state = q.value(string(states[j]))
			}
			branch(value, state)
		}
	}
	q.write(") k")
}

func (l listing) time() string {
	switch l.order {
	case byChange:
		return "r.updated_at"
	case byCreation, byID:
	}
	return "r.created_at"
}

func (l listing) sortingOfRequest() string {
	if l.order == byChange {
		return "r.updated_at, r.id"
	}
	return "r.created_at desc, r.id desc"
}

func (l listing) sorting(alias string) string {
	if l.order == byChange {
		return alias + ".at, " + alias + ".id"
	}
	return alias + ".at desc, " + alias + ".id desc"
}

// conditions writes what a request r must meet. branch is the column that the
// caller reads value by value; state is the one state of it, "" where it is not
// read state by state.
func (l listing) conditions(q *sql, branch, value, state string) string {
	f := l.filter
	where := []string{"true"}
	add := func(parts ...string) { where = append(where, strings.Join(parts, "")) }
	// Where a form or its holders find the rows, the other filters only sift them:
	// as tests of truth they keep their statistics and cannot draw the planner to
	// an index of theirs, of which it would read far more.
	sift := func(test string) {
		if branch == "form" || f.Organizations != nil || f.Applicants != nil {
			test = "(" + test + ") is true"
		}
		add(test)
	}
	if branch != "" {
		add("r.", branch, " = ", value)
	}
	if state != "" {
		add("r.state = ", state)
	} else if f.States != nil {
		sift(among(q, "r.state", texts(f.States)))
	}
	if f.Definitions != nil && branch != "definition" {
		sift(among(q, "r.definition", f.Definitions))
	}
	if f.Forms != nil && branch != "form" {
		add(among(q, "r.form", f.Forms))
	}
	if f.Organizations != nil {
		add(among(q, "r.organization_id", f.Organizations))
	}
	if f.Applicants != nil {
		add(among(q, "r.applicant_id", f.Applicants))
	}
	if !f.UpdatedSince.IsZero() {
		add("r.updated_at >= ", q.value(f.UpdatedSince))
	}
	if c := l.page.After; c != nil {
		sign := "<"
		if l.order == byChange {
			sign = ">"
		}
		if l.order == byID {
			add("r.id < ", q.value(c.ID))
		} else {
			add("(", l.time(), ", r.id) ", sign, " (", q.value(c.At), ", ", q.value(c.ID), ")")
		}
	}
	return strings.Join(where, " and ")
}

// among writes that a column has one of some values. Of one value it says so: a
// plan that is kept for all values would count on ten.
func among[T string | int64](q *sql, column string, values []T) string {
	if len(values) == 1 {
		return column + " = " + q.value(values[0])
	}
	return column + " = any (" + q.value(values) + ")"
}

// once sorts a list and drops what it repeats; nil stays nil.
func once[T ~string](list []T) []T { return slices.Compact(slices.Sorted(slices.Values(list))) }

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// farTotal is how far a total is counted: where there are so many, "at least
// MaxTotal" holds for a while, whatever changes in between.
const farTotal = 2 * MaxTotal

// total counts what matches, as far as totals go.
func (s *Store) total(ctx context.Context, l listing) (*Total, error) {
	q := &sql{}
	q.write("select count(*) from (")
	limit := fmt.Sprint(farTotal)
	l.page.After = nil
	l.rows(q, limit)
	q.write(" limit ", limit, ") c")
	key := fmt.Sprint(q.String(), q.args)
	if s.many.knows(key) {
		return totalOf(farTotal), nil
	}
	var n int
	if err := s.pool.QueryRow(ctx, q.String(), q.args...).Scan(&n); err != nil {
		return nil, err
	}
	if n == farTotal {
		s.many.learn(key)
	}
	return totalOf(n), nil
}

func totalOf(n int) *Total { return &Total{Value: min(n, MaxTotal), Exact: n <= MaxTotal} }

// page reads the summaries of the ids that a statement gives, in its order.
func (s *Store) page(ctx context.Context, ids *sql) (Found, error) {
	var found Found
	rows, err := s.pool.Query(ctx, "with k as materialized ("+ids.String()+`)
select r.id, r.origin, r.source, r.external_id, r.public_id, r.definition, r.form, r.state, r.reopening, r.title,
       r.created_at, r.last_submitted_at, r.last_validated_at, r.updated_at, r.version,
       o.id, o.external_id, o.siret, o.name, p.id, p.external_id, p.email, p.given_name, p.family_name
from (select id, row_number() over () as n from k) k
join request r on r.id = k.id
join organization o on o.id = r.organization_id
join person p on p.id = r.applicant_id
order by k.n`, ids.args...)
	if err != nil {
		return found, err
	}
	found.Items, err = pgx.CollectRows(rows, scanSummary)
	return found, err
}

func scanSummary(row pgx.CollectableRow) (Summary, error) {
	var r Summary
	var external, orgExternal, personExternal *int64
	var submitted, validated *time.Time
	var siret *string
	err := row.Scan(
		&r.ID, &r.Origin, &r.Source, &external, &r.PublicID, &r.Definition, &r.Form, &r.State, &r.Reopening, &r.Title,
		&r.CreatedAt, &submitted, &validated, &r.UpdatedAt, &r.Version,
		&r.Organization.ID, &orgExternal, &siret, &r.Organization.Name,
		&r.Applicant.ID, &personExternal, &r.Applicant.Email, &r.Applicant.GivenName, &r.Applicant.FamilyName)
	r.ExternalID, r.LastSubmittedAt, r.LastValidatedAt = val(external), val(submitted), val(validated)
	r.Organization.ID, r.Organization.SIRET = shownID(r.Organization.ID, orgExternal), val(siret)
	r.Applicant.ID = shownID(r.Applicant.ID, personExternal)
	return r, err
}

// maxHolders bounds how many organisations or people a filter may stand for.
const maxHolders = 200

// TooManyError: a filter stands for more organisations than a list can be made of.
type TooManyError struct{ What string }

func (e *TooManyError) Error() string {
	return fmt.Sprintf("more than %d %s match", maxHolders, e.What)
}

// OrganizationsBySIRET gives the rows of an organisation: ours and its sources'.
func (s *Store) OrganizationsBySIRET(ctx context.Context, siret string) ([]int64, error) {
	return s.holders(ctx, "organizations", `select id from organization where siret = $1 limit $2`, siret)
}

// OrganizationsByName gives the organisations whose name has all these words.
func (s *Store) OrganizationsByName(ctx context.Context, name string) ([]int64, error) {
	words := foldWords(name)
	if len(words) == 0 {
		return []int64{}, nil
	}
	return s.holders(ctx, "organizations", `select id from organization
where to_tsvector('simple', translate(lower(name), 'àâäáãçéèêëíìîïñóòôöõúùûüýÿ''’-', 'aaaaaceeeeiiiinooooouuuuyy   ')) @@ to_tsquery('simple', $1)
limit $2`, strings.Join(words, " & "))
}

// PeopleByEmail gives the rows of a person: ours and his sources'.
func (s *Store) PeopleByEmail(ctx context.Context, email string) ([]int64, error) {
	return s.holders(ctx, "people", `select id from person where email = $1 limit $2`, address(email))
}

func (s *Store) holders(ctx context.Context, what, query, value string) ([]int64, error) {
	rows, err := s.pool.Query(ctx, query, value, maxHolders+1)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err == nil && len(ids) > maxHolders {
		return nil, &TooManyError{what}
	}
	return append([]int64{}, ids...), err // never nil: that would ask for nothing
}

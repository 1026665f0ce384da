package citizen

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Bounds of a search.
const (
	maxQuery   = 80 // characters
	maxTerms   = 8
	perPage    = 20
	maxPages   = 50
	suggestion = 8 // rows of the completion
)

// query is what a search asks for, as it was written and as it was understood.
type query struct {
	Text        string
	Departement string
	Kind        string
	Page        int

	search store.ReceiverSearch
	siret  string       // someone pasted one
	named  *departement // the text is also a département's name
}

// inputError says which field cannot be searched, and why.
type inputError struct{ Field, Message string }

func (e *inputError) Error() string { return e.Field + ": " + e.Message }

// kinds are what the filter offers, and what each holds.
var kinds = map[string][]string{
	"":                        {store.KindCommune, store.KindGroupement},
	store.KindCCAS:            {store.KindCCAS},
	store.KindCaisseDesEcoles: {store.KindCaisseDesEcoles},
}

var (
	codeRule        = regexp.MustCompile(`^([0-9]{5}|2[ab][0-9]{3})$`)
	departementRule = regexp.MustCompile(`^([0-9]{2}|2[ab]|9[78][0-9])$`)
	prefixRule      = regexp.MustCompile(`^[0-9]{3,4}$`)
	introRule       = regexp.MustCompile(`^(commune|ville|mairie) (de |du |des |d )?`)
	ordinalRule     = regexp.MustCompile(`^([0-9]{1,2}(e|er|eme|ere)?|arrondissements?)$`)
)

// fillers are written before a commune's name, or within it, and say nothing of it.
var fillers = []string{"commune", "ville", "mairie", "de", "du", "des", "d", "l", "la", "le", "les", "a"}

// cities have arrondissements with codes of their own (INSEE, La Poste).
var cities = map[string][]string{
	"paris":     append(span(75001, 20), append(span(75101, 20), "75056", "75116")...),
	"lyon":      append(span(69001, 9), append(span(69381, 9), "69123")...),
	"marseille": append(span(13001, 16), append(span(13201, 16), "13055")...),
}

func span(first, n int) []string {
	codes := make([]string, n)
	for i := range codes {
		codes[i] = strconv.Itoa(first + i)
	}
	return codes
}

// family gives the codes that stand for the same commune.
func family(code string) []string {
	for _, codes := range cities {
		if slices.Contains(codes, code) {
			return codes
		}
	}
	return []string{code}
}

// parse understands what was written: names, postal codes (whole or begun), INSEE
// codes and départements, in any order.
func parse(text, departement, kind, page string) (query, error) {
	q := query{Text: strings.TrimSpace(text), Departement: strings.ToUpper(departement), Kind: kind, Page: 1}
	q.search = store.ReceiverSearch{Process: registry.FolderProcess, Limit: perPage}
	if !utf8.ValidString(text) || utf8.RuneCountInString(q.Text) > maxQuery {
		q.Text = ""
		return q, &inputError{"q", fmt.Sprintf("Écrivez %d caractères au plus.", maxQuery)}
	}
	if _, known := departementOf(q.Departement); q.Departement != "" && !known {
		q.Departement = ""
		return q, &inputError{"departement", "Choisissez un département de la liste."}
	}
	var known bool
	if q.search.Kinds, known = kinds[q.Kind]; !known {
		q.Kind = ""
		return q, &inputError{"type", "Choisissez un type de la liste."}
	}
	if page != "" {
		n, err := strconv.Atoi(page)
		if err != nil || n < 1 || n > maxPages {
			return q, &inputError{"page", fmt.Sprintf("Les pages vont de 1 à %d.", maxPages)}
		}
		q.Page = n
	}
	q.search.Offset = (q.Page - 1) * perPage
	q.understand()
	if q.Departement != "" {
		q.search.Departements = []string{q.Departement}
	}
	return q, nil
}

func (q *query) understand() {
	terms := store.FoldWords(q.Text)
	if digits := strings.Join(terms, ""); len(digits) == 14 && strings.Trim(digits, "0123456789") == "" {
		q.siret = digits
		return
	}
	if len(terms) > maxTerms {
		terms = terms[:maxTerms]
	}
	if slices.ContainsFunc(terms, func(t string) bool { return cities[t] != nil }) {
		terms = slices.DeleteFunc(terms, ordinalRule.MatchString)
	}
	whole := strings.Join(terms, " ")
	for _, d := range departements {
		if strings.Join(store.FoldWords(d.Name), " ") == whole {
			q.named = &d
		}
	}
	for _, t := range terms {
		q.term(t)
	}
	meant := slices.DeleteFunc(slices.Clone(q.search.Words), func(w string) bool { return slices.Contains(fillers, w) })
	if len(meant) > 0 {
		q.search.Plain = introRule.ReplaceAllString(strings.Join(q.search.Words, " "), "")
		q.search.Words = meant
	}
}

// term takes one word: a code, the beginning of one, a département, or a word of a name.
func (q *query) term(t string) {
	switch {
	case codeRule.MatchString(t):
		q.search.Codes = append(q.search.Codes, family(strings.ToUpper(t))...)
	case t == "20": // Corse, as postal codes have it
		q.search.Departements = append(q.search.Departements, "2A", "2B")
	case departementRule.MatchString(t) && isDepartement(t):
		q.search.Departements = append(q.search.Departements, strings.ToUpper(t))
	case prefixRule.MatchString(t) && q.search.Prefix == "":
		q.search.Prefix = t
	default:
		q.search.Words = append(q.search.Words, t)
	}
}

func isDepartement(t string) bool {
	_, ok := departementOf(strings.ToUpper(t))
	return ok
}

// asks reports whether there is anything to look for.
func (q *query) asks() bool {
	s := q.search
	return len(s.Words)+len(s.Codes)+len(s.Departements) > 0 || s.Prefix != ""
}

package citizen

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/journey"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func (h *Handler) communeRoutes(r chi.Router) {
	r.Get("/collectivites", h.search)
	r.Get("/collectivites/suggestions", h.suggest)
	r.Get("/collectivites/select", h.selected)
	r.Get("/collectivites/{siret}", h.commune)
	r.Get("/collectivites/{siret}/me_connecter", h.commune)
	r.Get("/collectivites/{siret}/sans_france_connect", h.without)
	r.Get("/collectivites/{siret}/affiche", h.poster)
	r.Get("/collectivites/{siret}/qr.png", h.qr(pngOf))
	r.Get("/collectivites/{siret}/qr.svg", h.qr(svgOf))
	// Printed so in the guides (qf-form.md, 8, D-30).
	r.Get("/collectivities/{siret}", h.misprinted)
	r.Get("/collectivities/{siret}/*", h.misprinted)
}

// Commune is a receiver as families read it.
type Commune struct {
	Siret, Cog, Name string
	Departement      string // "Alpes-de-Haute-Provence (04)"
	PostalCode, Kind string
	Receives         bool
	shared           bool // its SIRET stands for others too
}

func communeOf(r store.Receiver, shared bool) Commune {
	return Commune{
		Siret: r.Siret, Cog: r.Cog, Name: fullName(r.Name, r.Place, r.Kind), Departement: placed(r.Departement), PostalCode: r.PostalCode,
		Kind: r.Kind, Receives: store.Receives(r), shared: shared,
	}
}

// Path is the address of its page; more is what follows the SIRET.
func (c Commune) Path(more string) string {
	path := "/collectivites/" + c.Siret + more
	if c.shared {
		path += "?cog=" + url.QueryEscape(c.Cog)
	}
	return path
}

// To is the name as one sends something there: "à la commune de Majastres".
func (c Commune) To() string {
	for start, article := range map[string]string{"Commune ": "à la c", "Ville ": "à la v", "Mairie ": "à la m", "Caisse ": "à la c", "Centre ": "au c", "Syndicat ": "au s", "CCAS": "au C", "CIAS": "au C"} {
		if strings.HasPrefix(c.Name, start) {
			return article + c.Name[1:]
		}
	}
	return "à " + c.Name
}

// fullName is the name with the commune's, where it does not tell it.
func fullName(name, place, kind string) string {
	name, place = readable(name), readable(arrondissementRule.ReplaceAllString(place, ""))
	if place == "" || kind == store.KindGroupement || strings.Contains(folded(name), folded(place)) {
		return name
	}
	return name + " – " + place
}

func folded(text string) string { return " " + strings.Join(store.FoldWords(text), " ") + " " }

func placed(code string) string {
	if d, ok := departementOf(code); ok {
		return d.Name + " (" + d.Code + ")"
	}
	return code
}

// small are the words that names keep in lower case.
var small = map[string]bool{
	"de": true, "du": true, "des": true, "d": true, "l": true, "la": true, "le": true, "les": true, "et": true, "en": true, "sur": true, "sous": true,
	"lès": true, "lez": true, "aux": true, "au": true, "à": true, "a": true, "sans": true, "près": true,
}

var (
	// INSEE's names of the three cities end so.
	arrondissementRule = regexp.MustCompile(`\s+[0-9]{1,2}(?i:er?|eme|ème)?(?i:\s+arrondissement)?$`)
	// An article that follows is part of the commune's name.
	ownName = regexp.MustCompile(`^(Commune|Ville|Mairie) (de |d['’ ]?)(\p{L})`)
)

var nameWord = regexp.MustCompile(`[\p{L}\p{N}]+`)

// readable gives a name without the capitals in which INSEE writes it.
func readable(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	if name != strings.ToUpper(name) {
		return name
	}
	first := true
	name = nameWord.ReplaceAllStringFunc(strings.ToLower(name), func(w string) string {
		switch {
		case w == "ccas", w == "cias", w == "sivu", w == "sivom":
			w = strings.ToUpper(w)
		case first || !small[w]:
			r := []rune(w)
			w = strings.ToUpper(string(r[:1])) + string(r[1:])
		}
		first = false
		return w
	})
	return ownName.ReplaceAllStringFunc(name, func(start string) string {
		r := []rune(start)
		return string(r[:len(r)-1]) + strings.ToUpper(string(r[len(r)-1:]))
	})
}

// Result is one line of a list.
type Result struct{ Name, Detail, Path string }

func resultOf(l store.Listed) Result {
	detail := placed(l.Departement)
	if l.PostalCode != "" {
		detail = l.PostalCode + ", " + detail
	}
	c := Commune{Siret: l.Siret, Cog: l.Cog, shared: true} // the code does no harm where it is not needed
	return Result{fullName(l.Name, l.Place, l.Kind), detail, c.Path("")}
}

func (h *Handler) search(w http.ResponseWriter, r *http.Request) {
	given := r.URL.Query()
	q, err := parse(given.Get("q"), given.Get("departement"), given.Get("type"), given.Get("page"))
	view := searchView{Query: q, Departements: departements}
	status := http.StatusOK
	var input *inputError
	switch {
	case errors.As(err, &input):
		view.Error, status = input, http.StatusUnprocessableEntity
	case q.siret != "":
		http.Redirect(w, r, "/collectivites/"+q.siret, http.StatusSeeOther)
		return
	case q.asks():
		found, err := h.Store.SearchReceivers(r.Context(), q.search)
		if err != nil {
			h.unavailable(w, r, err)
			return
		}
		view.fill(found)
	}
	title := "Trouver ma commune"
	if view.Asked {
		title = "Trouver ma commune : résultats de la recherche"
	}
	h.write(w, r, status, "collectivites.html", title, view)
}

type searchView struct {
	Query        query
	Departements []departement
	Error        *inputError
	Asked        bool
	Results      []Result
	Total        int
	Others       []otherKind // of the same search
	First        int         // number of the first result shown
	Last         int
	Before, Next string
	Cut          bool     // more than the pages can show
	Named        *Departe // the words name a département too
}

// Departe is a département to look through.
type Departe struct{ Name, Path string }

type otherKind struct {
	Label, Path string
	Count       int
}

func (v *searchView) fill(found store.FoundReceivers) {
	v.Asked = true
	for _, kind := range []string{"", store.KindCCAS, store.KindCaisseDesEcoles} {
		n := 0
		for _, k := range kinds[kind] {
			n += found.Counts[k]
		}
		if kind == v.Query.Kind {
			v.Total = n
		} else if n > 0 {
			v.Others = append(v.Others, otherKind{labels[kind], v.Query.path(kind, 1), n})
		}
	}
	for _, row := range found.Rows {
		v.Results = append(v.Results, resultOf(row))
	}
	v.First, v.Last = v.Query.search.Offset+1, v.Query.search.Offset+len(found.Rows)
	if v.Query.Page > 1 {
		v.Before = v.Query.path(v.Query.Kind, v.Query.Page-1)
	}
	if v.Last < v.Total && len(found.Rows) > 0 {
		if v.Query.Page < maxPages {
			v.Next = v.Query.path(v.Query.Kind, v.Query.Page+1)
		} else {
			v.Cut = true
		}
	}
	if d := v.Query.named; d != nil && v.Query.Departement == "" {
		v.Named = &Departe{d.Name + " (" + d.Code + ")", "/collectivites?departement=" + d.Code}
	}
}

var labels = map[string]string{"": "communes et groupements", store.KindCCAS: "centres d’action sociale (CCAS)", store.KindCaisseDesEcoles: "caisses des écoles"}

// path is the address of a search.
func (q query) path(kind string, page int) string {
	v := url.Values{}
	for name, value := range map[string]string{"q": q.Text, "departement": q.Departement, "type": kind} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	return "/collectivites?" + v.Encode()
}

// suggest completes what is being typed, for the script of the search.
func (h *Handler) suggest(w http.ResponseWriter, r *http.Request) {
	page.Harden(w)
	q, err := parse(r.URL.Query().Get("q"), r.URL.Query().Get("departement"), "", "")
	var input *inputError
	if errors.As(err, &input) {
		problem.Write(w, r, problem.New(http.StatusUnprocessableEntity, "recherche", "Recherche impossible", input.Message).At(input.Field, input.Message))
		return
	}
	answer := []suggested{}
	if q.asks() {
		q.search.Kinds, q.search.Limit = nil, suggestion
		found, err := h.Store.SearchReceivers(r.Context(), q.search)
		if err != nil {
			problem.Write(w, r, problem.Unavailable())
			return
		}
		for _, row := range found.Rows {
			answer = append(answer, suggested(resultOf(row)))
		}
	}
	problem.JSON(w, r, http.StatusOK, answer)
}

type suggested struct {
	Name   string `json:"name"`
	Detail string `json:"detail"`
	Path   string `json:"path"`
}

var (
	siretRule = regexp.MustCompile(`^[0-9]{14}$`)
	cogRule   = regexp.MustCompile(`^[0-9][0-9AB][0-9]{3}$`)
)

// selected is today's address of a choice: ?id=SIRET, or SIRET-COG.
func (h *Handler) selected(w http.ResponseWriter, r *http.Request) {
	siret, cog, _ := strings.Cut(r.URL.Query().Get("id"), "-")
	if !siretRule.MatchString(siret) || cog != "" && !cogRule.MatchString(cog) {
		h.unknown(w, r)
		return
	}
	http.Redirect(w, r, Commune{Siret: siret, Cog: cog, shared: cog != ""}.Path(""), http.StatusFound)
}

func (h *Handler) misprinted(w http.ResponseWriter, r *http.Request) {
	siret, rest := chi.URLParam(r, "siret"), chi.URLParam(r, "*")
	if !siretRule.MatchString(siret) || rest != "" && rest != "me_connecter" && rest != "sans_france_connect" {
		h.unknown(w, r)
		return
	}
	to := url.URL{Path: strings.TrimSuffix("/collectivites/"+siret+"/"+rest, "/"), RawQuery: r.URL.RawQuery}
	http.Redirect(w, r, to.String(), http.StatusMovedPermanently)
}

// found gives the receiver that an address names, or answers: a choice where a
// SIRET stands for several communes, a page that says what to do where there is none.
func (h *Handler) found(w http.ResponseWriter, r *http.Request) (Commune, bool) {
	siret, cog := chi.URLParam(r, "siret"), strings.ToUpper(r.URL.Query().Get("cog"))
	if !siretRule.MatchString(siret) || cog != "" && !cogRule.MatchString(cog) {
		h.unknown(w, r)
		return Commune{}, false
	}
	list, err := h.receivers(r.Context(), siret, cog)
	switch {
	case err != nil:
		h.unavailable(w, r, err)
	case len(list) == 0:
		h.unknown(w, r)
	case len(list) > 1:
		rest := strings.TrimPrefix(r.URL.Path, "/collectivites/"+siret)
		results := make([]Result, len(list))
		for i, c := range list {
			results[i] = Result{c.Name, c.Departement, c.with(r, rest)}
		}
		h.write(w, r, http.StatusOK, "choix.html", "Quelle est votre commune ?", results)
	default:
		return list[0], true
	}
	return Commune{}, false
}

// with is the address of its page with what the request asked it with.
func (c Commune) with(r *http.Request, more string) string {
	q := r.URL.Query()
	q.Set("cog", c.Cog)
	return "/collectivites/" + c.Siret + more + "?" + q.Encode()
}

func (h *Handler) receivers(ctx context.Context, siret, cog string) ([]Commune, error) {
	if cog != "" {
		r, err := h.Store.ReceiverByKey(ctx, registry.FolderProcess, connectors.OrganizationRef{SIRET: siret, Branch: cog})
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		return []Commune{communeOf(r, true)}, err
	}
	rows, err := h.Store.ReceiversOfSiret(ctx, registry.FolderProcess, siret)
	list := make([]Commune, len(rows))
	for i, r := range rows {
		list[i] = communeOf(r, len(rows) > 1)
	}
	return list, err
}

func (h *Handler) unknown(w http.ResponseWriter, r *http.Request) {
	h.write(w, r, http.StatusNotFound, "inconnue.html", "Cette collectivité n’est pas sur ce service", nil)
}

// Param is one of what an editor's link carries to the journey, as it came: the
// journey's start decides whether to believe it.
type Param struct{ Name, Value string }

var entryParams = []string{journey.ParamExternalID, journey.ParamReturnTo, journey.ParamExpires, journey.ParamKey, journey.ParamSignature}

const maxParam = 2048 // bytes; what is longer is left aside

func entryOf(r *http.Request) []Param {
	var list []Param
	given := r.URL.Query()
	for _, name := range entryParams {
		if v := given.Get(name); v != "" && len(v) <= maxParam {
			list = append(list, Param{name, v})
		}
	}
	return list
}

type communeView struct {
	Commune
	Entry []Param
	Open  bool   // a journey can start
	URL   string // of this page, to print
}

func (h *Handler) commune(w http.ResponseWriter, r *http.Request) {
	c, ok := h.found(w, r)
	if !ok {
		return
	}
	if !c.Receives {
		h.write(w, r, http.StatusOK, "suspendue.html", c.Name+" : le service est suspendu", h.view(c))
		return
	}
	view := h.view(c)
	view.Entry = entryOf(r)
	h.write(w, r, http.StatusOK, "commune.html", c.Name+" : transmettre mon quotient familial", view)
}

func (h *Handler) view(c Commune) communeView {
	return communeView{Commune: c, Open: h.Open != nil && h.Open(), URL: h.Site.PublicURL + c.Path("")}
}

func (h *Handler) without(w http.ResponseWriter, r *http.Request) {
	if c, ok := h.found(w, r); ok {
		h.write(w, r, http.StatusOK, "sans_france_connect.html", c.Name+" : sans FranceConnect", h.view(c))
	}
}

func (h *Handler) poster(w http.ResponseWriter, r *http.Request) {
	if c, ok := h.found(w, r); ok {
		h.write(w, r, http.StatusOK, "affiche.html", "Votre quotient familial "+c.To(), h.view(c))
	}
}

package page

import (
	"errors"
	"html/template"
	"net/http"
	"strings"
	"sync"
)

// said is the page of an answer that belongs to no audience's own pages.
var said = sync.OnceValue(func() *template.Template {
	layout, err := files.ReadFile("layout.html")
	if err != nil {
		panic(err) // it is embedded
	}
	return template.Must(template.Must(template.New("layout.html").Parse(string(layout))).Parse(`{{define "main"}}{{range .}}<p>{{.}}</p>
{{end}}{{end}}`))
})

// Say answers with a page of plain paragraphs.
func Say(w http.ResponseWriter, r *http.Request, status int, title string, paragraphs ...string) {
	write(w, r, status, said(), ContentSecurityPolicy, Page{title, paragraphs})
}

// Wanted reports whether the caller is a browser that shows a page.
func Wanted(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// Foreign answers a form that another site sent here: nothing is done.
func Foreign(w http.ResponseWriter, r *http.Request) {
	Say(w, r, http.StatusForbidden, "Cette demande ne vient pas de notre site",
		"Un formulaire nous est parvenu d’un autre site, ou d’une page que votre navigateur a modifiée. Pour vous protéger, nous l’avons refusé.",
		"Rien n’a été fait. Revenez à la page d’où vous veniez, par son lien, et recommencez.")
}

// SameSite refuses forms of other sites with a page.
func SameSite(refused http.HandlerFunc) func(http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(refused)
	return p.Handler
}

// TooMany answers an address that asks more than people do.
func TooMany(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "60")
	Say(w, r, http.StatusTooManyRequests, "Trop de demandes depuis votre connexion",
		"Beaucoup de pages viennent d’être demandées depuis la même connexion. Cela arrive aussi quand plusieurs personnes la partagent.",
		"Attendez une minute, puis rechargez la page. Rien n’est perdu.")
}

// Unavailable says that nothing was done.
func Unavailable(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "30")
	Say(w, r, http.StatusServiceUnavailable, "Service momentanément indisponible", "Rien n’a été fait. Réessayez dans quelques minutes.")
}

// Unreadable answers a form that could not be read: one that is too large, or is none.
func Unreadable(w http.ResponseWriter, r *http.Request, err error) {
	if errors.As(err, new(*http.MaxBytesError)) {
		Say(w, r, http.StatusRequestEntityTooLarge, "Ce formulaire est trop long", "Il dépasse ce que cette page peut recevoir. Rien n’a été fait.")
		return
	}
	Say(w, r, http.StatusBadRequest, "Cette demande ne peut pas être lue", "Rien n’a été fait. Revenez à la page d’où vous veniez et recommencez.")
}

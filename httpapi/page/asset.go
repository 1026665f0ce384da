package page

import (
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// DesignSystemSheet is the file that a folder of the State's design system must hold.
const DesignSystemSheet = "dsfr.min.css"

// served are the kinds of files of the design system that pages may ask for.
var served = map[string]bool{".css": true, ".woff2": true, ".woff": true, ".svg": true, ".png": true, ".ico": true}

// Assets serves the stylesheets and our scripts under /assets/. designSystem is
// the official design system's folder "dist", where the operator is entitled to
// it; nil: our own stylesheet alone.
//
// With it, the addresses of our sheets give both: ours in a layer below, for what
// the official one does not know.
func Assets(designSystem fs.FS) http.Handler {
	sub, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // the folder is embedded
	}
	own := http.StripPrefix("/assets/", http.FileServerFS(sub))
	r := http.NewServeMux()
	r.Handle("/assets/", own)
	if designSystem != nil {
		r.Handle("/assets/own/", http.StripPrefix("/assets/own/", http.FileServerFS(sub)))
		r.Handle("/assets/dsfr/", http.StripPrefix("/assets/dsfr/", onlyServed(http.FileServerFS(designSystem))))
		r.HandleFunc("/assets/passerelle.css", layered("passerelle.css", "/assets/dsfr/"+DesignSystemSheet))
		r.HandleFunc("/assets/citizen.css", layered("citizen.css", ""))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r.ServeHTTP(w, req)
	})
}

// layered is a sheet that imports ours below and the official one above.
func layered(name, official string) http.HandlerFunc {
	text := fmt.Sprintf("@layer own, dsfr;\n@import url(%q) layer(own);\n", "/assets/own/"+name)
	if official != "" {
		text += fmt.Sprintf("@import url(%q) layer(dsfr);\n", official)
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Write([]byte(text))
	}
}

// onlyServed refuses lists of folders, and files that no page needs.
func onlyServed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !served[strings.ToLower(path.Ext(r.URL.Path))] {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

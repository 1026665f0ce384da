// Package citizen is what families see: the service's home and its legal pages,
// the search of a commune, each commune's page with its poster, and the journey
// that carries a quotient familial there. Every page works without JavaScript.
//
// One page is one file of pages/, which defines "main"; headings start at h2, the
// layout shows the title as h1. In any of them {{site}} says who runs the service,
// {{template "alternatives" .}} offers the other ways and X
// what a search cannot do. A script is a file of httpapi/page/assets, named in a
// template "scripts"; nothing is inline, neither style nor code.
//
// It may import httpapi/page, httpapi/problem, httpapi/auth, internal/registry,
// internal/journey and internal/store.
package citizen

// Package docs is the integrators' documentation, served at /docs: in French,
// one page a file, code samples as files that tests run, no inline code.
//
// To add a page, drop pages/<slug>.html; it is served at /docs/<slug>, listed on
// the index and in the menu. It defines four templates:
//
//	{{define "title"}}Vérifier un webhook{{end}}      heading, plain text
//	{{define "summary"}}La signature, …{{end}}        one sentence, plain text
//	{{define "order"}}40{{end}}                       place in the menu
//	{{define "text"}}<h2 id="…">…</h2>…{{end}}        the text, headings from h2
//
// In "text": {{template "sample" (sample "verifier.py")}} shows samples/verifier.py
// with a link to the file; {{.URL}} is the hub's public address. Samples take their
// addresses and credentials from variables, and each has a test that runs it
// (from any package: docs.Sample(name)). A test refuses samples that no page
// shows, links and anchors that lead nowhere, styles and scripts in the page.
//
// It imports httpapi/page, httpapi/problem and internal/eventtype.
package docs

// Package editor serves /editor/v1: software editors find the habilitations and
// fetch the keys of their clients, one by one or many at once, acknowledge them,
// and follow what changes (editors.md, 6 to 8).
//
// An editor sees the requests that it is bound to, and nothing else: what is not
// its client's and what does not exist answer the same 404. It signs in with
// OAuth2 client credentials (POST /editor/v1/token); a key that is fetched stays
// until it is acknowledged, shown to its holder, or past its deadline.
//
// The table of roles is in matrix_test.go: every route before every kind of
// caller. Every answer is no-store.
//
// It may import httpapi/auth, httpapi/problem, internal/habilitation,
// internal/jose, internal/registry and internal/store.
package editor

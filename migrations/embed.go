// Package migrations carries the hub's own migrations, numbered SQL files, in
// the binary. River's come after them and from River itself.
//
// They are additive and never edited once released: code at version N runs on
// schema N and on schema N+1. Imports: the standard library only.
package migrations

import "embed"

// Files holds every numbered .sql file, at its root.
//
//go:embed *.sql
var Files embed.FS

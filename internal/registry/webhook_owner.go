package registry

import (
	"slices"
	"strings"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Subscriber is who manages endpoints, as far as it matters for that: a
// definition's developers manage its endpoints; an editor's people, those whose
// verified organisation has its SIRET, manage the editor's.
type Subscriber struct {
	Roles    habilitation.Roles
	Machine  []string // definitions of an operator's own machine, "*" for all
	SIRET    string   // of the verified organisation; "" for none
	Operator bool     // of the hub: all endpoints
}

// MayManage reports whether the subscriber manages the endpoints of a definition
// or of an editor, its id or its SIRET.
func (r *Registry) MayManage(s Subscriber, definition, editor string) bool {
	switch {
	case s.Operator, slices.Contains(s.Machine, "*"):
		return true
	case editor != "":
		return s.SIRET != "" && r.siretOfEditor(editor) == s.SIRET
	case slices.Contains(s.Machine, definition):
		return true
	}
	d, ok := r.catalogue.Definition(definition)
	return ok && s.Roles.Allow(habilitation.ManageSubscriptions, d.Provider, d.UID)
}

// siretOfEditor gives the SIRET of an editor that the catalogue knows, or the one
// that the editor is bound by; "" for none.
func (r *Registry) siretOfEditor(editor string) string {
	if isSIRET(editor) {
		return editor
	}
	if p, ok := r.catalogue.ServiceProvider(editor); ok && isSIRET(p.SIRET) {
		return p.SIRET
	}
	return ""
}

// isSIRET tells a SIRET from an editor's id, which is a word (datapass.md, 4.6).
func isSIRET(s string) bool { return len(habilitation.CheckSIRET(s)) == 0 }

// editorNames gives both names of the editor that an event is about: its id and
// its SIRET. An editor that is known by its SIRET alone has no id.
func (r *Registry) editorNames(editor, siret string) (string, string) {
	if isSIRET(editor) {
		return "", editor
	}
	siret = strings.ReplaceAll(siret, " ", "")
	if known := r.siretOfEditor(editor); known != "" {
		siret = known // the catalogue's word counts, not the body's
	}
	if editor == "" || !isSIRET(siret) {
		siret = ""
	}
	return editor, siret
}

// owner names who an endpoint belongs to.
func owner(e store.Endpoint) map[string]any {
	if e.Editor != "" {
		return map[string]any{"editor": e.Editor}
	}
	return map[string]any{"definition_id": e.Definition}
}

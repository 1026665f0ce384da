package habilitation

import "slices"

// Scope is one datum, or set of data, that a definition offers (datapass.md, 4.4).
type Scope struct {
	Name        string
	Value       string // unique in its definition
	Group       string
	Link        string
	Description string
	Included    bool         // always granted: part of every prefill
	Disabled    bool         // shown, not ticked by hand
	Deprecated  *Deprecation // nil: never
	FeatureFlag string
	FlagOff     bool // the feature flag is off here: hidden
}

// Deprecation says from when a scope is no longer offered.
type Deprecation struct {
	Since    Date
	Writable bool // false: once deprecated, those who still see it cannot change it
}

// DeprecatedOn reports whether the scope is deprecated on a day: its date is past.
func (s Scope) DeprecatedOn(day Date) bool {
	return s.Deprecated != nil && s.Deprecated.Since < day
}

// LockedOn reports whether API v1 shows the scope as disabled on a day.
func (s Scope) LockedOn(day Date) bool {
	return s.Disabled || (s.DeprecatedOn(day) && !s.Deprecated.Writable)
}

// VisibleTo reports whether a request made with form on day created is offered
// the scope. A request that is not saved yet counts as made today.
func (s Scope) VisibleTo(form *Form, created Date) bool {
	if s.FlagOff || (s.Deprecated != nil && created >= s.Deprecated.Since) {
		return false
	}
	c := form.ScopesConfig
	if slices.Contains(c.Hide, s.Value) {
		return false
	}
	return len(c.Displayed) == 0 || slices.Contains(c.Displayed, s.Value)
}

// VisibleScopes are the scopes offered to a request made with form on day
// created, in the definition's order. Values granted earlier that are no
// longer visible stay in the request's data.
func (d *Definition) VisibleScopes(form *Form, created Date) []Scope {
	var visible []Scope
	for _, s := range d.Scopes {
		if s.VisibleTo(form, created) {
			visible = append(visible, s)
		}
	}
	return visible
}

// Scope finds a scope by its value.
func (d *Definition) Scope(value string) (Scope, bool) {
	i := slices.IndexFunc(d.Scopes, func(s Scope) bool { return s.Value == value })
	if i < 0 {
		return Scope{}, false
	}
	return d.Scopes[i], true
}

// IncludedScopes are the values that every request of the definition holds.
func (d *Definition) IncludedScopes() []string {
	return d.scopeValues(func(s Scope) bool { return s.Included })
}

// franceConnectGroup is the scope group that an embedded FranceConnect request
// takes as a whole (datapass.md, 5.2).
const franceConnectGroup = "FranceConnect"

func (d *Definition) franceConnectScopes() []string {
	return d.scopeValues(func(s Scope) bool { return s.Group == franceConnectGroup })
}

func (d *Definition) scopeValues(keep func(Scope) bool) []string {
	var values []string
	for _, s := range d.Scopes {
		if keep(s) {
			values = append(values, s.Value)
		}
	}
	return values
}

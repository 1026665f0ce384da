package habilitation

import (
	"slices"
	"strconv"
)

// franceConnectDefinition is the definition of the linked habilitation that an
// API Particulier request may carry (datapass.md, 1.5 and 2.8).
const franceConnectDefinition = "france_connect"

func (r Request) habilitation(id int64) (Habilitation, bool) {
	i := slices.IndexFunc(r.Habilitations, func(h Habilitation) bool { return h.ID == id })
	if i < 0 {
		return Habilitation{}, false
	}
	return r.Habilitations[i], true
}

// newest gives the latest habilitation that matches. At equal times the later
// one in the list is the newer.
func (r Request) newest(match func(Habilitation) bool) (Habilitation, bool) {
	best, found := Habilitation{}, false
	for _, h := range r.Habilitations {
		if match(h) && (!found || !h.CreatedAt.Before(best.CreatedAt)) {
			best, found = h, true
		}
	}
	return best, found
}

// latest is the latest habilitation of the request's own, linked ones apart.
func (r Request) latest() (Habilitation, bool) {
	return r.newest(func(h Habilitation) bool { return h.ParentID == 0 })
}

func (r Request) latestOf(definition string) (Habilitation, bool) {
	return r.newest(func(h Habilitation) bool { return h.ParentID == 0 && h.Definition == definition })
}

// inForce is the habilitation that gives rights under a definition: the newest
// active one of a request neither revoked nor archived (datapass.md, 2.10).
func (r Request) inForce(definition string) (Habilitation, bool) {
	if r.State == Revoked || r.State == Archived {
		return Habilitation{}, false
	}
	return r.newest(func(h Habilitation) bool { return h.State == GrantActive && h.Definition == definition })
}

func (r Request) anyActive() bool {
	return slices.ContainsFunc(r.Habilitations, func(h Habilitation) bool { return h.State == GrantActive })
}

// linked are the active habilitations that live and die with h: its children,
// and the one its own data name. A re-approval keeps the FranceConnect
// habilitation of the first, whose parent is by then obsolete.
func (r Request) linked(h Habilitation) []int {
	var list []int
	for i, other := range r.Habilitations {
		if other.State == GrantActive && other.ParentID != 0 && other.ID != h.ID &&
			(other.ParentID == h.ID || h.Data[keyFranceConnectID] == strconv.FormatInt(other.ID, 10)) {
			list = append(list, i)
		}
	}
	return list
}

package habilitation

import (
	"maps"
	"slices"
	"strconv"
)

// Change is what a command or a mirrored body does: the request's new value
// with all its habilitations, the history lines, and what must follow.
//
// New habilitations have negative ids, -1 then -2, wherever the change names
// them. The caller reserves as many ids as Created is long and calls AssignIDs
// before it saves anything.
type Change struct {
	Request      Request
	Created      []int // indexes in Request.Habilitations of the new ones
	Altered      []int // of those whose state changed
	Events       []Event
	Consequences []Consequence
}

// AssignIDs gives the new habilitations their ids, in the order of Created, and
// replaces the stand-ins everywhere in the change.
func (c *Change) AssignIDs(ids []int64) {
	given := make(map[int64]int64, len(ids))
	for i, index := range c.Created {
		given[c.Request.Habilitations[index].ID] = ids[i]
	}
	assign := func(id *int64) {
		if assigned, ok := given[*id]; ok {
			*id = assigned
		}
	}
	assignData(c.Request.Data, given)
	for i := range c.Request.Habilitations {
		h := &c.Request.Habilitations[i]
		assign(&h.ID)
		assign(&h.ParentID)
		assignData(h.Data, given)
	}
	for i := range c.Events {
		assign(&c.Events[i].Habilitation)
	}
	for i, consequence := range c.Consequences {
		c.Consequences[i] = consequence.withIDs(assign)
	}
}

// assignData replaces the stand-in of a linked FranceConnect habilitation.
func assignData(data Data, given map[int64]int64) {
	id, err := strconv.ParseInt(data[keyFranceConnectID], 10, 64)
	if assigned, ok := given[id]; err == nil && ok {
		data[keyFranceConnectID] = strconv.FormatInt(assigned, 10)
	}
}

// newChange starts from a copy of the request: what the caller gave is never touched.
func newChange(r Request) Change { return Change{Request: r.clone()} }

// note says which habilitations are new or changed since before.
func (c *Change) note(before []Habilitation) {
	states := make(map[int64]GrantState, len(before))
	for _, h := range before {
		states[h.ID] = h.State
	}
	for i, h := range c.Request.Habilitations {
		if was, known := states[h.ID]; !known {
			c.Created = append(c.Created, i)
		} else if was != h.State {
			c.Altered = append(c.Altered, i)
		}
	}
}

func (c *Change) then(consequences ...Consequence) {
	c.Consequences = append(c.Consequences, consequences...)
}

func (r Request) clone() Request {
	r.Data = r.Data.clone()
	r.Habilitations = slices.Clone(r.Habilitations)
	for i := range r.Habilitations {
		r.Habilitations[i].Data = maps.Clone(r.Habilitations[i].Data)
	}
	return r
}

func (d Data) clone() Data {
	c := make(Data, len(d))
	maps.Copy(c, d)
	return c
}

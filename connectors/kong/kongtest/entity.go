package kongtest

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// entity is one row. Values are those of field.read; a missing one is null.
type entity struct {
	values    map[string]any
	consumer  string    // id; "" for a consumer
	expiresAt time.Time // zero: never
}

func (e *entity) has(name string) bool { return e.values[name] != nil }

func (e *entity) str(name string) string {
	value, _ := e.values[name].(string)
	return value
}

func (e *entity) id() string { return e.str("id") }

func (e *entity) tags() []string {
	tags, _ := e.values["tags"].([]string)
	return tags
}

func (e *entity) at(name string) time.Time {
	seconds, _ := e.values[name].(int64)
	return time.Unix(seconds, 0).UTC()
}

// expired: the row is there until its very end.
func (e *entity) expired(now time.Time) bool {
	return !e.expiresAt.IsZero() && !now.Before(e.expiresAt)
}

func (e *entity) copy() *entity {
	out := *e
	out.values = maps.Clone(e.values)
	return &out
}

// view is the entity as the admin API shows it: secrets in clear, ttl as the
// whole seconds that remain.
func (e *entity) view(s *schema, now time.Time) map[string]any {
	out := make(map[string]any, len(s.fields)+2)
	for _, f := range s.fields {
		out[f.name] = e.values[f.name]
	}
	if s != consumers {
		out["consumer"] = map[string]any{"id": e.consumer}
	}
	if s.ttl {
		out["ttl"] = nil
		if !e.expiresAt.IsZero() {
			out["ttl"] = int64(math.Floor(e.expiresAt.Sub(now).Seconds()))
		}
	}
	return out
}

// table holds the rows of one schema. Nothing in it is searched from end to end
// by a call for one row.
type table struct {
	schema     *schema
	byID       map[string]*entity
	unique     map[string]map[string]*entity // by field, then value
	order      []*entity                     // by id
	byConsumer map[string][]*entity          // by id
}

func newTable(s *schema) *table {
	t := &table{
		schema: s, byID: map[string]*entity{}, unique: map[string]map[string]*entity{},
		byConsumer: map[string][]*entity{},
	}
	for _, name := range t.uniqueKeys() {
		t.unique[name] = map[string]*entity{}
	}
	return t
}

func (t *table) uniqueKeys() []string {
	var names []string
	for _, f := range t.schema.fields {
		if f.unique {
			names = append(names, f.name)
		}
	}
	if t.schema.perConsumer != "" {
		names = append(names, t.schema.perConsumer)
	}
	return names
}

// uniqueValue is "" when the row has none: nulls never collide.
func (t *table) uniqueValue(e *entity, name string) string {
	value := e.str(name)
	if name == t.schema.perConsumer && value != "" {
		return perConsumerKey(e.consumer, value)
	}
	return value
}

func perConsumerKey(consumer, value string) string { return consumer + "\x00" + value }

// conflict names the unique key of e that another row holds.
func (t *table) conflict(e *entity) error {
	for _, name := range t.uniqueKeys() {
		value := t.uniqueValue(e, name)
		other := t.unique[name][value]
		if value == "" || other == nil || other.id() == e.id() {
			continue
		}
		if name == t.schema.perConsumer {
			return uniqueViolation(map[string]any{"consumer": map[string]any{"id": e.consumer}, name: e.str(name)})
		}
		return uniqueViolation(map[string]any{name: value})
	}
	return nil
}

func (t *table) add(e *entity) {
	t.byID[e.id()] = e
	for _, name := range t.uniqueKeys() {
		if value := t.uniqueValue(e, name); value != "" {
			t.unique[name][value] = e
		}
	}
	t.order = inserted(t.order, e)
	if e.consumer != "" {
		t.byConsumer[e.consumer] = inserted(t.byConsumer[e.consumer], e)
	}
}

func (t *table) remove(e *entity) {
	delete(t.byID, e.id())
	for _, name := range t.uniqueKeys() {
		if value := t.uniqueValue(e, name); value != "" {
			delete(t.unique[name], value)
		}
	}
	t.order = deleted(t.order, e)
	if e.consumer != "" {
		if rest := deleted(t.byConsumer[e.consumer], e); len(rest) > 0 {
			t.byConsumer[e.consumer] = rest
		} else {
			delete(t.byConsumer, e.consumer)
		}
	}
}

func position(list []*entity, id string) (int, bool) {
	return slices.BinarySearchFunc(list, id, func(e *entity, id string) int { return strings.Compare(e.id(), id) })
}

func inserted(list []*entity, e *entity) []*entity {
	at, _ := position(list, e.id())
	return slices.Insert(list, at, e)
}

func deleted(list []*entity, e *entity) []*entity {
	if at, ok := position(list, e.id()); ok {
		return slices.Delete(list, at, at+1)
	}
	return list
}

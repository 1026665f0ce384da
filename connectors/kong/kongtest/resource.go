package kongtest

import (
	"maps"
	"net/http"
	"net/url"
)

// lookUp finds the row that a path names by id or by endpoint key; nil when
// there is none.
func (s *Server) lookUp(t *table, key string) (*entity, error) {
	if isUUID(key) {
		return t.find("id", key, s.now()), nil
	}
	if t.schema.endpointKey == "" {
		return nil, invalidPrimaryKey()
	}
	return t.find(t.schema.endpointKey, key, s.now()), nil
}

// keyed gives the arguments of a PUT with the key of its path among them.
func keyed(of *schema, key string, args map[string]any) map[string]any {
	out := map[string]any{}
	maps.Copy(out, args)
	if isUUID(key) {
		out["id"] = key
	} else {
		out[of.endpointKey] = key
	}
	return out
}

func (s *Server) view(t *table, e *entity) map[string]any { return e.view(t.schema, s.now()) }

func (s *Server) list(of *schema) operation {
	return func(r request) (reply, error) {
		query := r.URL.Query()
		if of == consumers && query.Has("custom_id") {
			return s.listByCustomID(query.Get("custom_id"))
		}
		filter, err := readTags(query)
		if err != nil {
			return reply{}, err
		}
		next := func(offset string) string {
			address := "/" + of.path + "?offset=" + offset
			for _, name := range []string{"tags", "size"} {
				if query.Has(name) {
					address += "&" + name + "=" + url.QueryEscape(query.Get(name))
				}
			}
			return address
		}
		found, err := paged(s.tables[of].order, of, query, filter, s.now(), next)
		if err != nil {
			return reply{}, err
		}
		return ok(found)
	}
}

func (s *Server) listByCustomID(customID string) (reply, error) {
	if customID == "" {
		return reply{}, plain(http.StatusBadRequest, "custom_id must be an unempty string")
	}
	found := page{Data: []map[string]any{}}
	t := s.tables[consumers]
	if e := t.find("custom_id", customID, s.now()); e != nil {
		found.Data = append(found.Data, s.view(t, e))
	}
	return ok(found)
}

func (s *Server) create(of *schema) operation {
	return func(r request) (reply, error) {
		t := s.tables[of]
		in, err := s.readInput(of, r.args)
		if err != nil {
			return reply{}, err
		}
		e, err := s.insert(t, in)
		if err != nil {
			return reply{}, err
		}
		return reply{http.StatusCreated, s.view(t, e)}, nil
	}
}

func (s *Server) get(of *schema) operation {
	return func(r request) (reply, error) {
		t := s.tables[of]
		e, err := s.lookUp(t, r.param("id"))
		switch {
		case err != nil:
			return reply{}, err
		case e == nil:
			return reply{}, noSuchObject()
		}
		return ok(s.view(t, e))
	}
}

// put creates or replaces, and says 200 in both cases.
func (s *Server) put(of *schema) operation {
	return func(r request) (reply, error) { return s.putByKey(s.tables[of], r.param("id"), r.args) }
}

func (s *Server) putByKey(t *table, key string, args map[string]any) (reply, error) {
	existing, err := s.lookUp(t, key)
	if err != nil {
		return reply{}, err
	}
	in, err := s.readInput(t.schema, keyed(t.schema, key, args))
	if err != nil {
		return reply{}, err
	}
	e, err := s.upsert(t, existing, in)
	if err != nil {
		return reply{}, err
	}
	return ok(s.view(t, e))
}

func (s *Server) patch(of *schema) operation {
	return func(r request) (reply, error) {
		t, key := s.tables[of], r.param("id")
		e, err := s.lookUp(t, key)
		switch {
		case err != nil:
			return reply{}, err
		case e == nil && isUUID(key):
			return reply{}, noSuchEntity(map[string]any{"id": key}, true)
		case e == nil:
			return reply{}, noSuchEntity(map[string]any{of.endpointKey: key}, false)
		}
		return s.patchEntity(t, e, r.args)
	}
}

func (s *Server) patchEntity(t *table, e *entity, args map[string]any) (reply, error) {
	in, err := s.readInput(t.schema, args)
	if err != nil {
		return reply{}, err
	}
	changed, err := s.update(t, e, in)
	if err != nil {
		return reply{}, err
	}
	return ok(s.view(t, changed))
}

// delete says 204 whether or not the object was there.
func (s *Server) delete(of *schema) operation {
	return func(r request) (reply, error) {
		t := s.tables[of]
		e, err := s.lookUp(t, r.param("id"))
		if err == nil && e != nil {
			err = s.remove(t, e)
		}
		return reply{status: http.StatusNoContent}, err
	}
}

func (s *Server) getConsumerOf(of *schema) operation {
	return func(r request) (reply, error) {
		e, err := s.lookUp(s.tables[of], r.param("id"))
		switch {
		case err != nil:
			return reply{}, err
		case e == nil:
			return reply{}, noSuchObject()
		}
		t := s.tables[consumers]
		return ok(s.view(t, t.byID[e.consumer]))
	}
}

func (s *Server) consumerInPath(r request) (*entity, error) {
	e, err := s.lookUp(s.tables[consumers], r.param("consumer"))
	if err == nil && e == nil {
		err = noSuchObject()
	}
	return e, err
}

func (s *Server) listNested(of *schema) operation {
	return func(r request) (reply, error) {
		consumer, err := s.consumerInPath(r)
		if err != nil {
			return reply{}, err
		}
		next := func(offset string) string { // without the size: so does Kong
			return "/consumers/" + url.PathEscape(r.param("consumer")) + "/" + of.nested + "?offset=" + offset
		}
		rows := s.tables[of].byConsumer[consumer.id()]
		found, err := paged(rows, of, r.URL.Query(), tagFilter{}, s.now(), next)
		if err != nil {
			return reply{}, err
		}
		return ok(found)
	}
}

func ownedBy(consumer *entity, args map[string]any) map[string]any {
	out := map[string]any{}
	maps.Copy(out, args)
	out["consumer"] = map[string]any{"id": consumer.id()}
	return out
}

func (s *Server) createNested(of *schema) operation {
	return func(r request) (reply, error) {
		consumer, err := s.consumerInPath(r)
		if err != nil {
			return reply{}, err
		}
		r.args = ownedBy(consumer, r.args)
		return s.create(of)(r)
	}
}

// nestedRow finds the consumer's row that the path names. A group's name stands
// for its row; another consumer's row is not found.
func (s *Server) nestedRow(of *schema, r request) (*entity, error) {
	consumer, err := s.consumerInPath(r)
	if err != nil {
		return nil, err
	}
	t, key := s.tables[of], r.param("id")
	var e *entity
	if of.perConsumer != "" && !isUUID(key) {
		e = t.find(of.perConsumer, perConsumerKey(consumer.id(), key), s.now())
	} else if e, err = s.lookUp(t, key); err != nil {
		return nil, err
	}
	if e == nil || e.consumer != consumer.id() {
		return nil, noSuchObject()
	}
	return e, nil
}

func (s *Server) getNested(of *schema) operation {
	return func(r request) (reply, error) {
		e, err := s.nestedRow(of, r)
		if err != nil {
			return reply{}, err
		}
		return ok(s.view(s.tables[of], e))
	}
}

// putNested takes over a row of another consumer that has this id: so does Kong.
func (s *Server) putNested(of *schema) operation {
	return func(r request) (reply, error) {
		consumer, err := s.consumerInPath(r)
		if err != nil {
			return reply{}, err
		}
		args, key := ownedBy(consumer, r.args), r.param("id")
		if of.perConsumer != "" && !isUUID(key) {
			if _, given := args[of.perConsumer]; !given {
				args[of.perConsumer] = key
			}
			if e := s.tables[of].find(of.perConsumer, perConsumerKey(consumer.id(), key), s.now()); e != nil {
				key = e.id()
			} else {
				key = s.newID()
			}
		}
		return s.putByKey(s.tables[of], key, args)
	}
}

func (s *Server) patchNested(of *schema) operation {
	return func(r request) (reply, error) {
		e, err := s.nestedRow(of, r)
		if err != nil {
			return reply{}, err
		}
		return s.patchEntity(s.tables[of], e, r.args)
	}
}

func (s *Server) deleteNested(of *schema) operation {
	return func(r request) (reply, error) {
		e, err := s.nestedRow(of, r)
		if err != nil {
			return reply{}, err
		}
		return reply{status: http.StatusNoContent}, s.remove(s.tables[of], e)
	}
}

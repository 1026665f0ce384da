package graviteetest

import (
	"maps"
	"net/http"
)

type v1Dictionary struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Properties map[string]string `json:"properties"`
	CreatedAt  int64             `json:"created_at"`
	UpdatedAt  int64             `json:"updated_at"`
	DeployedAt *int64            `json:"deployed_at,omitempty"`
}

func toV1Dictionary(d *Dictionary) v1Dictionary {
	return v1Dictionary{
		ID: d.ID, Name: d.Name, Type: d.Type, Properties: d.Properties,
		CreatedAt: d.CreatedAt.UnixMilli(), UpdatedAt: d.UpdatedAt.UnixMilli(), DeployedAt: millis(d.DeployedAt),
	}
}

// deploy makes the properties of this moment those that the gateway reads.
func (s *Server) deploy(d *Dictionary) {
	now := s.now()
	d.Deployed, d.DeployedAt, d.UpdatedAt = maps.Clone(d.Properties), &now, now
}

func (s *Server) v1OnDictionary(op func(request, *Dictionary) (reply, error)) operation {
	return func(r request) (reply, error) {
		d := s.dictionaries[r.param("dictionary")]
		if d == nil {
			return reply{}, dictionaryNotFound(r.param("dictionary"))
		}
		return op(r, d)
	}
}

func (s *Server) v1ListDictionaries(request) (reply, error) {
	list := []v1Dictionary{}
	for _, d := range s.dictionaryOrder {
		list = append(list, toV1Dictionary(d))
	}
	return ok(list)
}

type v1DictionaryBody struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Type        string            `json:"type"`
	Properties  map[string]string `json:"properties"`
}

func (r request) dictionary() (v1DictionaryBody, error) {
	var body v1DictionaryBody
	if err := r.decode(&body); err != nil {
		return body, err
	}
	if body.Name == "" {
		return body, invalid("name", "must not be null", nil)
	}
	if body.Type != "MANUAL" {
		return body, invalid("type", "only MANUAL dictionaries have properties of their own", body.Type)
	}
	if body.Properties == nil {
		body.Properties = map[string]string{}
	}
	return body, nil
}

// v1CreateDictionary names the dictionary by its key, made from its name.
func (s *Server) v1CreateDictionary(r request) (reply, error) {
	body, err := r.dictionary()
	if err != nil {
		return reply{}, err
	}
	id := metadataKey(body.Name)
	if s.dictionaries[id] != nil {
		return reply{}, bad("dictionary.duplicateName", "A dictionary with name '"+body.Name+"' already exists.", "dictionary", id)
	}
	now := s.now()
	d := &Dictionary{ID: id, Name: body.Name, Type: body.Type, Properties: body.Properties, CreatedAt: now, UpdatedAt: now}
	s.dictionaries[id] = d
	s.dictionaryOrder = append(s.dictionaryOrder, d)
	return reply{http.StatusCreated, toV1Dictionary(d), r.URL.Path + "/" + id}, nil
}

func (s *Server) v1GetDictionary(_ request, d *Dictionary) (reply, error) {
	return ok(toV1Dictionary(d))
}

// v1PutDictionary replaces everything, with no check of what was read before:
// two writers lose each other's updates.
func (s *Server) v1PutDictionary(r request, d *Dictionary) (reply, error) {
	body, err := r.dictionary()
	if err != nil {
		return reply{}, err
	}
	d.Name, d.Properties, d.UpdatedAt = body.Name, body.Properties, s.now()
	return ok(toV1Dictionary(d))
}

func (s *Server) v1DeployDictionary(_ request, d *Dictionary) (reply, error) {
	s.deploy(d)
	return ok(toV1Dictionary(d))
}

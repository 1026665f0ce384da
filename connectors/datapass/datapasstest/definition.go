package datapasstest

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// definitionsJSON holds facts of DataPass's public definitions: identifiers,
// names, stages, scopes (datapass.md, 4.3 and 4.4).
//
//go:embed definitions.json
var definitionsJSON []byte

type definition struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Stage  *stage  `json:"stage"`
	Scopes []scope `json:"scopes"`
}

type stage struct {
	Type     string    `json:"type"`
	Next     *stageRef `json:"next"`
	Previous *stageRef `json:"previous"`
}

type stageRef struct {
	ID   string `json:"id"`
	Form string `json:"form_id"`
}

type scope struct {
	Name       string `json:"name"`
	Value      string `json:"value"`
	Group      string `json:"group"`
	Link       string `json:"link"`
	Included   bool   `json:"included"`
	Disabled   bool   `json:"disabled"`
	Deprecated *struct {
		Since    string `json:"since"`
		Writable *bool  `json:"writable"`
	} `json:"deprecated"`
}

var definitions = sync.OnceValue(func() []definition {
	var list []definition
	if err := json.Unmarshal(definitionsJSON, &list); err != nil {
		panic(err) // embedded: a mistake of this package
	}
	return list
})

func findDefinition(uid string) (definition, bool) {
	for _, d := range definitions() {
		if d.ID == uid {
			return d, true
		}
	}
	return definition{}, false
}

func (d definition) next() *stageRef {
	if d.Stage == nil {
		return nil
	}
	return d.Stage.Next
}

func (d definition) previous() *stageRef {
	if d.Stage == nil {
		return nil
	}
	return d.Stage.Previous
}

// json is the object Definition of API v1 (datapass.md, 3.3).
func (d definition) json(now time.Time) object {
	name := d.Name
	if d.Stage != nil {
		name += map[string]string{"sandbox": " (Bac à sable)", "production": " (Production)"}[d.Stage.Type]
	}
	scopes := make([]object, len(d.Scopes))
	for i, s := range d.Scopes {
		scopes[i] = s.json(now)
	}
	return object{
		"id": d.ID, "name": name, "multi_stage?": d.Stage != nil,
		"authorization_request_class": className(d.ID), "scopes": scopes,
	}
}

func (s scope) json(now time.Time) object {
	out := object{
		"name": s.Name, "value": s.Value, "group": orNull(s.Group), "link": orNull(s.Link),
		"included": s.Included, "disabled": s.Disabled, "deprecated": false, "deprecated_date": nil,
	}
	if s.Deprecated != nil {
		deprecated := s.Deprecated.Since < now.In(paris).Format(time.DateOnly)
		writable := s.Deprecated.Writable == nil || *s.Deprecated.Writable
		out["deprecated"] = deprecated
		out["deprecated_date"] = s.Deprecated.Since
		out["disabled"] = s.Disabled || (deprecated && !writable)
	}
	return out
}

// acronyms are the parts of a class name that are not just capitalised
// (datapass.md, section 0).
var acronyms = map[string]string{
	"api": "API", "cnam": "CNAM", "ensu": "ENSU", "sfip": "SFiP", "gfe": "GFE", "infinoe": "INFINOE",
	"qf": "QF", "captchetat": "CaptchEtat", "cesu": "CESU", "dc": "DC", "hubee": "HubEE", "r2p": "R2P",
}

// className gives the class of a definition: api_particulier is
// AuthorizationRequest::APIParticulier.
func className(uid string) string {
	var name strings.Builder
	name.WriteString("AuthorizationRequest::")
	for part := range strings.SplitSeq(uid, "_") {
		if acronym, ok := acronyms[part]; ok {
			name.WriteString(acronym)
		} else if part != "" {
			name.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return name.String()
}

package hubeetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// OrganizationBody is an organisation as HubEE carries it.
type OrganizationBody struct {
	OrganizationID `yaml:",inline"`
	Name           string  `json:"name" yaml:"name"`
	Code           *string `json:"code" yaml:"code"`
	Country        *string `json:"country" yaml:"country"`
	PostalCode     string  `json:"postalCode" yaml:"postalCode"`
	Territory      string  `json:"territory" yaml:"territory"`
	Email          string  `json:"email" yaml:"email"`
	PhoneNumber    *string `json:"phoneNumber" yaml:"phoneNumber"`
	Status         string  `json:"status" yaml:"status"`
}

type organization struct {
	body    OrganizationBody
	created time.Time
	updated *time.Time
}

type organizationView struct {
	OrganizationBody
	CreateDateTime offsetMoment  `json:"createDateTime"`
	UpdateDateTime *offsetMoment `json:"updateDateTime"`
}

func (o *organization) view() organizationView {
	return organizationView{o.body, offsetMoment(o.created), offsetOrNull(o.updated)}
}

func (s *Server) createOrganization(c *call) (answer, *refusal) {
	var in OrganizationBody
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	if s.organizations[in.OrganizationID] != nil {
		return answer{}, refuse(http.StatusBadRequest, fmt.Sprintf("Organization %s already exists", in.OrganizationID))
	}
	return answer{body: s.addOrganization(in).view()}, nil
}

// addOrganization needs the lock.
func (s *Server) addOrganization(in OrganizationBody) *organization {
	o := &organization{body: in, created: s.now()}
	s.organizations[in.OrganizationID] = o
	return o
}

func (s *Server) organizationOf(c *call) (*organization, *refusal) {
	name, ok := parseOrganizationID(c.param("organization"))
	if o := s.organizations[name]; ok && o != nil {
		return o, nil
	}
	return nil, refuse(http.StatusNotFound, "Organization is not found")
}

func (s *Server) getOrganization(c *call) (answer, *refusal) {
	o, refused := s.organizationOf(c)
	if refused != nil {
		return answer{}, refused
	}
	return answer{body: o.view()}, nil
}

func (s *Server) listOrganizations(*call) (answer, *refusal) {
	out := []organizationView{}
	for _, o := range s.organizations {
		out = append(out, o.view())
	}
	slices.SortFunc(out, func(a, b organizationView) int {
		return strings.Compare(a.OrganizationID.String(), b.OrganizationID.String())
	})
	return answer{body: out}, nil
}

// putOrganization replaces all but the name that others know it by.
func (s *Server) putOrganization(c *call) (answer, *refusal) {
	o, refused := s.organizationOf(c)
	if refused != nil {
		return answer{}, refused
	}
	var in OrganizationBody
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	if in.OrganizationID != o.body.OrganizationID {
		return answer{}, refuse(http.StatusBadRequest, badRequest)
	}
	now := s.now()
	o.body, o.updated = in, &now
	return answer{body: o.view()}, nil
}

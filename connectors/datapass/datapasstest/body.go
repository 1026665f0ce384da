package datapasstest

import (
	"fmt"
	"time"
)

// eventBody writes the body of a webhook (datapass.md, 2.4).
func eventBody(event EventName, firedAt time.Time, r *Request) ([]byte, error) {
	data, err := r.Fields.typed()
	if err != nil {
		return nil, err
	}
	authorizations := make([]object, len(r.Habilitations))
	for i := range r.Habilitations {
		authorizations[i] = r.Habilitations[i].json()
	}
	return appendJSONB(nil, object{
		"event": string(event), "fired_at": firedAt.Unix(),
		"model_type": "authorization_request/" + r.Definition, "model_id": r.ID,
		"data": object{
			"id": r.ID, "public_id": r.PublicID, "type": className(r.Definition), "state": string(r.State),
			"form_uid": r.Form, "data": data, "created_at": wireTime(r.CreatedAt),
			"last_submitted_at": wireTime(r.LastSubmittedAt), "last_validated_at": wireTime(r.LastValidatedAt),
			"organization":     r.Organization.webhookJSON(),
			"applicant":        r.Applicant.webhookJSON(),
			"service_provider": r.ServiceProvider.json(),
			"authorizations":   authorizations,
		},
	})
}

// linkedBody writes the approve webhook of a linked FranceConnect habilitation:
// the child's class, data and date under the ids of its parent (datapass.md, 2.8).
func linkedBody(firedAt time.Time, parent *Request, child *Habilitation) ([]byte, error) {
	as := *parent
	as.Definition, as.State, as.Fields, as.CreatedAt = child.Definition, Validated, child.Fields, child.CreatedAt
	as.Habilitations = nil
	return eventBody(EventApprove, firedAt, &as)
}

// testBody is the body of a connection test (datapass.md, 2.6).
func testBody(now time.Time) []byte {
	return fmt.Appendf(nil, `{"test":true,"timestamp":%q}`, now.In(paris).Format(time.RFC3339))
}

func (h *Habilitation) json() object {
	return object{
		"id": h.ID, "slug": nil,
		"revoked": false, // no longer written (datapass.md, 1.3)
		"state":   string(h.State), "created_at": wireTime(h.CreatedAt), "data": h.Fields.raw(),
		"authorization_request_class": className(h.Definition), "definition_id": h.Definition,
	}
}

func (o Organization) webhookJSON() object {
	name := o.Name
	if name == "" {
		name = "l'organisation " + o.SIRET + " (nom inconnu)"
	}
	return object{"id": o.ID, "name": name, "siret": orNull(o.SIRET), "insee_payload": o.inseeJSON()}
}

// apiJSON has no name (datapass.md, 3.7).
func (o Organization) apiJSON() object {
	return object{"id": o.ID, "siret": orNull(o.SIRET), "insee_payload": o.inseeJSON()}
}

func (o Organization) inseeJSON() any {
	if len(o.INSEE) == 0 {
		return object{}
	}
	return o.INSEE
}

func (a Applicant) webhookJSON() object {
	out := a.apiJSON()
	out["uid"], out["job_title"] = orNull(a.UID), orNull(a.JobTitle)
	return out
}

func (a Applicant) apiJSON() object {
	return object{
		"id": a.ID, "email": a.Email, "given_name": orNull(a.GivenName),
		"family_name": orNull(a.FamilyName), "phone_number": orNull(a.PhoneNumber),
	}
}

func (p *ServiceProvider) json() any {
	if p == nil {
		return nil
	}
	return object{"id": p.ID, "siret": orNull(p.SIRET), "type": p.Type}
}

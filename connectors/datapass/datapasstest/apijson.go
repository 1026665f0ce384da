package datapasstest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// apiJSON is the object Demande (datapass.md, 3.3).
func (r *Request) apiJSON() object {
	habilitations := make([]object, len(r.Habilitations))
	for i := range r.Habilitations {
		habilitations[i] = r.Habilitations[i].json()
	}
	events := []object{}
	for _, event := range r.Events {
		if event.Name != EventBulkUpdate {
			events = append(events, event.json())
		}
	}
	return object{
		"id": r.ID, "public_id": r.PublicID, "definition_id": r.Definition, "type": className(r.Definition),
		"state": string(r.State), "form_uid": r.Form, "data": r.Fields.raw(), "created_at": wireTime(r.CreatedAt),
		"last_submitted_at": wireTime(r.LastSubmittedAt), "last_validated_at": wireTime(r.LastValidatedAt),
		"reopening": r.Reopening, "reopened_at": wireTime(r.ReopenedAt), "habilitations": habilitations,
		"organisation": r.Organization.apiJSON(), "applicant": r.Applicant.apiJSON(), "events": events,
	}
}

// json is the object Habilitation of the two /habilitations endpoints.
func (h heldHabilitation) json() object {
	out := h.Habilitation.json()
	out["request_id"], out["organisation"] = h.RequestID, h.organization.apiJSON()
	return out
}

func (e Event) json() object {
	return object{"id": e.ID, "name": string(e.Name), "created_at": wireTime(e.At)}
}

// picked applies the filters of both lists; an unknown state picks nothing.
func picked(r *http.Request, state, siret string) bool {
	query := r.URL.Query()
	states := append(query["state"], query["state[]"]...)
	return (len(states) == 0 || slices.Contains(states, state)) &&
		(query.Get("siret") == "" || query.Get("siret") == siret)
}

func newestFirst(a, b time.Time, aID, bID int64) int {
	return cmp.Or(b.Compare(a), cmp.Compare(bID, aID))
}

// page applies limit and offset (datapass.md, 3.2).
func page[T any](r *http.Request, list []T) []T {
	offset, err := strconv.Atoi(r.URL.Query().Get("offset"))
	if err != nil || offset < 0 {
		offset = 0
	}
	list = list[min(offset, len(list)):]
	return list[:min(limitParam(r, 10), len(list))]
}

// limitParam gives the default for 0, a negative number or text, and 1000 above it.
func limitParam(r *http.Request, byDefault int) int {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit <= 0 {
		return byDefault
	}
	return min(limit, 1000)
}

func timeParam(r *http.Request, name string) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, r.URL.Query().Get(name))
	return at, err == nil
}

// apiError answers errors[] (datapass.md, 3.5), as application/json.
func apiError(w http.ResponseWriter, status int, title, detail, pointer string) {
	item := object{"status": strconv.Itoa(status), "title": title, "detail": detail}
	if pointer != "" {
		item["source"] = object{"pointer": pointer}
	}
	writeJSON(w, status, object{"errors": []object{item}})
}

func apiNotFound(w http.ResponseWriter) {
	apiError(w, http.StatusNotFound, "Non trouvé", "La ressource demandée est introuvable.", "")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := appendJSONB(nil, v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

package v1

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// Bounds of a list (datapass.md, 3.2). Beyond maxOffset a list is read by its
// cursor: skipping costs as much as reading.
const (
	defaultLimit    = 10
	maxLimit        = 1000
	maxOffset       = 250_000
	defaultAttempts = 100
)

// query is what a list was asked for.
type query struct {
	page         store.Page
	states       []string // nil: any
	siret        string
	updatedSince time.Time
}

func readQuery(r *http.Request) (query, error) {
	values := r.URL.Query()
	q := query{siret: strings.TrimSpace(values.Get("siret"))}
	q.page.Limit = limitOf(values.Get("limit"), defaultLimit)
	for _, state := range append(values["state"], values["state[]"]...) {
		if state != "" {
			q.states = append(q.states, state)
		}
	}
	var err error
	if text := values.Get("updated_since"); text != "" {
		if q.updatedSince, err = timeOf("updated_since", text); err != nil {
			return q, err
		}
	}
	if text := values.Get("cursor"); text != "" {
		q.page.After, err = readCursor(text, !q.updatedSince.IsZero())
		return q, err
	}
	q.page.Offset, err = offsetOf(values.Get("offset"))
	return q, err
}

// limitOf: over the maximum is the maximum; zero, negative or text the default.
func limitOf(text string, normal int) int {
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange) && !strings.HasPrefix(text, "-"):
		return maxLimit
	case err != nil || n <= 0:
		return normal
	}
	return min(n, maxLimit)
}

// offsetOf: negative or text is the start.
func offsetOf(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if errors.Is(err, strconv.ErrRange) && !strings.HasPrefix(text, "-") || n > maxOffset {
		return 0, fail(http.StatusBadRequest, titleParameter, "Le paramètre « offset » ne peut pas dépasser "+strconv.Itoa(maxOffset)+
			" : pour lire plus loin, suivez l’en-tête Link (curseur).", "/offset")
	}
	return max(n, 0), nil
}

// timeOf reads an ISO 8601 time; one without an offset is in Europe/Paris. A
// plus sign that was not encoded comes as a space.
func timeOf(name, text string) (time.Time, error) {
	text = strings.ReplaceAll(text, " ", "+")
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, paris); err == nil && t.Year() > 0 && t.Year() < 10_000 {
			return t, nil
		}
	}
	return time.Time{}, fail(http.StatusBadRequest, titleParameter, "Le paramètre « "+name+" » doit être une date ISO 8601.", "/"+name)
}

// bound reads an optional time; nil for none.
func bound(r *http.Request, name string) (*time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return nil, nil //nolint:nilnil // no bound
	}
	t, err := timeOf(name, text)
	return &t, err
}

var siretShape = regexp.MustCompile(`^[0-9]{14}$`)

// cursor is the place that a list goes on from, opaque to clients.
type cursor struct {
	At      int64 `json:"t"` // microseconds since 1970
	ID      int64 `json:"i"`
	Changes bool  `json:"c,omitempty"` // in the order of changes
}

func encodeCursor(c store.Cursor, changes bool) string {
	body, err := json.Marshal(cursor{c.At.UnixMicro(), c.ID, changes})
	if err != nil { // three plain fields
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

func readCursor(text string, changes bool) (*store.Cursor, error) {
	var c cursor
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil || c.Changes != changes || c.ID <= 0 || c.At < 0 || c.At > maxMicros {
		return nil, fail(http.StatusBadRequest, titleParameter, "Le paramètre « cursor » ne vient pas de cette liste.", "/cursor")
	}
	return &store.Cursor{At: time.UnixMicro(c.At), ID: c.ID}, nil
}

// maxMicros is the year 9999.
const maxMicros = 253402300799 * 1_000_000

// linkNext says where the list goes on (RFC 8288): the body stays DataPass's
// bare array. In the order of changes, a client begins its next round some time
// before the moment this one began: what was being written then is seen then.
func linkNext(w http.ResponseWriter, r *http.Request, q query, next *store.Cursor) {
	if next == nil {
		return
	}
	values := r.URL.Query()
	values.Del("offset")
	values.Set("cursor", encodeCursor(*next, !q.updatedSince.IsZero()))
	target := url.URL{Path: r.URL.Path, RawQuery: values.Encode()}
	w.Header().Set("Link", "<"+target.String()+`>; rel="next"`)
}

// readID reads an id with or without its prefix: 123, D123 (datapass.md, 0).
func readID(text, prefix string) (int64, error) {
	if len(text) > 0 && strings.EqualFold(text[:1], prefix) {
		text = text[1:]
	}
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil || id == 0 {
		return 0, errNotFound
	}
	return int64(id), nil
}

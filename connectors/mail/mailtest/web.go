package mailtest

import (
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

//go:embed pages.html
var pagesHTML embed.FS

var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"segments": segments,
}).ParseFS(pagesHTML, "pages.html"))

// pages serves the mailbox:
//
//	GET    /                       the list, ?to=address
//	GET    /messages/{id}          one mail, its links ready to be followed
//	GET    /messages/{id}/html     its HTML part, without scripts
//	GET    /messages/{id}/source   the mail as it came
//	GET    /api/messages           the same as JSON, ?to=address
//	GET    /api/messages/{id}
//	DELETE /api/messages
func (s *Server) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.showList)
	mux.HandleFunc("GET /messages/{id}", s.withMessage(s.showMessage))
	mux.HandleFunc("GET /messages/{id}/html", s.withMessage(showHTML))
	mux.HandleFunc("GET /messages/{id}/source", s.withMessage(showSource))
	mux.HandleFunc("GET /api/messages", s.listJSON)
	mux.HandleFunc("GET /api/messages/{id}", s.withMessage(showJSON))
	mux.HandleFunc("DELETE /api/messages", func(w http.ResponseWriter, _ *http.Request) {
		s.Empty()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// picked lists the mails that the query asks for, newest first.
func (s *Server) picked(r *http.Request) []Message {
	list := s.Messages()
	if to := r.URL.Query().Get("to"); to != "" {
		list = s.To(to)
	}
	slices.Reverse(list)
	return list
}

func (s *Server) withMessage(next func(http.ResponseWriter, *http.Request, Message)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		m, ok := s.Message(id)
		if !ok {
			http.NotFound(w, r)
			return
		}
		next(w, r, m)
	}
}

func (s *Server) showList(w http.ResponseWriter, r *http.Request) {
	show(w, "list", map[string]any{"Messages": s.picked(r), "To": r.URL.Query().Get("to")})
}

func (s *Server) showMessage(w http.ResponseWriter, _ *http.Request, m Message) {
	show(w, "message", m)
}

const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; img-src data:"

func show(w http.ResponseWriter, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	if err := pageTemplates.ExecuteTemplate(w, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// showHTML serves a stranger's HTML: no script, no form, no picture from
// elsewhere; links open outside of the frame.
func showHTML(w http.ResponseWriter, _ *http.Request, m Message) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy+
		"; sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation")
	_, _ = io.WriteString(w, `<base target="_top">`+m.HTML)
}

func showSource(w http.ResponseWriter, _ *http.Request, m Message) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(m.Raw)
}

func (s *Server) listJSON(w http.ResponseWriter, r *http.Request) {
	out := []jsonMessage{}
	for _, m := range s.picked(r) {
		out = append(out, newJSONMessage(m))
	}
	partnertest.WriteJSON(w, http.StatusOK, out)
}

func showJSON(w http.ResponseWriter, _ *http.Request, m Message) {
	partnertest.WriteJSON(w, http.StatusOK, newJSONMessage(m))
}

// jsonMessage is a mail of GET /api/messages.
type jsonMessage struct {
	Message
	Links []string `json:"links"`
}

func newJSONMessage(m Message) jsonMessage {
	links := m.Links()
	if links == nil {
		links = []string{}
	}
	return jsonMessage{m, links}
}

// segment is a piece of text, or a link.
type segment struct{ Text, URL string }

// segments cuts a text at its links.
func segments(text string) []segment {
	var out []segment
	from := 0
	for _, at := range linkPattern.FindAllStringIndex(text, -1) {
		out = append(out, segment{Text: text[from:at[0]]}, segment{URL: text[at[0]:at[1]]})
		from = at[1]
	}
	return append(out, segment{Text: text[from:]})
}

// control adds to the admin surface of a relay that runs as a process of its own:
//
//	POST   /_admin/mail-faults   a Fault, or an array of them
//	DELETE /_admin/mail-faults
//	POST   /_admin/bounces       a BounceRule, for the mails to come
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_admin/mail-faults", func(w http.ResponseWriter, r *http.Request) {
		list, err := decodeList[Fault](r.Body)
		for _, fault := range list {
			err = errors.Join(err, fault.Valid())
		}
		if err != nil {
			partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		s.Fail(list...)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /_admin/mail-faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_admin/bounces", func(w http.ResponseWriter, r *http.Request) {
		list, err := decodeList[BounceRule](r.Body)
		for _, rule := range list {
			err = errors.Join(err, validPattern(rule.Recipient))
		}
		if err != nil {
			partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		s.BounceFor(list...)
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// decodeList reads one value or an array of them.
func decodeList[T any](r io.Reader) ([]T, error) {
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, err
	}
	var list []T
	if json.Unmarshal(text, &list) == nil {
		return list, nil
	}
	var one T
	if err := json.Unmarshal(text, &one); err != nil {
		return nil, err
	}
	return []T{one}, nil
}

// state is what GET /_admin/state shows.
func (s *Server) state() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := []map[string]any{}
	for _, slot := range s.faults {
		faults = append(faults, map[string]any{"fault": slot.Fault, "struck": slot.struck})
	}
	bounces := []map[string]any{}
	for _, b := range s.bounces {
		bounces = append(bounces, map[string]any{"message": b.MessageID, "recipient": b.Recipient, "status": b.Status})
	}
	return map[string]any{"messages": len(s.messages), "sessions": s.sessions, "mail_faults": faults, "bounces": bounces}
}

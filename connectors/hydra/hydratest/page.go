package hydratest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// listClients gives one page, by id. Secrets are never among what it shows.
func (s *Server) listClients(r request) (reply, error) {
	if s.dbDown {
		return reply{}, &unknownFlaw
	}
	query := r.URL.Query()
	rows := s.order
	if owner := query.Get("owner"); owner != "" {
		rows = s.byOwner[owner]
	}
	if name := query.Get("client_name"); name != "" {
		var named []*record
		for _, row := range rows {
			if row.Name == name {
				named = append(named, row)
			}
		}
		rows = named
	}
	if s.version == VersionRotating {
		return listByKey(rows, r.URL)
	}
	return s.listByOffset(rows, r.URL)
}

func shown(rows []*record) []Client {
	out := make([]Client, len(rows))
	for i, row := range rows {
		out[i] = row.Client
	}
	return out
}

// listByOffset is the list of 2.3.0. Its links and X-Total-Count count all
// clients, not those that the filter keeps: a `next` may lead to an empty page.
func (s *Server) listByOffset(rows []*record, address *url.URL) (reply, error) {
	query := address.Query()
	size := 250
	if written, err := strconv.Atoi(query.Get("page_size")); err == nil {
		size = min(max(written, 1), 1000)
	}
	page := readOffset(query.Get("page_token")) / size
	from := min(page*size, len(rows))
	links := offsetLinks{address: address, total: len(s.order), size: size, page: page}
	header := map[string]string{"X-Total-Count": strconv.Itoa(len(s.order)), "Link": links.String()}
	return reply{200, shown(rows[from:min(from+size, len(rows))]), header}, nil
}

type offsetLinks struct {
	address           *url.URL
	total, size, page int
}

// String writes the header Link as 2.3.0 does, its oddities included.
func (l offsetLinks) String() string {
	last := l.total / l.size
	if l.total%l.size == 0 {
		last--
	}
	switch {
	case l.total == 0:
		return l.join("first", 0, "next", l.page+1, "prev", l.page-1)
	case l.page >= last && l.total <= l.size:
		l.size = l.total
		return l.join("first", 0)
	case l.page >= last:
		return l.join("first", 0, "prev", last-1)
	case l.page == 0:
		return l.join("next", 1, "last", last)
	default:
		return l.join("first", 0, "next", l.page+1, "prev", l.page-1, "last", last)
	}
}

func (l offsetLinks) join(pairs ...any) string {
	var links []string
	for i := 0; i < len(pairs); i += 2 {
		page, _ := pairs[i+1].(int)
		links = append(links, link(l.address, pairs[i], writeOffset(page*l.size), l.size))
	}
	return strings.Join(links, ",")
}

func link(address *url.URL, rel any, token string, size int) string {
	query := address.Query()
	query.Set("page_size", strconv.Itoa(size))
	query.Set("page_token", token)
	target := *address
	target.RawQuery = query.Encode()
	return fmt.Sprintf("<%s>; rel=%q", target.String(), rel)
}

// readOffset takes any token that is none for the first page.
func readOffset(token string) int {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return 0
	}
	var key struct {
		Offset string `json:"offset"`
	}
	if err := json.Unmarshal(text, &key); err != nil {
		return 0
	}
	offset, err := strconv.Atoi(key.Offset)
	if err != nil {
		return 0
	}
	return max(offset, 0)
}

func writeOffset(offset int) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"offset":"%d","v":2}`, offset))
}

// listByKey is the list of later releases: a page begins after the last id of
// the one before.
func listByKey(rows []*record, address *url.URL) (reply, error) {
	const keyPrefix = "id:"
	query := address.Query()
	size := 100
	if written := query.Get("page_size"); written != "" {
		read, err := strconv.Atoi(written)
		if err != nil {
			return reply{}, malformed.with("Unable to parse pagination parameters: %s", err.Error())
		}
		if read > 0 {
			size = min(read, 500)
		}
	}
	from := 0
	if token := query.Get("page_token"); token != "" {
		text, err := base64.RawURLEncoding.DecodeString(token)
		after, ok := strings.CutPrefix(string(text), keyPrefix)
		if err != nil || !ok {
			return reply{}, malformed.with("Unable to parse pagination parameters: invalid pagination token")
		}
		var found bool
		if from, found = position(rows, after); found {
			from++
		}
	}
	to := min(from+size, len(rows))
	encode := func(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(keyPrefix + id)) }
	links := []string{link(address, "first", encode(""), size)}
	if to < len(rows) {
		links = append(links, link(address, "next", encode(rows[to-1].ID), size))
	}
	return reply{200, shown(rows[from:to]), map[string]string{"Link": strings.Join(links, ",")}}, nil
}

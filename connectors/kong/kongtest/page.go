package kongtest

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	pageSize    = 100
	maxPageSize = 1000
	maxTags     = 5
)

// page is the answer of a collection. Offset is there when more follows.
type page struct {
	Data   []map[string]any `json:"data"`
	Next   *string          `json:"next"`
	Offset string           `json:"offset,omitempty"`
}

// tagFilter keeps the rows with all the tags, or with any of them.
type tagFilter struct {
	tags []string
	any  bool
}

var (
	tagsAnd = regexp.MustCompile(`^[^,/]+(,[^,/]+)*$`)
	tagsOr  = regexp.MustCompile(`^[^,/]+(/[^,/]+)*$`)
)

// readTags takes ?tags=a,b (both) or ?tags=a/b (either).
func readTags(query url.Values) (tagFilter, error) {
	if !query.Has("tags") {
		return tagFilter{}, nil
	}
	var filter tagFilter
	switch written := query.Get("tags"); {
	case written == "":
		return filter, invalidOption("tags", "cannot be null")
	case tagsAnd.MatchString(written):
		filter.tags = strings.Split(written, ",")
	case tagsOr.MatchString(written):
		filter.tags, filter.any = strings.Split(written, "/"), true
	default:
		return filter, invalidOption("tags", "invalid filter syntax")
	}
	if len(filter.tags) > maxTags {
		return filter, invalidOption("tags", "cannot query more than 5 tags")
	}
	return filter, nil
}

func (f tagFilter) keeps(e *entity) bool {
	held := func(tag string) bool { return slices.Contains(e.tags(), tag) }
	if f.any {
		return slices.ContainsFunc(f.tags, held)
	}
	return !slices.ContainsFunc(f.tags, func(tag string) bool { return !held(tag) })
}

func readSize(query url.Values) (int, error) {
	written := query.Get("size")
	if written == "" {
		return pageSize, nil
	}
	size, err := strconv.ParseFloat(written, 64)
	if err != nil {
		return 0, invalidSize("size must be a number")
	}
	if size != float64(int(size)) || size < 1 || size > maxPageSize {
		return 0, invalidSize("size must be an integer between 1 and " + strconv.Itoa(maxPageSize))
	}
	return int(size), nil
}

// readOffset gives the id after which the page begins.
func readOffset(query url.Values) (string, error) {
	written := query.Get("offset")
	if written == "" {
		return "", nil
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(written, "="))
	if err != nil {
		return "", invalidOffset(written, "bad base64 encoding")
	}
	var key []string
	if err := json.Unmarshal(decoded, &key); err != nil || len(key) == 0 {
		return "", invalidOffset(written, "bad json encoding")
	}
	return key[0], nil
}

func writeOffset(id string) string {
	return base64.RawStdEncoding.EncodeToString([]byte(`["` + id + `"]`))
}

// paged shows one page of rows, which are ordered by id. next gives the address
// of the page after it.
func paged(rows []*entity, of *schema, query url.Values, filter tagFilter, now time.Time, next func(offset string) string) (page, error) {
	size, err := readSize(query)
	if err != nil {
		return page{}, err
	}
	after, err := readOffset(query)
	if err != nil {
		return page{}, err
	}
	from := 0
	if after != "" {
		at, found := position(rows, after)
		if from = at; found {
			from++
		}
	}
	out := page{Data: []map[string]any{}}
	last := ""
	for _, e := range rows[from:] {
		if e.expired(now) || !filter.keeps(e) {
			continue
		}
		if len(out.Data) == size {
			out.Offset = writeOffset(last)
			address := next(url.QueryEscape(out.Offset))
			out.Next = &address
			break
		}
		out.Data = append(out.Data, e.view(of, now))
		last = e.id()
	}
	return out, nil
}

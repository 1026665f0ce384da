package hubeetest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
)

// maxJSON bounds a JSON body, in bytes.
const maxJSON = 8 << 20

// call is one that the gateway let through.
type call struct {
	route   *route
	request *http.Request
	caller  Credential
	query   url.Values
	body    []byte
	digest  string
	partner *partnerInfoBody
}

func (c *call) param(name string) string { return chi.URLParam(c.request, name) }

// decode reads the checked body.
func (c *call) decode(into any) *refusal {
	if err := json.Unmarshal(c.body, into); err != nil {
		return refuse(http.StatusBadRequest, badRequest)
	}
	return nil
}

// answer of a handler: JSON in body, or a file.
type answer struct {
	body   any
	file   []byte
	header http.Header
}

// refusal is an answer of errors[].
type refusal struct {
	status int
	code   int
	text   string
}

func refuse(status int, text string) *refusal {
	return &refusal{status: status, code: status, text: text}
}

// Texts of hubee.md, 4 and 12, to the letter.
const (
	badRequest       = "Bad request"
	unauthorizedUser = "Unauthorized user"
	invalidToken     = "Invalid Credentials : Invalid Credentials. Make sure you have given the correct access token"
	methodNotAllowed = "Method not allowed"
	noSuchResource   = "No matching resource found for given API Request" // inferred
)

func forbidden() *refusal { return refuse(http.StatusForbidden, unauthorizedUser) }

// router serves the table of routes and the token endpoint.
func (s *Server) router() http.Handler {
	mux := chi.NewRouter()
	mux.Post(tokenPath, s.issueToken)
	for _, r := range routes() {
		mux.Method(r.method, r.base+r.path, s.gateway(&r))
		if r.patch {
			mux.Method(http.MethodPost, r.base+r.path, s.gateway(&r))
		}
	}
	mux.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		writeRefusal(w, refuse(http.StatusNotFound, noSuchResource))
	})
	mux.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		writeRefusal(w, refuse(http.StatusMethodNotAllowed, methodNotAllowed))
	})
	return mux
}

// gateway holds a call to its route, runs it, and holds the answer to the route.
func (s *Server) gateway(rt *route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{route: rt, request: r}
		refused := s.admit(w, c)
		var a answer
		if refused == nil {
			s.mu.Lock()
			s.settle()
			a, refused = rt.handle(s, c)
			s.mu.Unlock()
		}
		zip := s.Switches().Gzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
		if refused != nil {
			if rt.binary && refused.status == http.StatusBadRequest && s.Switches().GatewayWrapsRefusals {
				refused = wrapped(r)
			}
			writeRefusal(w, refused)
			return
		}
		status, text, err := rt.render(r, a)
		if err != nil {
			writeRefusal(w, refuse(http.StatusInternalServerError, err.Error()))
			return
		}
		for name, values := range a.header {
			w.Header()[name] = values
		}
		send(w, status, text, zip)
	}
}

// render writes the answer's body and checks it as the gateway does.
func (rt *route) render(r *http.Request, a answer) (int, []byte, error) {
	if a.file != nil || rt.status == http.StatusNoContent {
		return rt.status, a.file, nil
	}
	text, err := json.Marshal(a.body)
	if err != nil {
		return 0, nil, err
	}
	value, ok := decodeJSON(text)
	if !ok {
		return 0, nil, errors.New("answer is not JSON")
	}
	if found := rt.answer.check(response, "", value); len(found) > 0 {
		return 0, nil, fmt.Errorf("Bad Response : Validation failed.\n[ERROR][RESPONSE][%s %s] %s",
			r.Method, r.URL.Path, found[0])
	}
	return rt.status, text, nil
}

// wrapped is the gateway's 500 for a refusal of the service behind it (hubee.md, 12).
func wrapped(r *http.Request) *refusal {
	return refuse(http.StatusInternalServerError, fmt.Sprintf("Bad Response : Validation failed.\n[ERROR][RESPONSE][%s %s] "+
		"[Path '/errors'] Instance type (object) does not match any allowed primitive type (allowed: [\"array\"])", r.Method, r.URL.Path))
}

func send(w http.ResponseWriter, status int, text []byte, zip bool) {
	if w.Header().Get("Content-Type") == "" && len(text) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	if zip && len(text) > 0 {
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		_, _ = writer.Write(text) // to memory
		_ = writer.Close()
		w.Header().Set("Content-Encoding", "gzip")
		text = packed.Bytes()
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func writeRefusal(w http.ResponseWriter, refused *refusal) {
	type fault struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	text, _ := json.Marshal(map[string][]fault{"errors": {{refused.code, refused.text}}}) // cannot fail
	send(w, refused.status, text, false)
}

// admit checks token, rights and form of a call, in that order.
func (s *Server) admit(w http.ResponseWriter, c *call) *refusal {
	r := c.request
	if override := r.Header.Get("X-Http-Method-Override"); r.Method == http.MethodPost && c.route.patch && override != http.MethodPatch {
		return refuse(http.StatusMethodNotAllowed, methodNotAllowed)
	}
	s.mu.Lock()
	token, ok := s.authenticate(r)
	s.mu.Unlock()
	if !ok {
		return &refusal{status: http.StatusUnauthorized, code: 900901, text: invalidToken}
	}
	c.caller = token.credential
	allowed := func(scope string) bool {
		return slices.Contains(c.route.scopes, Actor(scope)) || slices.Contains(c.route.practice, Actor(scope))
	}
	if !slices.ContainsFunc(token.scopes, allowed) {
		return forbidden()
	}
	// A client may hold several scopes: it acts as the first that the route takes.
	c.caller.Actor = Actor(token.scopes[slices.IndexFunc(token.scopes, allowed)])

	if faults := c.checkHead(); len(faults) > 0 {
		return invalid(faults)
	}
	faults, err := c.readBody(w, s.opts.MaxFile)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return refuse(http.StatusRequestEntityTooLarge, badRequest)
		}
		panic(http.ErrAbortHandler) // the client left in the middle: nothing was asked
	}
	if len(faults) > 0 {
		return invalid(faults)
	}
	return nil
}

func invalid(faults []string) *refusal {
	return refuse(http.StatusBadRequest, "Bad Request : Validation failed.\n"+strings.Join(faults, "\n"))
}

func (c *call) fault(where string, v violation) string {
	return fmt.Sprintf("[ERROR][REQUEST][%s %s @%s] %s", c.request.Method, c.request.URL.Path, where, v)
}

// checkHead checks path, query and headers.
func (c *call) checkHead() []string {
	var out []string
	r := c.request
	for _, name := range pathParameters(c.route.path) {
		if strings.HasSuffix(name, "Id") {
			for _, v := range id().check(request, "", c.param(name)) {
				out = append(out, c.fault("path."+name, v))
			}
		}
	}
	c.query = r.URL.Query()
	for _, name := range sortedKeys(c.query) {
		i := slices.IndexFunc(c.route.query, func(p parameter) bool { return p.name == name })
		if i < 0 {
			out = append(out, c.fault("query."+name, violation{
				text: fmt.Sprintf("Query parameter '%s' is unexpected on path %q", name, c.route.path),
			}))
			continue
		}
		for _, value := range c.query[name] {
			if v := c.route.query[i].check(value); v != nil {
				out = append(out, c.fault("query."+name, *v))
			}
		}
	}
	header := text(maxEditorLen)
	for _, name := range []string{"editorName", "applicationName", "softwareVersion"} {
		for _, v := range header.check(request, "", r.Header.Get(name)) {
			out = append(out, c.fault("header."+name, v))
		}
	}
	if c.route.digest {
		c.digest = r.Header.Get("Digest")
	}
	c.partner = partnerOf(r)
	return out
}

// check holds one value of a query to its parameter. For a number the text has
// no last parenthesis, as in the published example.
func (p parameter) check(value string) *violation {
	one := p.schema
	if one.kind == "array" {
		one = one.items
	}
	if one.kind == "integer" || one.kind == "number" {
		_, wholeErr := strconv.ParseInt(value, 10, 64)
		_, err := strconv.ParseFloat(value, 64)
		if wholeErr == nil || (one.kind == "number" && err == nil) {
			return nil
		}
		return &violation{text: "Instance type (string) does not match any allowed primitive type (allowed: " + allowedKinds(one.kind)}
	}
	if found := one.check(request, "", value); len(found) > 0 {
		return &found[0]
	}
	return nil
}

func partnerOf(r *http.Request) *partnerInfoBody {
	value := func(name string) *string {
		if text := r.Header.Get(name); text != "" {
			return &text
		}
		return nil
	}
	info := partnerInfoBody{value("editorName"), value("applicationName"), value("softwareVersion")}
	if info == (partnerInfoBody{}) {
		return nil
	}
	return &info
}

// readBody reads the body and checks a JSON one.
func (c *call) readBody(w http.ResponseWriter, maxFile int64) (faults []string, err error) {
	limit, wanted := int64(maxJSON), "application/json"
	switch {
	case c.route.binary:
		limit, wanted = maxFile, "application/octet-stream"
	case c.route.body == nil:
		return nil, nil
	}
	if c.body, err = io.ReadAll(http.MaxBytesReader(w, c.request.Body, limit)); err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	if kind != wanted {
		return []string{c.fault("contentType", violation{text: fmt.Sprintf(
			"Request Content-Type header '%s' does not match any allowed types. Must be one of: [%s]",
			c.request.Header.Get("Content-Type"), wanted)})}, nil
	}
	if c.route.binary {
		return nil, nil
	}
	if len(c.body) == 0 {
		return []string{c.fault("body", violation{text: "A request body is required but none found."})}, nil
	}
	value, ok := decodeJSON(c.body)
	if !ok {
		return []string{c.fault("body", violation{text: "Unable to parse JSON"})}, nil
	}
	for _, v := range c.route.body.check(request, "", value) {
		faults = append(faults, c.fault("body", v))
	}
	return faults, nil
}

// decodeJSON reads exactly one JSON value, numbers as they are written.
func decodeJSON(text []byte) (value any, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	_, err := decoder.Token()
	return value, errors.Is(err, io.EOF)
}

// pathParameters lists the names in braces.
func pathParameters(path string) []string {
	var names []string
	for segment := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(segment, "{") {
			names = append(names, strings.Trim(segment, "{}"))
		}
	}
	return names
}

package registry

import (
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// EndpointSettings is what the owner of an endpoint may choose; nil is left as
// it is.
type EndpointSettings struct {
	URL         *string
	Description *string
	Events      *[]string // types of the catalogue, or "*"
	Format      *string
	Headers     *map[string]string // all of them
	Rate        *float64           // deliveries a second; 0: no limit
	MaxInFlight *int
	Ordered     *bool
	Environment *string // "": the hub's
	Contact     *string
}

// EndpointError is settings that an endpoint cannot have. Nothing was done.
type EndpointError struct{ Faults []EndpointFault }

// EndpointFault is what is wrong with one field of the API's body.
type EndpointFault struct{ Field, Message string } // a field of a field: "headers/Host"

func (e *EndpointError) Error() string {
	fields := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		fields[i] = f.Field
	}
	return "endpoint refused: " + strings.Join(fields, ", ")
}

// Bounds of an endpoint.
const (
	MaxURL          = 2000 // bytes
	MaxDescription  = 500  // characters
	MaxHeaders      = 10
	MaxHeaderName   = 64   // bytes
	MaxHeaderValue  = 1024 // bytes
	MaxRate         = 1000 // deliveries a second
	MinRate         = 0.1
	MaxInFlight     = 50
	DefaultInFlight = 5 // deliveries at once, unless its owner says otherwise
)

// SigningKeys makes and reads the secrets of endpoints, in the forms of both
// dialects (webhooks.md, Dialects).
type SigningKeys interface {
	New() SigningKey
	// Parse reads either form; its error says what is wrong, without the value.
	Parse(secret connectors.Secret) (SigningKey, error)
}

// SigningKey is one secret in both of its forms.
type SigningKey struct{ Hex, Whsec connectors.Secret }

// kept is the form that keeps all of it: the case of hexadecimal text counts, a
// longer secret is no 64 characters.
func (k SigningKey) kept(given connectors.Secret) store.EndpointSecret {
	if given.IsZero() {
		given = k.Hex
	}
	return store.EndpointSecret{Value: strings.TrimSpace(given.Reveal())}
}

// faults gathers what is wrong.
type faults []EndpointFault

func (f *faults) at(field, format string, args ...any) {
	*f = append(*f, EndpointFault{field, fmt.Sprintf(format, args...)})
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &EndpointError{f}
}

// put writes the settings over an endpoint, and gathers what is wrong with them.
func (r *Registry) put(s EndpointSettings, e *store.Endpoint, wrong *faults) {
	if s.URL != nil {
		e.URL = *s.URL
		r.checkURL(e.URL, wrong)
	}
	if s.Description != nil {
		e.Description = *s.Description
		if utf8.RuneCountInString(e.Description) > MaxDescription {
			wrong.at("description", "%d caractères au plus", MaxDescription)
		}
	}
	if s.Events != nil {
		e.Events = *s.Events
		checkEvents(e.Events, wrong)
	}
	if s.Format != nil {
		if e.Format = *s.Format; e.Format != store.FormatDataPass && e.Format != store.FormatStandard {
			wrong.at("format", "datapass ou standard est attendu")
		}
	}
	if s.Headers != nil {
		checkHeaders(*s.Headers, wrong)
	}
	if s.Rate != nil {
		if e.Rate = *s.Rate; e.Rate != 0 && !(e.Rate >= MinRate && e.Rate <= MaxRate) {
			wrong.at("rate_limit", "de %v à %d envois par seconde, ou null", MinRate, MaxRate)
		}
	}
	if s.MaxInFlight != nil {
		if e.MaxInFlight = *s.MaxInFlight; e.MaxInFlight < 1 || e.MaxInFlight > MaxInFlight {
			wrong.at("max_in_flight", "de 1 à %d envois à la fois", MaxInFlight)
		}
	}
	if s.Ordered != nil {
		e.Ordered = *s.Ordered
	}
	if s.Environment != nil {
		if e.Environment = *s.Environment; !slices.Contains([]string{"", "production", "staging", "sandbox"}, e.Environment) {
			wrong.at("environment", "production, staging, sandbox ou null est attendu")
		}
	}
	if s.Contact != nil {
		if e.Contact = *s.Contact; e.Contact != "" && !isAddress(e.Contact) {
			wrong.at("contact", "une adresse e-mail est attendue")
		}
	}
}

// checkURL refuses what no delivery could be sent to, before any name is
// resolved; the address that is dialled is judged at each delivery.
func (r *Registry) checkURL(raw string, wrong *faults) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		wrong.at("url", "une adresse https est attendue")
	case len(raw) > MaxURL:
		wrong.at("url", "%d caractères au plus", MaxURL)
	case err != nil || strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' }):
		wrong.at("url", "cette adresse ne peut pas être lue")
	case u.User != nil:
		wrong.at("url", "ni nom ni mot de passe dans l’adresse : ils finiraient dans des journaux ; utilisez headers")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		wrong.at("url", "sans fragment (#) : il n’est jamais envoyé")
	case r.settings.CheckURL != nil:
		if err := r.settings.CheckURL(raw); err != nil {
			wrong.at("url", "adresse refusée : https, port autorisé et adresse publique sont attendus (%v)", err)
		}
	}
}

func checkEvents(events []string, wrong *faults) {
	if len(events) == 0 {
		wrong.at("events", "un type d’événement au moins, ou « * » pour tous")
	}
	seen := map[string]bool{}
	for i, name := range events {
		field := fmt.Sprintf("events/%d", i)
		switch {
		case !eventtype.Subscribable(name):
			wrong.at(field, "type d’événement inconnu : voyez GET /hub/v1/webhooks/events")
		case seen[name]:
			wrong.at(field, "donné deux fois")
		}
		if seen[name] = true; len(*wrong) > 50 {
			return // enough to understand
		}
	}
}

// reserved headers are ours, or the transport's.
var reserved = []string{
	"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "forwarded", "host", "keep-alive",
	"te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via", "x-app-environment", "x-correlation-id", "x-request-id", "traceparent",
}

// reservedPrefixes are of families of such headers.
var reservedPrefixes = []string{"webhook-", "x-hub-", "proxy-", "x-forwarded-", "sec-"}

func checkHeaders(headers map[string]string, wrong *faults) {
	if len(headers) > MaxHeaders {
		wrong.at("headers", "%d en-têtes au plus", MaxHeaders)
		return
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		field, lower := "headers/"+name, strings.ToLower(name)
		isReserved := slices.Contains(reserved, lower) || slices.ContainsFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(lower, p) })
		switch value := headers[name]; {
		case name == "" || len(name) > MaxHeaderName || strings.ContainsFunc(name, notToken):
			wrong.at(field, "un nom d’en-tête de %d caractères au plus est attendu", MaxHeaderName)
		case isReserved:
			wrong.at(field, "cet en-tête est réservé")
		case seen[lower]:
			wrong.at(field, "donné deux fois, à la casse près")
		case value == "" || len(value) > MaxHeaderValue || value != strings.TrimSpace(value) || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }):
			wrong.at(field, "une valeur de 1 à %d caractères ASCII visibles est attendue", MaxHeaderValue)
		}
		seen[lower] = true
	}
}

// notToken: not of a header's name (RFC 9110, 5.6.2).
func notToken(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254 && !strings.ContainsAny(s, "\r\n")
}

// weakSecret says why a given secret is too weak; "" when it is not.
func weakSecret(k SigningKey) string {
	distinct := map[rune]bool{}
	for _, c := range k.Hex.Reveal() {
		distinct[c] = true
	}
	if len(distinct) < 6 {
		return "secret trop simple : tirez-le au hasard"
	}
	return ""
}

// readSecret gives the key of a given secret, or a new one.
func (r *Registry) readSecret(given connectors.Secret, wrong *faults) SigningKey {
	if given.IsZero() {
		return r.settings.SigningKeys.New()
	}
	key, err := r.settings.SigningKeys.Parse(given)
	if err != nil {
		wrong.at("secret", "64 caractères hexadécimaux, ou whsec_ suivi de 24 à 64 octets en base64, sont attendus")
		return key
	}
	if problem := weakSecret(key); problem != "" {
		wrong.at("secret", "%s", problem)
	}
	return key
}

package franceconnect

import (
	"context"
	"crypto/subtle"
	"errors"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// identity asks userinfo who she is, and believes it only if it is signed and
// about the subject of the id_token.
func (p *Provider) identity(ctx context.Context, found metadata, v jose.Verifier, token, subject string) (connectors.PivotIdentity, error) {
	answer, err := p.userinfo(ctx, found, token)
	if err != nil {
		return connectors.PivotIdentity{}, err
	}
	switch media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); media {
	case "application/jwt":
	case "text/html":
		return connectors.PivotIdentity{}, p.replaced(opUserinfo, answer)
	default: // a client declared without signature gets plain JSON: our declaration is wrong
		return connectors.PivotIdentity{}, p.unverified(opUserinfo, "userinfo", "not signed")
	}
	v.Required = []string{"sub"}
	claims, err := v.Verify(ctx, strings.TrimSpace(string(answer.Body)))
	if err != nil {
		return connectors.PivotIdentity{}, p.disbelieved(opUserinfo, "userinfo", err)
	}
	if subtle.ConstantTimeCompare([]byte(claims.Subject), []byte(subject)) != 1 {
		return connectors.PivotIdentity{}, p.unverified(opUserinfo, "userinfo", "another subject")
	}
	var said pivot
	if err := claims.Decode(&said); err != nil {
		return connectors.PivotIdentity{}, p.unverified(opUserinfo, "userinfo", "a claim of another type")
	}
	identity, claim := said.identity()
	if claim != "" {
		return connectors.PivotIdentity{}, p.unverified(opUserinfo, "userinfo", claim+" missing or malformed")
	}
	return identity, nil
}

// userinfo makes the call, and repeats it once when there was no connection (FC-6).
func (p *Provider) userinfo(ctx context.Context, found metadata, token string) (*outbound.Answer, error) {
	base, route := split(found.Userinfo)
	secret := connectors.NewSecret(token)
	call := outbound.Call{
		Partner: p.deps.Name, Op: opUserinfo, Method: http.MethodGet, Base: base, Route: route, Expect: []int{http.StatusOK},
		Header: http.Header{"Authorization": {"Bearer " + token}, "Accept": {"application/jwt"}}, Secrets: []connectors.Secret{secret},
	}
	answer, err := outbound.JSON(outbound.Once(ctx), p.deps.Partner, call)
	if answer == nil && disconnected(err) && ctx.Err() == nil {
		answer, err = outbound.JSON(outbound.Once(ctx), p.deps.Partner, call)
	}
	if err == nil {
		return answer, nil
	}
	err = explain(answer, err, secret)
	var e *connectors.Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized { // a dead token, said with or without a body (RFC 6750, 3.1)
		e.Class, e.Err = connectors.Rejected, connectors.ErrCodeSpent
	}
	return nil, err
}

// disconnected reports a call that failed for want of a connection, not of time.
func disconnected(err error) bool {
	var e *connectors.Error
	return errors.As(err, &e) && e.Err != nil && unconnected(e.Err)
}

// unconnected is disconnected for an error of the client itself.
func unconnected(err error) bool {
	if errors.Is(err, outbound.ErrCircuitOpen) {
		return false
	}
	switch outbound.ErrorClass(err) {
	case outbound.ClassDNS, outbound.ClassRefused, outbound.ClassConnectTimeout, outbound.ClassReset:
		return true
	}
	return false
}

// pivot are the claims of identite_pivot (franceconnect.md, 5). Others are not read.
type pivot struct {
	GivenName      string   `json:"given_name"`
	GivenNameArray []string `json:"given_name_array"`
	FamilyName     string   `json:"family_name"`
	Birthdate      string   `json:"birthdate"`
	Gender         string   `json:"gender"`
	Birthplace     string   `json:"birthplace"`
	Birthcountry   string   `json:"birthcountry"`
}

const (
	france        = "99100"
	maxName       = 200 // characters; the longest names of the register are under 100
	maxGivenNames = 50
)

var (
	placeRule   = regexp.MustCompile(`^[0-9][0-9AB][0-9]{3}$`)
	countryRule = regexp.MustCompile(`^[0-9]{5}$`)
)

// identity checks the claims that are required (franceconnect.md, 6, 7), and gives
// the name of the first that will not do.
func (c pivot) identity() (identity connectors.PivotIdentity, fault string) {
	given := c.GivenNameArray
	if len(given) == 0 {
		given = strings.Fields(c.GivenName)
	}
	// Presumed dates come completed: each is a day of the calendar.
	_, notADay := time.Parse(time.DateOnly, c.Birthdate)
	switch {
	case !isName(c.FamilyName):
		return connectors.PivotIdentity{}, "family_name"
	case len(given) == 0 || len(given) > maxGivenNames || slices.ContainsFunc(given, func(n string) bool { return !isName(n) }):
		return connectors.PivotIdentity{}, "given_name"
	case notADay != nil:
		return connectors.PivotIdentity{}, "birthdate"
	case c.Gender != "male" && c.Gender != "female":
		return connectors.PivotIdentity{}, "gender"
	case !countryRule.MatchString(c.Birthcountry):
		return connectors.PivotIdentity{}, "birthcountry"
	case (c.Birthplace != "" || c.Birthcountry == france) && !placeRule.MatchString(c.Birthplace):
		return connectors.PivotIdentity{}, "birthplace"
	}
	return connectors.PivotIdentity{
		FamilyName: c.FamilyName, GivenNames: given, BirthDate: c.Birthdate, Gender: c.Gender, BirthPlace: c.Birthplace, BirthCountry: c.Birthcountry,
	}, ""
}

func isName(text string) bool {
	return strings.TrimSpace(text) != "" && utf8.RuneCountInString(text) <= maxName && !strings.ContainsFunc(text, unicode.IsControl)
}

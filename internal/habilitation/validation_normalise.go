package habilitation

import (
	"maps"
	"slices"
	"strings"
	"unicode"
)

// FranceConnect's defaults inside an API Particulier request (datapass.md, 5.2).
const (
	eidas1                = "eidas_1"
	eidas2                = "eidas_2"
	franceConnectDecree   = "Arrêté du 8 novembre 2018"
	franceConnectDecreeAt = "https://www.legifrance.gouv.fr/loda/id/JORFTEXT000037611479"
)

// Normalise returns data as a request stores it (datapass.md, 5.1): text
// trimmed and without tags, blank answers dropped, contacts' e-mails and
// telephones in lower case, lists sorted and without blanks or repetitions;
// then what the rules set or erase by themselves. A second pass changes nothing.
// A nil form is one that nothing is known of.
func (d *Definition) Normalise(form *Form, data Data) Data {
	index := d.fieldIndex()
	clean := make(Data, len(data))
	for key, value := range data {
		if v := normaliseValue(index[key].Kind, value); v != "" {
			clean[key] = v
		}
	}
	for key, field := range index {
		if field.Kind == ListField && clean[key] == "" {
			clean[key] = EncodeList(nil) // receivers need the array itself (datapass.md, 2.11)
		}
	}
	d.settle(form, clean)
	return clean
}

func normaliseValue(kind FieldKind, value string) string {
	switch kind {
	case ListField:
		return EncodeList(DecodeList(value))
	case CheckboxField, FlagField:
		return normaliseCheck(value)
	case LowerField:
		return cleanText(strings.ToLower(value)) // in this order: a capital may become a tag's letter
	default:
		return cleanText(value)
	}
}

func normaliseCheck(value string) string {
	value = cleanText(value)
	switch value {
	case "on", "true":
		return checked
	case "false":
		return unchecked
	}
	return value
}

// settle sets and erases what follows from other answers (datapass.md, 5.2 and
// 5.3).
func (d *Definition) settle(form *Form, data Data) {
	r := &d.Rules
	if len(r.DefaultModalities) > 0 && len(data.List(ModalitiesKey)) == 0 {
		data[ModalitiesKey] = EncodeList(r.DefaultModalities)
	}
	if r.FranceConnectModality != "" && !slices.Contains(data.List(ModalitiesKey), r.FranceConnectModality) {
		delete(data, keyFranceConnectID)
	}
	if len(r.TechnicalTeams) > 0 && !slices.Contains(r.TechnicalTeamsNamed, data[keyTeamType]) {
		delete(data, keyTeamValue)
	}
	if d.embedsFranceConnect(form, data) {
		d.embedFranceConnect(data)
	}
}

// embedsFranceConnect reports whether the request asks for FranceConnect in
// itself: certified form, the modality chosen, no FranceConnect habilitation
// named.
func (d *Definition) embedsFranceConnect(form *Form, data Data) bool {
	r := &d.Rules
	return r.EmbedsFranceConnect && form != nil && form.FranceConnectCertified && data[keyFranceConnectID] == "" &&
		slices.Contains(data.List(ModalitiesKey), r.FranceConnectModality)
}

func (d *Definition) embedFranceConnect(data Data) {
	defaults := Data{
		keyEmbeddedEIDAS: eidas1, keyEmbeddedNature: franceConnectDecree, keyEmbeddedURL: franceConnectDecreeAt,
	}
	for key, value := range defaults {
		if data[key] == "" {
			data[key] = value
		}
	}
	data[ScopesKey] = EncodeList(append(data.List(ScopesKey), d.franceConnectScopes()...))
}

// Merge lays answers over data: a blank answer erases its key. The result is
// normalised.
func (d *Definition) Merge(form *Form, data, answers Data) Data {
	merged := maps.Clone(data)
	if merged == nil {
		merged = Data{}
	}
	maps.Copy(merged, answers)
	return d.Normalise(form, merged)
}

// cleanText trims text and strips its HTML tags. Bytes that Postgres cannot
// store as text are dropped.
func cleanText(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.ReplaceAll(s, "\x00", "")
	return strings.TrimFunc(stripTags(s), blank)
}

func blank(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b' }

// stripTags drops every "<...>" whose first character could open a tag, also
// those that appear once others are gone. It reads the text once: a stack of
// the "<" seen so far gives each ">" the nearest one that opens a tag.
func stripTags(s string) string {
	if !strings.Contains(s, "<") {
		return s
	}
	out := make([]byte, 0, len(s))
	var opened []int
	for i := range len(s) {
		c := s[i]
		if c != '>' {
			if c == '<' {
				opened = append(opened, len(out))
			}
			out = append(out, c)
			continue
		}
		cut := false
		for len(opened) > 0 && !cut {
			at := opened[len(opened)-1]
			opened = opened[:len(opened)-1]
			if cut = at+1 < len(out) && opensTag(out[at+1]); cut {
				out = out[:at]
			}
		}
		if !cut {
			out = append(out, c)
		}
	}
	return string(out)
}

func opensTag(c byte) bool {
	return c == '/' || c == '!' || c == '?' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// sortedUnique sorts values after trimming them and dropping blanks and
// repetitions. The result is never nil.
func sortedUnique(values []string) []string {
	clean := make([]string, 0, len(values))
	for _, v := range values {
		if v = cleanText(v); v != "" {
			clean = append(clean, v)
		}
	}
	slices.Sort(clean)
	return slices.Compact(clean)
}

// leadingDigits reads the number that text starts with, 0 when it starts with
// none (datapass.md, 5.2), at most 10^9.
func leadingDigits(s string) int {
	const most = 1_000_000_000
	n := 0
	for _, c := range []byte(strings.TrimLeftFunc(s, unicode.IsSpace)) {
		if c < '0' || c > '9' {
			break
		}
		if n = n*10 + int(c-'0'); n > most {
			return most
		}
	}
	return n
}

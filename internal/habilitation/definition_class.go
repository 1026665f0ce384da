package habilitation

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// classPrefix starts every class name.
const classPrefix = "AuthorizationRequest::"

// acronyms are the parts of a uid whose class spelling is not a plain capital
// (datapass.md, 0).
var acronyms = map[string]string{
	"api": "API", "apim": "APIM", "captchetat": "CaptchEtat", "cesu": "CESU", "cnam": "CNAM", "crm": "CRM",
	"dc": "DC", "dgfip": "DGFIP", "ensu": "ENSU", "gdpr": "GDPR", "gfe": "GFE", "hubee": "HubEE",
	"infinoe": "INFINOE", "insee": "INSEE", "naf": "NAF", "piste": "PISTE", "qf": "QF", "r2p": "R2P",
	"sfip": "SFiP", "yaml": "YAML",
}

// ClassName is the class of a definition: "api_sfip_r2p" gives
// "AuthorizationRequest::APISFiPR2P" (datapass.md, 0).
func ClassName(uid string) string { return classPrefix + ShortClassName(uid) }

// ShortClassName is the class without its prefix, as form files and the
// open-data CSV write it.
func ShortClassName(uid string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(uid, "_") {
		if a, ok := acronyms[part]; ok {
			b.WriteString(a)
			continue
		}
		first, size := utf8.DecodeRuneInString(part)
		if size > 0 {
			b.WriteRune(unicode.ToUpper(first))
			b.WriteString(part[size:])
		}
	}
	return b.String()
}

// UIDOfClass is the uid of a class, with or without the prefix: the inverse of
// ClassName for every uid whose parts start with a letter.
func UIDOfClass(class string) string {
	rest := strings.TrimPrefix(class, classPrefix)
	var parts []string
	for rest != "" {
		part, size := classPart(rest)
		parts = append(parts, part)
		rest = rest[size:]
	}
	return strings.Join(parts, "_")
}

// classPart reads the first part of a class name: the longest acronym that ends
// where a new part may start, else a capital and what follows up to the next one.
func classPart(rest string) (part string, size int) {
	for lower, spelled := range acronyms {
		if len(spelled) > size && strings.HasPrefix(rest, spelled) && startsPart(rest[len(spelled):]) {
			part, size = lower, len(spelled)
		}
	}
	if size > 0 {
		return part, size
	}
	_, size = utf8.DecodeRuneInString(rest)
	for size < len(rest) && !startsPart(rest[size:]) {
		_, n := utf8.DecodeRuneInString(rest[size:])
		size += n
	}
	return strings.ToLower(rest[:size]), size
}

func startsPart(rest string) bool {
	if rest == "" {
		return true
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return unicode.IsUpper(r)
}

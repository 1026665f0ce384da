package store

import (
	"slices"
	"strings"
	"unicode"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// Bounds of what is indexed of one request, and of one search.
const (
	maxWords       = 60
	maxWordLength  = 60 // bytes; a longer word is cut, there and in a search
	maxSearchWords = 8
)

// emptyWords say nothing of a request. One letter alone is never a word.
var emptyWords = []string{
	"au", "aux", "ce", "ces", "dans", "de", "des", "du", "en", "et", "la", "le", "les", "leur", "ou", "par", "pour", "sa", "ses", "son",
	"sur", "un", "une",
}

// requestWords are the words by which a request is found: its title, its
// organisation's name, SIRET and SIREN, its applicant's name and address, its id
// at its source.
func requestWords(r habilitation.Request) []string {
	words := []string{} // never null in the table
	if email := address(r.Applicant.Email); email != "" {
		words = append(words, cut(fold(email)))
		words = append(words, foldWords(email)...)
	}
	if siret := r.Organization.SIRET; siret != "" {
		words = append(words, siret, siret[:min(9, len(siret))])
	}
	// A title of many words loses its last ones, never the holder's name.
	words = append(words, foldWords(r.Applicant.GivenName+" "+r.Applicant.FamilyName+" "+r.Organization.Name)...)
	words = append(words, foldWords(r.Data["intitule"])...)
	words = words[:min(len(words), maxWords)]
	slices.Sort(words)
	return slices.Compact(words)
}

// SearchWords are the words that a text asks for, folded as the index is: case
// and accents do not count. None: nothing in it can be searched.
func SearchWords(text string) []string {
	var words []string
	for _, part := range strings.Fields(text) {
		switch {
		case strings.Contains(part, "@"):
			words = append(words, cut(fold(part)))
		default:
			words = append(words, foldWords(part)...)
		}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	return words[:min(len(words), maxSearchWords)]
}

func foldWords(text string) []string {
	parts := strings.FieldsFunc(fold(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	var words []string
	for _, w := range parts {
		if w = cut(w); len(w) > 1 && !slices.Contains(emptyWords, w) {
			words = append(words, w)
		}
	}
	return words
}

func cut(w string) string { return strings.ToValidUTF8(w[:min(len(w), maxWordLength)], "") }

// unaccent folds what French names are written with.
var unaccent = strings.NewReplacer(
	"à", "a", "â", "a", "ä", "a", "á", "a", "ã", "a", "å", "a", "ç", "c", "é", "e", "è", "e", "ê", "e", "ë", "e",
	"í", "i", "ì", "i", "î", "i", "ï", "i", "ñ", "n", "ó", "o", "ò", "o", "ô", "o", "ö", "o", "õ", "o", "ø", "o",
	"ú", "u", "ù", "u", "û", "u", "ü", "u", "ý", "y", "ÿ", "y", "œ", "oe", "æ", "ae", "ß", "ss",
)

// fold drops case and accents, also those written as marks of their own.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, unaccent.Replace(strings.ToLower(text)))
}

package habilitation

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// blockChecks are the rules of the blocks that have fields of their own
// (datapass.md, 5.2).
var blockChecks = map[Block]func(*check){
	BlockBasicInfos:   (*check).basicInfos,
	BlockPersonalData: (*check).personalData,
	BlockLegal: func(c *check) {
		c.legalBasis(keyLegalNature, keyLegalURL, keyLegalDocument)
	},
	BlockOperationalAcceptance: func(c *check) {
		if c.data[keyAcceptanceDone] != checked {
			c.fault(keyAcceptanceDone, "doit être attestée")
		}
	},
	BlockSafetyCertification: (*check).safetyCertification,
	BlockVolumetrie:          (*check).volumetrie,
	BlockFranceConnect:       (*check).franceConnectHabilitation,
	BlockFranceConnectEIDAS:  func(c *check) { c.oneOf(keyEIDAS, eidas1, eidas2) },
	BlockSupportingDocuments: func(c *check) { c.require(keyTaxCertificate) },
	BlockTechnicalTeam:       (*check).technicalTeam,
	BlockCNOUSCriteria:       (*check).cnousCriteria,
}

func (c *check) basicInfos() { c.requireAll(keyTitle, keyDescription) }

// retentionLimit is the number of months above which keeping personal data has
// to be justified.
const retentionLimit = 36

func (c *check) personalData() {
	c.requireAll(keyRecipient, keyRetention)
	if leadingDigits(c.data[keyRetention]) > retentionLimit {
		c.require(keyRetentionReason)
	}
}

// webLink is DataPass's pattern of a link (datapass.md, 5.2).
var webLink = regexp.MustCompile(`\A(?:https?://)?[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}(?:/[\w\-._~:/?#\[\]@!$&'()*+,;%=]*)?\z`)

// ValidLink reports whether text is a link: scheme optional, a host with a
// top-level domain of two letters or more, an optional path.
func ValidLink(text string) bool { return webLink.MatchString(text) }

// legalBasis asks for the nature of a legal basis and for a link or a document.
func (c *check) legalBasis(nature, url, document string) {
	c.require(nature)
	if c.data[url] == "" && c.data[document] == "" {
		c.fault(document, "un lien ou un document est obligatoire")
		c.fault(url, "un lien ou un document est obligatoire")
	}
	if c.data[url] != "" && !ValidLink(c.data[url]) {
		c.fault(url, "n’est pas un lien valide")
	}
}

func (c *check) safetyCertification() {
	c.requireAll(keyCertDocument, keyCertAuthority, keyCertFunction, keyCertBegin, keyCertEnd)
	begin, end := c.data[keyCertBegin], c.data[keyCertEnd]
	if begin != "" && end != "" && end <= begin { // as text, like DataPass
		c.fault(keyCertEnd, "doit être après le début")
	}
}

func (c *check) volumetrie() {
	c.require(keyVolume)
	offered := c.definition.Rules.Volumetries
	if len(offered) > 0 && leadingDigits(c.data[keyVolume]) > slices.Min(offered) {
		c.require(keyVolumeReason)
	}
}

// franceConnectHabilitation asks for one of the organisation's own FranceConnect
// habilitations.
func (c *check) franceConnectHabilitation() {
	if c.require(keyFranceConnectID) && !contains(c.facts.FranceConnect, c.data[keyFranceConnectID]) {
		c.fault(keyFranceConnectID, "n’est pas une habilitation FranceConnect active de l’organisation")
	}
}

func (c *check) technicalTeam() {
	c.oneOf(keyTeamType, c.definition.Rules.TechnicalTeams...)
	if contains(c.definition.Rules.TechnicalTeamsNamed, c.data[keyTeamType]) {
		c.require(keyTeamValue)
	}
}

var (
	// communeCode: metropolitan départements, Corsica, overseas (datapass.md, 5.2).
	communeCode = regexp.MustCompile(`\A(?:[013-9]\d|2[AB1-9])\d{3}\z`)
	// grantLevels are the levels of a student grant.
	grantLevels = []string{"0Bis", "1", "2", "3", "4", "5", "6", "7"}
	// territorial are the legal categories whose perimeter is known: commune,
	// département, région.
	territorial = []string{"7210", "7220", "7230"}
)

func (c *check) cnousCriteria() {
	if c.data[keyEntityType] == "" && !contains(territorial, c.facts.LegalCategory) {
		c.communes()
	}
	c.oneOf(keyEchelon, grantLevels...)
	if !c.require(keyFirstTransmission) {
		return
	}
	day := c.data[keyFirstTransmission]
	switch _, err := time.Parse(time.DateOnly, day); {
	case err != nil:
		c.fault(keyFirstTransmission, "n’est pas une date (AAAA-MM-JJ)")
	case Date(day) < c.facts.Today:
		c.fault(keyFirstTransmission, "ne peut pas être passée")
	}
}

func (c *check) communes() {
	codes := c.data.List(keyCommunes)
	if len(codes) == 0 {
		c.fault(keyCommunes, missing)
	}
	for _, code := range codes {
		switch {
		case !communeCode.MatchString(code):
			c.fault(keyCommunes, "« "+code+" » n’est pas un code INSEE de commune")
		case contains(c.facts.UnknownCommunes, code):
			c.fault(keyCommunes, "« "+code+" » n’est le code d’aucune commune")
		}
	}
}

// extraContacts checks the form of DGFiP's two further addresses.
func (c *check) extraContacts() {
	for _, key := range []string{keyExtraOrganizationMail, keyExtraTechnicalMail} {
		if contains(c.definition.Rules.Optional, key) && c.data[key] != "" && !ValidEmail(c.data[key]) {
			c.fault(key, "n’est pas une adresse électronique valide")
		}
	}
}

const (
	documentSeparator = ", " // between the file names of one document
	maxFiles          = 6    // of one document
)

// spreadsheets are the forms of DGFiP's table of specific needs.
var spreadsheets = []string{".ods", ".xls", ".sxc", ".xlsx", ".csv"}

// documents checks how many files a document has and of which kind, by name.
// Their size and content are checked where files are received.
func (c *check) documents() {
	for _, f := range c.definition.Fields() {
		if f.Kind != DocumentField || c.data[f.Key] == "" {
			continue
		}
		allowed, kind := []string{".pdf"}, "PDF"
		if f.Key == keySpecificDocument {
			allowed, kind = spreadsheets, "tableur (ods, xls, sxc, xlsx, csv)"
		}
		names := strings.Split(c.data[f.Key], documentSeparator)
		if len(names) > maxFiles {
			c.fault(f.Key, "six fichiers au plus")
		}
		if slices.ContainsFunc(names, func(n string) bool { return !contains(allowed, strings.ToLower(path.Ext(n))) }) {
			c.fault(f.Key, "chaque fichier doit être au format "+kind)
		}
	}
}

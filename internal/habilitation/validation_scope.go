package habilitation

import "slices"

// scopes checks the data asked for. Unlike DataPass, values that the definition
// does not have are refused (datapass.md, 5.2).
func (c *check) scopes() {
	rules := &c.definition.Rules
	if rules.Scopes != ScopesOptional && rules.Scopes != ScopesRequired {
		return
	}
	asked := c.data.Scopes()
	if rules.Scopes == ScopesRequired && len(asked) == 0 {
		c.fault(ScopesKey, "au moins une donnée doit être choisie")
	}
	for _, value := range asked {
		if _, ok := c.definition.Scope(value); !ok {
			c.fault(ScopesKey, "« "+value+" » n’existe pas pour ce type de demande")
		}
	}
	if rules.IncomeScopes {
		c.incomeScopes(asked)
	}
}

// DGFiP's income scopes (datapass.md, 5.2).
const (
	scopeLEP              = "dgfip_IndLep"
	scopeYear2IfNoYear1   = "dgfip_annee_n_moins_2_si_indispo_n_moins_1"
	scopeYearOfDeath      = "dgfip_annee_df_au_3112_si_deces_ctb_mp"
	scopeWealthTax        = "dgfip_indiIFI"
	incompatibleSelection = "ces données ne peuvent pas être demandées ensemble : "
)

var incomeYears = []string{"dgfip_annee_n_moins_1", "dgfip_annee_n_moins_2", "dgfip_annee_n_moins_3"}

func (c *check) incomeScopes(asked []string) {
	if c.data[keySpecific] == checked {
		c.require(keySpecificDocument)
		return
	}
	if contains(asked, scopeLEP) {
		if len(asked) > 1 {
			c.fault(ScopesKey, "« "+scopeLEP+" » doit être demandé seul")
		}
		return
	}
	substitute := contains(asked, scopeYear2IfNoYear1)
	if !substitute && !intersects(asked, incomeYears) {
		c.fault(ScopesKey, "au moins une année de revenus doit être choisie")
	}
	if substitute && intersects(asked, incomeYears) {
		c.fault(ScopesKey, incompatibleSelection+scopeYear2IfNoYear1+" et une autre année de revenus")
	}
	if intersects(asked, []string{scopeYear2IfNoYear1, scopeYearOfDeath}) && contains(asked, scopeWealthTax) {
		c.fault(ScopesKey, incompatibleSelection+scopeWealthTax+" avec "+scopeYear2IfNoYear1+" ou "+scopeYearOfDeath)
	}
}

// modalities checks the ways of access and the FranceConnect habilitation that
// one of them needs.
func (c *check) modalities() {
	rules := &c.definition.Rules
	if len(rules.Modalities) == 0 {
		return
	}
	asked := c.data.Modalities()
	if len(asked) == 0 {
		c.fault(ModalitiesKey, "au moins une modalité doit être choisie")
	}
	for _, value := range asked {
		if !contains(rules.Modalities, value) {
			c.fault(ModalitiesKey, "« "+value+" » n’existe pas pour ce type de demande")
		}
	}
	needsHabilitation := c.asksFranceConnect() && !c.definition.embedsFranceConnect(c.form, c.data)
	if needsHabilitation {
		c.franceConnectHabilitation()
	}
}

func (c *check) asksFranceConnect() bool {
	modality := c.definition.Rules.FranceConnectModality
	return modality != "" && contains(c.data.Modalities(), modality)
}

// franceConnectCertified: the modality on a certified form, whether embedded or
// by an habilitation.
func (c *check) franceConnectCertified() bool {
	return c.definition.Rules.EmbedsFranceConnect && c.form != nil && c.form.FranceConnectCertified && c.asksFranceConnect()
}

// embedded checks the FranceConnect request inside an API Particulier one.
func (c *check) embedded() {
	if c.franceConnectCertified() && !c.data.Checked(keyEmbeddedAlternative) {
		c.fault(keyEmbeddedAlternative, "à cocher")
	}
	if !c.definition.embedsFranceConnect(c.form, c.data) {
		return
	}
	c.legalBasis(keyEmbeddedNature, keyEmbeddedURL, keyEmbeddedDocument)
	c.oneOf(keyEmbeddedEIDAS, eidas1, eidas2)
	asked := c.data.Scopes()
	lacks := func(value string) bool { return !slices.Contains(asked, value) }
	if slices.ContainsFunc(c.definition.franceConnectScopes(), lacks) {
		c.fault(ScopesKey, "toutes les données du groupe FranceConnect doivent être demandées ensemble")
	}
}

package citizen

// statics are the pages that say the same to all, each pages/<slug>.html.
var statics = []struct{ slug, title string }{
	{"accessibilite", "Déclaration d’accessibilité"},
	{"mentions-legales", "Mentions légales"},
	{"faq", "Questions fréquentes"},
	{"confidentialite", "Vos données personnelles"},
	{"cgu_usagers", "Conditions d’utilisation du service"},
	{"cgu_administrations", "Conditions pour les administrations"},
}

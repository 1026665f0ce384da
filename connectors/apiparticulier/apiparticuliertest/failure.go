package apiparticuliertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// failure is one answer of errors[]: both numberings, and the text.
type failure struct {
	status    int
	september string
	april     string // "" when it is the same
	title     string
	detail    string
	parameter string
	header    string
	provider  string
	meta      map[string]any
	after     time.Duration // Retry-After
}

const notProcessable = "Entité non traitable"

// failures are the answers of api-particulier.md, 4, by a name of our own. Titles
// and details are API Particulier's.
var failures = map[string]failure{
	"malformed":       {status: 400, september: "00401", title: "Mauvaise requête", detail: "Requête illisible."},
	"key_invalid":     {status: 401, september: "00101", title: "Interdit", detail: "Jeton inconnu ou mal signé."},
	"key_expired":     {status: 401, september: "00103", title: "Jeton expiré", detail: "Votre token est expiré. Vous devez refaire une demande à API Particulier, un guide est disponible sur https://particulier.api.gouv.fr/faq#comment-renouveler-mon-jeton-arrivant-a-expiration", parameter: "token"},
	"key_blacklisted": {status: 401, september: "00105", title: "Jeton sur liste noire", detail: "Ce jeton a été mis sur liste noire."},
	"fc_malformed":    {status: 401, september: "51501", april: "50001", title: "Accès non autorisé", detail: "Jeton FranceConnect illisible.", provider: franceConnect},
	"fc_unknown":      {status: 401, september: "51502", april: "50002", title: "Accès non autorisé", detail: "Le jeton d'accès n'a pas été trouvé ou est expiré.", provider: franceConnect},
	"fc_identity":     {status: 401, september: "51503", april: "50003", title: "Accès non autorisé", detail: "Le jeton FranceConnect ne donne pas l'identité pivot nécessaire.", provider: franceConnect},
	"fc_missing":      {status: 401, september: "51504", april: "50001", title: "Accès non autorisé", detail: "Aucun jeton FranceConnect dans l'en-tête Authorization.", provider: franceConnect},
	"scopes":          {status: 403, september: "00100", title: "Privilèges insuffisants", detail: "Ce jeton n'ouvre pas les données demandées."},
	"ip":              {status: 403, september: "00107", title: "Adresse IP non autorisée", detail: "Appel refusé depuis cette adresse IP.", header: "X-Forwarded-For"},
	"dpop":            {status: 403, september: "00110", title: "Preuve de possession invalide", detail: "La preuve DPoP est absente ou ne correspond pas à ce jeton.", header: "DPoP"}, // code inferred
	"delegation":      {status: 403, september: "00213", title: "Accès refusé", detail: "Aucune délégation de ce recipient à cet éditeur."},
	"no_file_cnaf":    {status: 404, september: "23003", title: "Dossier allocataire absent CNAF", detail: "Le dossier allocataire n'a pas été trouvé auprès de la CNAF.", provider: "CNAF"},
	"no_file_msa":     {status: 404, september: "10003", title: "Dossier allocataire absent MSA", detail: "Aucun dossier à la MSA.", provider: "MSA"},
	"no_file_rncps":   {status: 404, september: "40003", title: "Dossier allocataire absent RNCPS", detail: "Aucun dossier au RNCPS.", provider: "RNCPS"},
	"not_referenced":  {status: 404, september: "35003", title: "Allocataire non référencé", detail: "L'allocataire n'est pas référencé auprès des caisses éligibles", provider: caisses},
	"version":         {status: 404, september: "00402", title: "Version d'API non prise en charge", detail: "Version inconnue pour cette route."},
	"conflict":        {status: 409, september: "00015", title: "Conflit", detail: "Une requête associé à votre jeton est déjà en cours de traitement pour ces paramètres. Veuillez attendre la fin du traitement avant d'effectuer une nouvelle requête."},

	"recipient_missing":  {status: 422, september: "00203", title: notProcessable, detail: "recipient : absent.", parameter: "recipient"},
	"recipient":          {status: 422, september: "00210", title: notProcessable, detail: "recipient : SIRET attendu.", parameter: "recipient"},
	"delegations":        {status: 422, september: "00212", title: notProcessable, detail: "Plusieurs délégations actives existent pour ce SIRET. Le paramètre delegation_id est requis pour identifier la délégation.", parameter: "delegation_id"},
	"month":              {status: 422, september: "00354", title: notProcessable, detail: "mois : hors limites.", parameter: "mois"},
	"period":             {status: 422, september: "00355", title: notProcessable, detail: "Mois trop ancien : plus de 23 mois."},
	"year":               {status: 422, september: "00356", title: notProcessable, detail: "annee : hors limites.", parameter: "annee"},
	"birthdate":          {status: 422, september: "00363", title: notProcessable, detail: "Date de naissance illisible."},
	"birthplace":         {status: 422, september: "00365", title: notProcessable, detail: "Lieu de naissance illisible.", parameter: "codeCogInseeCommuneNaissance"},
	"given_names":        {status: 422, september: "00367", title: notProcessable, detail: "prenoms : absents.", parameter: "prenoms"},
	"birthcountry":       {status: 422, september: "00400", title: notProcessable, detail: "Pays de naissance illisible.", parameter: "codeCogInseePaysNaissance"},
	"family_name":        {status: 422, september: "00420", title: notProcessable, detail: "nomNaissance : absent.", parameter: "nomNaissance"},
	"birthyear":          {status: 422, september: "00422", title: notProcessable, detail: "anneeDateNaissance : absente.", parameter: "anneeDateNaissance"},
	"sex":                {status: 422, september: "00427", title: notProcessable, detail: "sexeEtatCivil : absent.", parameter: "sexeEtatCivil"},
	"department":         {status: 422, september: "00428", title: notProcessable, detail: "Département de naissance absent ou illisible.", parameter: "codeCogInseeDepartementNaissance"},
	"fc_incomplete":      {status: 422, september: "51564", title: "Identité inexploitable renvoyée par le fournisseur de données", detail: "Identité reçue inexploitable.", provider: franceConnect},
	"not_recognised":     {status: 422, september: "35560", title: "Identité non reconnue par le fournisseur de données", detail: "Les paramètres d'identité fournis ne correspondent à aucune personne connue du fournisseur de données.", provider: caisses},
	"not_recognised_old": {status: 422, september: "00355", title: "Impossible d'identifier l'allocataire", detail: "Aucun allocataire pour cette identité."}, // detail inferred
	"gate":               {status: 422, september: "35561", title: "Paramètres de civilité refusés par le fournisseur de données", detail: "Paramètre d'identité refusé par la caisse.", provider: caisses},
	"gate_old":           {status: 422, september: "00366", title: notProcessable, detail: "Un ou plusieurs paramètres de civilité ne sont pas correctement formatés"},

	"quota":       {status: 429, september: "00429", title: "Trop de requêtes", detail: "Vous avez effectué trop de requêtes"},
	"network":     {status: 502, september: "00501", title: "Erreur réseau", detail: "Serveur distant injoignable.", meta: map[string]any{"retry_in": 10}},
	"internal":    {status: 502, september: "35000", title: "Erreur interne du fournisseur de données", detail: "Réponse invalide de la caisse.", provider: caisses},
	"unavailable": {status: 502, september: "35001", title: "Service non disponible", detail: "Caisse indisponible.", provider: caisses},
	"dns":         {status: 502, september: "35004", title: "Erreur de résolution DNS", detail: "Nom du serveur distant introuvable.", provider: caisses},
	"throttled":   {status: 502, september: "35008", title: "Erreur auprès du fournisseur de données : trop de requêtes", detail: "Trop d'appels vers la caisse.", provider: caisses},
	"tls":         {status: 502, september: "35009", title: "Erreur de connexion sécurisée (TLS) avec le fournisseur de données", detail: "Échec TLS avec la caisse.", provider: caisses},
	"temporary":   {status: 502, september: "35011", title: "Erreur temporaire du fournisseur de données", detail: "À réessayer sous peu.", provider: caisses},
	"unknown":     {status: 502, september: "35999", title: "Erreur inconnue du fournisseur de données", detail: "La réponse retournée par le fournisseur de données est invalide et inconnue de notre service. L'équipe technique a été notifiée de cette erreur pour investigation.", provider: caisses},
	"fc_internal": {status: 502, september: "51000", title: "Erreur interne du fournisseur de données", detail: "Réponse invalide de FranceConnect.", provider: franceConnect},
	"fc_down":     {status: 502, september: "51001", title: "Service non disponible", detail: "FranceConnect indisponible.", provider: franceConnect},
	"maintenance": {status: 503, september: "35020", title: "Maintenance du fournisseur de données", detail: "Caisse en maintenance.", provider: caisses, meta: map[string]any{"retry_in": 3600}},
	"timeout":     {status: 504, september: "35002", title: "Intermédiaire hors-délai", detail: "Temps d’attente d’une réponse du fournisseur de données écoulé.", provider: caisses},
	"fc_timeout":  {status: 504, september: "51002", title: "Intermédiaire hors-délai", detail: "Temps d’attente d’une réponse du fournisseur de données écoulé.", provider: franceConnect},
	// April only: a technical fault under the code of "not referenced".
	"unexpected": {status: 404, september: "35003", title: "Erreur inatendue", detail: "Incident inattendu chez la caisse.", provider: caisses}, // detail inferred
}

// Providers in meta.
const (
	franceConnect = "FranceConnect"
	caisses       = "CNAF & MSA"
)

// fail gives a failure of the table, with what changes from one to the next.
func fail(name string, change ...func(*failure)) []failure {
	f, ok := failures[name]
	if !ok {
		panic("apiparticuliertest: no failure " + name)
	}
	f.meta = maps.Clone(f.meta)
	for _, one := range change {
		one(&f)
	}
	return []failure{f}
}

func withMeta(name string, value any) func(*failure) {
	return func(f *failure) {
		if f.meta == nil {
			f.meta = map[string]any{}
		}
		f.meta[name] = value
	}
}

// code is the one of a numbering.
func (f failure) code(n Numbering) string {
	if n == April && f.april != "" {
		return f.april
	}
	return f.september
}

// body writes one error. In April FranceConnect's had no provider.
func (f failure) body(s Switches) map[string]any {
	meta := maps.Clone(f.meta)
	if meta == nil {
		meta = map[string]any{}
	}
	if f.provider != "" && (s.Numbering != April || f.april == "") {
		meta["provider"] = f.provider
	}
	out := map[string]any{"code": f.code(s.Numbering), "title": f.title, "detail": f.detail, "meta": meta}
	switch {
	case f.parameter != "":
		out["source"] = map[string]string{"parameter": f.parameter}
	case f.header != "":
		out["source"] = map[string]string{"header": f.header}
	case s.SourceNull:
		out["source"] = nil
	}
	if s.ExtraKeys {
		out["nouvelle_cle"] = "à ignorer"
	}
	return out
}

// writeFailures answers errors[]; the first one gives the status.
func writeFailures(w http.ResponseWriter, s Switches, list []failure) {
	bodies := []map[string]any{}
	for _, f := range list {
		bodies = append(bodies, f.body(s))
		if f.after > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((f.after+time.Second-1)/time.Second)))
		}
	}
	writeJSON(w, list[0].status, map[string]any{"errors": bodies})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// FailureNames lists the failures that can be asked for by name.
func FailureNames() []string { return slices.Sorted(maps.Keys(failures)) }

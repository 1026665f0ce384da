# Dans deux autres terminaux :
#   passerelle simulate receiver --listen 127.0.0.1:8095 --secret un-secret-partage
#   passerelle simulate datapass --listen 127.0.0.1:8093 --webhook http://127.0.0.1:8095/datapass --webhook-secret un-secret-partage
DATAPASS=${DATAPASS:-http://127.0.0.1:8093}
RECEPTEUR=${RECEPTEUR:-http://127.0.0.1:8095}
jouer() { curl --fail --silent --show-error --request POST "$DATAPASS/_admin/$1" --data "${2:-}"; }

# Le récepteur n’attend que la signature de DataPass.
curl --fail --silent --show-error "$RECEPTEUR/_admin/dialect" --data '"datapass"'

# Une commune inventée dépose une demande, l’envoie, obtient son habilitation.
DEMANDE=$(jouer requests '{"invented": 12}' | sed 's/.*"id":\([0-9]*\).*/\1/')
jouer "requests/$DEMANDE/submit"
jouer "requests/$DEMANDE/approve" '{"message": "Bienvenue"}'

# Ce que le récepteur a reçu : create, submit, approve, chacun avec "valid":true.
curl --fail --silent --show-error "$RECEPTEUR/_admin/state"

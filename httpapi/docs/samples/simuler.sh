# Dans un autre terminal : passerelle simulate hubee --listen 127.0.0.1:8090
ADMIN=${ADMIN:-http://127.0.0.1:8090/_admin/}
regler() { curl --fail --silent --show-error --header 'Content-Type: application/json' "$@"; }

# Le prochain appel attend 200 ms ; le suivant est fait, mais sa réponse se perd.
regler "${ADMIN}faults" --data '[
  {"route": "", "kind": "delay", "delay": "200ms", "times": 1},
  {"route": "", "kind": "reset", "after": true, "skip": 1, "times": 1}
]'

# Ce qui est arrivé, et ce que le partenaire tient maintenant.
regler "${ADMIN}calls"
regler "${ADMIN}state"

# Avancer l’horloge du partenaire d’une heure, puis revenir au jeu de départ.
regler "${ADMIN}clock" --data '{"advance": "1h"}'
regler --request POST "${ADMIN}reset"

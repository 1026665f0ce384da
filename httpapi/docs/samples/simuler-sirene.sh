# Dans un autre terminal : passerelle simulate sirene --listen 127.0.0.1:8094
SIRENE=${SIRENE:-http://127.0.0.1:8094}

# La mairie, avec sa catégorie juridique et son adresse.
curl --fail --silent --show-error --header 'X-INSEE-Api-Key-Integration: 00000000-0000-4000-8000-5152454e4551' \
  "$SIRENE/siret/21350998700011"

# Un établissement que le répertoire ne connaît pas.
curl --silent --show-error --header 'X-INSEE-Api-Key-Integration: 00000000-0000-4000-8000-5152454e4551' \
  "$SIRENE/siret/21350998700029"

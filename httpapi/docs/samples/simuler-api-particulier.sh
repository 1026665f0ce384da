# Dans un autre terminal : passerelle simulate api-particulier --listen 127.0.0.1:8092
API=${API:-http://127.0.0.1:8092}

# Avec le jeton FranceConnect d’Élodie Fontanel, tenu par le jeu de départ.
curl --fail --silent --show-error --header 'Authorization: Bearer fc-fontanel' \
  "$API/v3/dss/quotient_familial/france_connect?recipient=21040107100019"

# Avec la clé de la commune et l’identité de Bastien Garrigue.
curl --fail --silent --show-error --header 'Authorization: Bearer api-particulier-simulator-key-majastres' \
  --get "$API/v3/dss/quotient_familial/identite" \
  --data recipient=21040107100019 --data nomNaissance=GARRIGUE \
  --data-urlencode 'prenoms[]=Bastien' --data-urlencode 'prenoms[]=Louis' \
  --data anneeDateNaissance=1979 --data moisDateNaissance=12 --data jourDateNaissance=30 --data sexeEtatCivil=M \
  --data codeCogInseePaysNaissance=99100 --data codeCogInseeCommuneNaissance=04112

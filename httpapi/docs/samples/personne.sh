LISE=$(curl --fail --silent --show-error "$IDENTITE/token" \
  --data email=lise.martin@valbrise.example --data siret=21380999900013 \
  | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

curl --fail --silent --show-error "$PASSERELLE/hub/v1/requests" \
  --header "Authorization: Bearer $LISE" \
  --header "Content-Type: application/json" \
  --header "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)" \
  --data '{"definition_id": "api_entreprise", "data": {"intitule": "Vérifier les entreprises candidates"}}'

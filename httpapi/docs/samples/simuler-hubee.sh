# Dans un autre terminal : passerelle simulate hubee --listen 127.0.0.1:8090
HUBEE=${HUBEE:-http://127.0.0.1:8090}
JETON=$(curl --fail --silent --show-error "$HUBEE/oauth2/token" \
  --user hubee-simulator-si-majastres:hubee-simulator-si-majastres-secret \
  --data grant_type=client_credentials --data scope=SI \
  | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
appeler() { curl --fail --silent --show-error --header "Authorization: Bearer $JETON" "$@"; }

# Le dossier qui attend, et ses trois pièces.
FILE=$(appeler "$HUBEE/teledossiers/v1/notifications?processCode=FormulaireQF&eventDetails=true")
AVIS=$(printf %s "$FILE" | sed 's/^\[{"id":"\([^"]*\)".*/\1/')
DOSSIER=$(printf %s "$FILE" | sed 's/.*"caseId":"\([^"]*\)".*/\1/')
for PIECE in $(appeler "$HUBEE/teledossiers/v1/cases/$DOSSIER" | grep -o '"attachments":.*' | grep -o '"id":"[^"]*"' | cut -d'"' -f4 | head -3); do
  appeler --output "$PIECE" "$HUBEE/teledossiers/v1/cases/$DOSSIER/attachments/$PIECE"
done

# Les pièces sont rangées : dire que le dossier est traité, puis ôter l’avis.
appeler --request PATCH --header 'Content-Type: application/json' "$HUBEE/teledossiers/v1/cases/$DOSSIER" --data '{"status":"IN_PROGRESS"}'
appeler --request PATCH --header 'Content-Type: application/json' "$HUBEE/teledossiers/v1/cases/$DOSSIER" --data '{"status":"DONE"}'
appeler --header 'Content-Type: application/json' "$HUBEE/teledossiers/v1/cases/$DOSSIER/events" \
  --data '{"actionType":"STATUS_UPDATE","caseNewStatus":"DONE","notification":true,"message":"Tarif calculé."}'
appeler --request DELETE "$HUBEE/teledossiers/v1/notifications/$AVIS"

# La file est vide.
appeler "$HUBEE/teledossiers/v1/notifications?processCode=FormulaireQF"

JETON=$(curl --fail --silent --show-error "$PASSERELLE/editor/v1/token" \
  --data-urlencode grant_type=client_credentials \
  --data-urlencode "client_id=$CLIENT_ID" \
  --data-urlencode "client_secret=$CLIENT_SECRET" \
  | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
appeler() { curl --fail --silent --show-error --header "Authorization: Bearer $JETON" "$@"; }

# La première clé qui attend.
CLE=$(appeler "$PASSERELLE/editor/v1/keys?hand_over=ready&limit=1" | sed 's/.*"data":\[{"id":"\([^"]*\)".*/\1/')

# La lire, la ranger dans un gestionnaire de secrets, et seulement alors en accuser réception.
LUE=$(appeler --request POST "$PASSERELLE/editor/v1/keys/$CLE/fetch")
SECRET=$(printf %s "$LUE" | sed 's/.*"secret":"\([^"]*\)".*/\1/')
LECTURE=$(printf %s "$LUE" | sed 's/.*"fetch_id":"\([^"]*\)".*/\1/')
EMPREINTE=$(printf %s "$SECRET" | sha256sum | cut -c1-16)
appeler --header 'Content-Type: application/json' "$PASSERELLE/editor/v1/keys/$CLE/ack" \
  --data "{\"fetch_id\":\"$LECTURE\",\"fingerprint\":\"$EMPREINTE\"}"

# Ce qui a changé depuis ; gardez « next » pour la prochaine fois.
appeler "$PASSERELLE/editor/v1/changes"

JETON=$(curl --fail --silent --show-error "$PASSERELLE/api/v1/oauth/token" \
  --data-urlencode grant_type=client_credentials \
  --data-urlencode "client_id=$CLIENT_ID" \
  --data-urlencode "client_secret=$CLIENT_SECRET" \
  --data-urlencode "scope=read_webhooks write_webhooks" \
  | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
appeler() { curl --fail --silent --show-error --header "Authorization: Bearer $JETON" --header 'Content-Type: application/json' "$@"; }

# S’abonner. Le secret n’est montré que dans cette réponse : rangez-le.
CREE=$(appeler "$PASSERELLE/hub/v1/webhooks" \
  --data "{\"definition_id\":\"api_entreprise\",\"url\":\"$RECEPTEUR\",\"events\":[\"*\"]}")
ID=$(printf %s "$CREE" | sed 's/^{"id":\([0-9]*\).*/\1/')
SECRET=$(printf %s "$CREE" | sed 's/.*"standard":"\(whsec_[^"]*\)".*/\1/')

# Essayer, puis activer.
appeler --request POST "$PASSERELLE/hub/v1/webhooks/$ID/test"
appeler --request POST --header 'If-Match: *' "$PASSERELLE/hub/v1/webhooks/$ID/enable"

# Recevoir aussi ce qui a eu lieu avant.
appeler "$PASSERELLE/hub/v1/webhooks/$ID/replays" --data '{"scope":"all","since":"2025-01-01T00:00:00+01:00"}'

# Voir ce qui a été envoyé, et comment va le point d’accès.
appeler "$PASSERELLE/hub/v1/webhooks/$ID/messages?limit=5"
appeler "$PASSERELLE/hub/v1/webhooks/$ID/health"

JETON=$(curl --fail --silent --show-error "$PASSERELLE/api/v1/oauth/token" \
  --data-urlencode grant_type=client_credentials \
  --data-urlencode "client_id=$CLIENT_ID" \
  --data-urlencode "client_secret=$CLIENT_SECRET" \
  | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

curl --fail --silent --show-error "$PASSERELLE/hub/v1/me" \
  --header "Authorization: Bearer $JETON"

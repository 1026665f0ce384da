# Dans un autre terminal : passerelle simulate franceconnect --listen 127.0.0.1:8091
FRANCECONNECT=${FRANCECONNECT:-http://127.0.0.1:8091}
CLIENT=5f1c0a9e7b6d4c3f8a2e1d0c9b8a7f6e5d4c3b2a1908f7e6d5c4b3a291807f6e
RETOUR=http://127.0.0.1:8080/callback

# Élodie Fontanel se connecte sans qu’aucune page s’affiche.
curl --fail --silent --show-error "$FRANCECONNECT/_admin/auto" --data '{"citizen":"fontanel"}'
ALEA=$(date +%s)-au-moins-vingt-deux-signes
CODE=$(curl --silent --show-error --output /dev/null --write-out '%{redirect_url}' --get "$FRANCECONNECT/api/v2/authorize" \
  --data response_type=code --data "client_id=$CLIENT" --data-urlencode "redirect_uri=$RETOUR" \
  --data-urlencode 'scope=openid identite_pivot cnaf_quotient_familial' --data acr_values=eidas1 \
  --data "state=$ALEA" --data "nonce=$ALEA" \
  | sed 's/.*[?&]code=\([^&]*\).*/\1/')

# Le code vit 30 secondes et ne sert qu’une fois ; le jeton vit 60 secondes.
JETON=$(curl --fail --silent --show-error "$FRANCECONNECT/api/v2/token" \
  --data grant_type=authorization_code --data "code=$CODE" --data-urlencode "redirect_uri=$RETOUR" \
  --data "client_id=$CLIENT" --data client_secret=franceconnect-simulator-client-secret-0001 \
  | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

# L’identité est un JWT signé : ses données sont entre les deux points.
curl --fail --silent --show-error --header "Authorization: Bearer $JETON" "$FRANCECONNECT/api/v2/userinfo"

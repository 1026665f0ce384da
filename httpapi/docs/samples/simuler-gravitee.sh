# Dans un autre terminal : passerelle simulate gravitee --listen 127.0.0.1:8083 (passerelle d’API sur 8084)
GRAVITEE=${GRAVITEE:-http://127.0.0.1:8083}
curl --fail --silent --show-error --header 'Authorization: Bearer gravitee-simulator-access-token' \
  --header 'Content-Type: application/json' "$GRAVITEE/management/v2/organizations/DEFAULT/environments/DEFAULT/apis/3f0c5d1e-1111-4222-8333-444455556666/subscriptions"

# Les applications, abonnements et clés qu’il tient, comme un essai les compterait.
curl --fail --silent --show-error "$GRAVITEE/_admin/state"

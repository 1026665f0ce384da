# CLE est la clé que présente un appelant : toujours dans le corps, jamais dans une adresse ni dans un journal.
interroger() {
  curl --fail --silent --show-error --user "$CLIENT_ID:$CLIENT_SECRET" "$PASSERELLE/token/introspect" --data-urlencode "token=$CLE"
}
interroger

# Une fuite : la clé est fermée à l’instant.
curl --fail --silent --show-error --user "$CLIENT_ID:$CLIENT_SECRET" "$PASSERELLE/token/revoke" --data-urlencode "token=$CLE"
interroger

# Les clés publiques qui signent les jetons du hub.
curl --fail --silent --show-error "$PASSERELLE/.well-known/jwks.json"

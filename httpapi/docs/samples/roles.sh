passerelle roles grant "$INSTRUCTEUR" "dinum:api_entreprise:instructor"

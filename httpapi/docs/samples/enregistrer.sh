passerelle roles grant "$RESPONSABLE" "dinum:*:developer"
passerelle clients --name "Logiciel de la mairie" --owner "$RESPONSABLE"

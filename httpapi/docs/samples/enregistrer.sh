passerelle clients --name "Logiciel de la mairie" --owner "$RESPONSABLE"

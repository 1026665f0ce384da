passerelle clients --name "Webhooks de la mairie" --owner "$RESPONSABLE" --scopes read_webhooks,write_webhooks

# Sur le serveur : une clé qui signe pendant douze mois. key est montrée une seule fois.
passerelle links --months 12 key "$EDITEUR"
# Une adresse de retour admise sans signature ; avec / à la fin, celles qui sont dessous aussi.
passerelle links return "$EDITEUR" "$RETOUR"

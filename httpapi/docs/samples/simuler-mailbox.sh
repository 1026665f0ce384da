# Dans un autre terminal : passerelle simulate mailbox --listen 127.0.0.1:8025 (pages ; le relais SMTP est sur 8026)
COURRIELS=${COURRIELS:-http://127.0.0.1:8025}
RELAIS=${RELAIS:-127.0.0.1:8026}
printf 'From: ops@passerelle.example\r\nTo: mairie@majastres.example\r\nSubject: Essai\r\n\r\nBonjour.\r\n' \
  | curl --fail --silent --show-error "smtp://$RELAIS" --mail-from ops@passerelle.example --mail-rcpt mairie@majastres.example --upload-file -
curl --fail --silent --show-error "$COURRIELS/api/messages?to=mairie@majastres.example"

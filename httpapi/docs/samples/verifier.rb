# Vérifie des webhooks de Passerelle : en-têtes et corps tels qu'ils sont reçus.
require "base64"
require "digest"
require "json"
require "openssl"
require "set"

SECRET = ENV.fetch("WEBHOOK_SECRET").strip # la forme de 64 caractères hexadécimaux
TOLERANCE = 300 # secondes

class Refus < StandardError; end

def signe(cle, message) = OpenSSL::HMAC.digest("SHA256", cle, message)

# En temps constant, quelles que soient les longueurs.
def pareil?(recue, attendue)
  OpenSSL.fixed_length_secure_compare(Digest::SHA256.digest(recue), Digest::SHA256.digest(attendue))
end

# Rend l'identifiant du message, ou lève Refus. entetes : noms en minuscules.
def verifie(entetes, corps, maintenant)
  unless entetes.key?("webhook-signature") # dialecte de DataPass
    attendue = "sha256=#{signe(SECRET, corps).unpack1("H*")}"
    raise Refus, "signature" unless pareil?(entetes["x-hub-signature-256"].to_s, attendue)
    return Digest::SHA256.hexdigest(corps)
  end
  identifiant, moment = entetes["webhook-id"].to_s, entetes["webhook-timestamp"].to_s
  raise Refus, "en-tête" if identifiant.empty? || !moment.match?(/\A[0-9]{1,12}\z/)
  raise Refus, "horodatage" if (maintenant - moment.to_i).abs > TOLERANCE
  signature = signe([SECRET].pack("H*"), "#{identifiant}.#{moment}.".b + corps)
  attendue = "v1,#{Base64.strict_encode64(signature)}"
  bonnes = entetes["webhook-signature"].split(" ").count { |recue| pareil?(recue, attendue) }
  raise Refus, "signature" if bonnes.zero?
  identifiant
end

deja_vus = Set.new # en production : une table, avec une contrainte d'unicité
JSON.parse($stdin.read).each do |recu|
  identifiant = verifie(recu["entetes"], Base64.strict_decode64(recu["corps"]), Time.now.to_i)
  puts "#{deja_vus.add?(identifiant) ? "traité" : "doublon"} #{identifiant}" # répondre 204
rescue Refus => refus
  puts "refus #{refus.message}" # répondre 401
end

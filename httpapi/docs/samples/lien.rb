# Écrit le lien signé d'une famille vers la page de sa commune.
require "openssl"
require "uri"

# duree en secondes : 31 jours au plus. La clé est le texte remis, tel quel.
def lien(hub, siret, id_cle, cle, external_id = "", redirect_uri = "", duree = 86_400)
  expires = (Time.now.to_i + duree).to_s
  signe = ["v1", siret, external_id, redirect_uri, expires].join("\n")
  parametres = {
    "external_id" => external_id, "redirect_uri" => redirect_uri, "expires" => expires, "key_id" => id_cle,
    "signature" => OpenSSL::HMAC.hexdigest("SHA256", cle, signe)
  }
  "#{hub}/collectivites/#{siret}?" + URI.encode_www_form(parametres.reject { |_, valeur| valeur.empty? })
end

puts lien(*ENV.values_at("PASSERELLE", "SIRET", "ID_CLE", "CLE", "FAMILLE", "RETOUR"))

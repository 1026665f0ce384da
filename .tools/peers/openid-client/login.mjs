// Logs a citizen in with openid-client as its documentation does, signatures
// checked, and prints the claims. Addresses and credentials come from the
// environment; the provider logs in without pages.
import * as client from 'openid-client'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env

const config = await client.discovery(
  new URL(ISSUER), CLIENT_ID,
  { id_token_signed_response_alg: 'ES256', userinfo_signed_response_alg: 'ES256' },
  client.ClientSecretPost(CLIENT_SECRET),
  { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] },
)
const state = client.randomState()
const nonce = client.randomNonce()
const start = client.buildAuthorizationUrl(config, {
  redirect_uri: REDIRECT_URI, scope: 'openid identite_pivot cnaf_quotient_familial', acr_values: 'eidas1', state, nonce,
})
const sent = await fetch(start, { redirect: 'manual' })
const back = new URL(sent.headers.get('location'))
const tokens = await client.authorizationCodeGrant(config, back, { expectedState: state, expectedNonce: nonce, idTokenExpected: true })
const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
console.log(JSON.stringify({ id: tokens.claims(), person }))

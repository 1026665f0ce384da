// A FranceConnect-like provider made of oidc-provider, for the tests of
// connectors/franceconnect: loopback only, no page, keys of its own.
//
//   node op.mjs   with PORT, CLIENT_SECRET, REDIRECT_URI, LOGOUT_URI
//
// POST /control/cancel and /control/agree say what the next citizens do.
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import Provider from 'oidc-provider';

const { PORT, CLIENT_SECRET, REDIRECT_URI, LOGOUT_URI } = process.env;
const base = `http://127.0.0.1:${PORT}`;
const mount = '/api/v2';

const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
const citizens = {
  fontanel: {
    given_name: 'Élodie Marguerite', given_name_array: ['Élodie', 'Marguerite'], family_name: 'FONTANEL',
    birthdate: '1987-03-14', gender: 'female', birthplace: '69385', birthcountry: '99100',
  },
};

const provider = new Provider(`${base}${mount}`, {
  clients: [{
    client_id: 'passerelle', client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT_URI], post_logout_redirect_uris: [LOGOUT_URI],
    grant_types: ['authorization_code'], response_types: ['code'], token_endpoint_auth_method: 'client_secret_post', subject_type: 'pairwise',
    id_token_signed_response_alg: 'ES256', userinfo_signed_response_alg: 'ES256', require_auth_time: true,
  }],
  jwks: { keys: [{ ...jwk, kid: 'of-this-run', use: 'sig', alg: 'ES256' }] },
  cookies: { keys: ['of this run'] },
  acrValues: ['eidas1'],
  scopes: ['openid', 'identite_pivot', 'email', 'cnaf_quotient_familial', 'cnaf_allocataires', 'cnaf_enfants', 'cnaf_adresse'],
  claims: {
    acr: null, auth_time: null, openid: ['sub'], email: ['email'],
    identite_pivot: ['given_name', 'given_name_array', 'family_name', 'birthdate', 'gender', 'birthplace', 'birthcountry'],
  },
  conformIdTokenClaims: true, // the identity is in userinfo alone
  subjectTypes: ['pairwise'],
  pairwiseIdentifier: async (ctx, account, client) => `${account}-${client.clientId}`,
  enabledJWA: { idTokenSigningAlgValues: ['ES256'], userinfoSigningAlgValues: ['ES256'] },
  features: {
    devInteractions: { enabled: false }, jwtUserinfo: { enabled: true }, revocation: { enabled: true }, rpInitiatedLogout: { enabled: true },
  },
  pkce: { required: () => false },
  ttl: { AuthorizationCode: 30, AccessToken: 60, IdToken: 60, Grant: 30, Interaction: 1800, Session: 1800 },
  routes: {
    authorization: '/authorize', token: '/token', userinfo: '/userinfo', jwks: '/jwks', end_session: '/session/end', revocation: '/token/revocation',
  },
  interactions: { url: (ctx, interaction) => `${base}${mount}/interaction/${interaction.uid}` },
  findAccount: (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, ...citizens[id] }) }),
});

let cancels = false;

// interact answers the prompts as the citizen would on FranceConnect's pages.
async function interact(req, res) {
  const { prompt, params, session } = await provider.interactionDetails(req, res);
  let result;
  if (cancels) {
    result = { error: 'access_denied', error_description: 'User auth aborted' };
  } else if (prompt.name === 'login') {
    result = { login: { accountId: 'fontanel', acr: 'eidas1', amr: ['pwd'] } };
  } else {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
}

const handle = provider.callback();
http.createServer((req, res) => {
  if (req.method === 'POST' && req.url.startsWith('/control/')) {
    cancels = req.url === '/control/cancel';
    res.writeHead(204).end();
  } else if (req.url.startsWith(`${mount}/interaction/`)) {
    interact(req, res).catch((err) => res.writeHead(500).end(String(err)));
  } else {
    req.originalUrl = req.url; // what the provider tells its own address from
    req.url = req.url.replace(mount, '');
    handle(req, res);
  }
}).listen(Number(PORT), '127.0.0.1');

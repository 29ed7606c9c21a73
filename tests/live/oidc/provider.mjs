// A real OpenID Connect provider (oidc-provider). People are whoever `login_hint` says: the login page is left out, the
// protocol is not. PORT says where it listens, KEYS which signing keys it has, the first one signs (`b,a`).

import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

import Provider from 'oidc-provider';

const { PORT, KEYS, WORK } = process.env;
const issuer = `http://127.0.0.1:${PORT}`;
const API = 'https://crm.example';
const PEOPLE = { 'li.na': ['crm-sales'], 'xu.lan': ['managers'] };

/** A signing key that outlives a restart of the provider. */
function key(name) {
  const file = `${WORK}/key-${name}.pem`;
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  }
  return { ...createPrivateKey(readFileSync(file)).export({ format: 'jwk' }), kid: name, use: 'sig', alg: 'ES256' };
}

const secret = 'fictional-secret-of-a-client-0001';
const provider = new Provider(issuer, {
  jwks: { keys: KEYS.split(',').map(key) },
  cookies: { keys: ['fictional-cookie-key'] },
  clients: [
    { client_id: 'app', client_secret: secret, redirect_uris: ['http://127.0.0.1:1/callback'], grant_types: ['authorization_code', 'refresh_token'], id_token_signed_response_alg: 'ES256' },
    { client_id: 'etl', client_secret: secret, redirect_uris: [], response_types: [], grant_types: ['client_credentials'], id_token_signed_response_alg: 'ES256' },
    { client_id: 'gateway', client_secret: secret, redirect_uris: [], response_types: [], grant_types: [], id_token_signed_response_alg: 'ES256' },
  ],
  scopes: ['openid', 'offline_access'],
  acrValues: ['urn:example:mfa'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (ctx, client, token) => client.clientId === 'gateway' || token.clientId === client.clientId },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => [],
      useGrantedResource: () => true,
      // JWTs for those who ask for this API as such, opaque tokens for its twin.
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'crm', audience: API, accessTokenTTL: 120, accessTokenFormat: resource.endsWith('/opaque') ? 'opaque' : 'jwt', jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  findAccount: (ctx, sub) => (PEOPLE[sub] ? { accountId: sub, claims: () => ({ sub }) } : undefined),
  extraTokenClaims: (ctx, token) => ({ groups: PEOPLE[token.accountId] ?? ['services'], ...(ctx.oidc.entities.AuthorizationCode?.acr && { acr: ctx.oidc.entities.AuthorizationCode.acr }) }),
  loadExistingGrant: async (ctx) => {
    const { client, session, params } = ctx.oidc;
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid offline_access');
    [params.resource].flat().filter(Boolean).forEach((resource) => grant.addResourceScope(resource, 'crm'));
    await grant.save();
    return grant;
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  rotateRefreshToken: () => true,
});

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const acr = params.acr_values?.split(' ')[0];
  const login = { accountId: params.login_hint, ...(acr && { acr }) };
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, { login }));
});

provider.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on ${issuer}`));

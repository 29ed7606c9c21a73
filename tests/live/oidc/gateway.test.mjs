// A real identity provider in front of a real Fieldgate: code, client credentials, introspection, rotation, step-up.
// Run by tests/live/oidc/run, which starts the gateway and the system behind; this starts the provider.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

const { GATEWAY_URL, CRM_URL, IDP_PORT } = process.env;
const IDP = `http://127.0.0.1:${IDP_PORT}`;
const API = 'https://crm.example';
const OPAQUE = 'https://crm.example/opaque';
const CALLBACK = 'http://127.0.0.1:1/callback';
const SECRET = 'fictional-secret-of-a-client-0001';

let provider;

async function start(keys) {
  await stop();
  provider = spawn(process.execPath, ['provider.mjs'], { env: { ...process.env, PORT: IDP_PORT, KEYS: keys }, stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((ready, failed) => {
    provider.stdout.on('data', (text) => String(text).includes('listening') && ready());
    provider.on('exit', () => failed(new Error('the provider ended')));
  });
}

async function stop() {
  if (!provider) return;
  const gone = new Promise((done) => provider.removeAllListeners('exit').on('exit', done));
  provider.kill('SIGKILL');
  await gone;
  provider = undefined;
}

const basic = (client) => `Basic ${Buffer.from(`${client}:${SECRET}`).toString('base64')}`;

async function token(client, form) {
  const response = await fetch(`${IDP}/token`, { method: 'POST', headers: { authorization: basic(client) }, body: new URLSearchParams(form) });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  return body;
}

/** The authorization code flow with PKCE, as a browser and an application go through it. */
async function login(person, { resource = API, ...more } = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    client_id: 'app', response_type: 'code', redirect_uri: CALLBACK, scope: 'openid offline_access crm', prompt: 'consent', login_hint: person, resource,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', ...more,
  });
  query.delete('prompt');
  const cookies = new Map();
  let url = `${IDP}/auth?${query}`;
  for (let hops = 0; !url.startsWith(CALLBACK); hops += 1) {
    assert.ok(hops < 8, `no end of redirects: ${url}`);
    const response = await fetch(url, { redirect: 'manual', headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    assert.ok(response.headers.has('location'), `${url}: ${response.status} ${await response.text()}`);
    url = new URL(response.headers.get('location'), url).href;
  }
  const code = new URL(url).searchParams.get('code');
  assert.ok(code, url);
  return token('app', { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier });
}

async function ask(bearer, path = '/customers') {
  const response = await fetch(GATEWAY_URL + path, { headers: bearer ? { authorization: `Bearer ${bearer}` } : {} });
  const text = await response.text();
  return { status: response.status, challenge: response.headers.get('www-authenticate'), json: text && JSON.parse(text) };
}

const names = (answer) => answer.json.data.map((record) => record.name);

/** Asks until the status is another one; the gateway's own times bound it. */
async function until(status, bearer) {
  for (let n = 0; n < 300; n += 1) {
    const answer = await ask(bearer);
    if (answer.status === status) return answer;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  return ask(bearer);
}

before(() => start('a'));
after(stop);

describe('oidc-provider', () => {
  test('code flow: each person sees what is theirs, and the token stays here', async () => {
    const { access_token: sales } = await login('li.na');
    assert.equal(sales.split('.').length, 3, 'a JWT');
    const mine = await ask(sales);
    assert.equal(mine.status, 200, JSON.stringify(mine.json));
    assert.deepEqual(names(mine), ['Ada']);
    assert.deepEqual(names(await ask((await login('xu.lan')).access_token)), ['Ada', 'Bob']);
    const asked = await (await fetch(`${CRM_URL}/asked`)).text();
    assert.ok(!asked.includes(sales) && !asked.includes('authorization'));
  });

  test('the id token of the same login opens nothing', async () => {
    const { id_token } = await login('li.na');
    assert.equal((await ask(id_token)).status, 401);
  });

  test('refresh: the new token is good, the refresh token itself is none', async () => {
    const first = await login('li.na', { prompt: 'login' });
    const second = await token('app', { grant_type: 'refresh_token', refresh_token: first.refresh_token });
    assert.equal((await ask(second.access_token)).status, 200);
    assert.equal((await ask(second.refresh_token)).status, 401);
  });

  test('client credentials: a program is itself', async () => {
    const { access_token } = await token('etl', { grant_type: 'client_credentials', scope: 'crm', resource: API });
    const answer = await ask(access_token);
    assert.equal(answer.status, 200);
    assert.deepEqual(Object.keys(answer.json.data[0]), ['id', 'name', 'owner_id']);
  });

  test('introspection: opaque tokens of people and programs, until they are revoked', async () => {
    const program = await token('etl', { grant_type: 'client_credentials', scope: 'crm', resource: OPAQUE });
    assert.ok(!program.access_token.includes('.'), 'opaque');
    assert.equal((await ask(program.access_token)).status, 200);
    const person = await login('li.na', { resource: OPAQUE });
    assert.deepEqual(names(await ask(person.access_token)), ['Ada']);
    const revoked = await fetch(`${IDP}/token/revocation`, { method: 'POST', headers: { authorization: basic('app') }, body: new URLSearchParams({ token: person.access_token }) });
    assert.equal(revoked.status, 200);
    assert.equal((await until(401, person.access_token)).status, 401, 'dead after `remember`');
    assert.equal((await ask('never-issued-by-anybody')).status, 401);
  });

  test('step-up: the challenge of the gateway, taken to the provider, opens the export (RFC 9470)', async () => {
    const { access_token: weak } = await login('xu.lan');
    const refused = await ask(weak, '/export');
    assert.equal(refused.status, 401);
    const [, acr] = /error="insufficient_user_authentication".*acr_values="([^"]+)"/.exec(refused.challenge);
    const { access_token: strong } = await login('xu.lan', { acr_values: acr });
    const export_ = await ask(strong, '/export');
    assert.equal(export_.status, 200, JSON.stringify(export_.json));
  });

  test('rotation: a new key is found at once, an old one counts until it is withdrawn', async () => {
    const { access_token: old } = await login('li.na');
    assert.equal((await ask(old)).status, 200);
    await start('b,a');
    const { access_token: fresh } = await login('li.na');
    assert.notEqual(old.split('.')[0], fresh.split('.')[0], 'another kid');
    assert.equal((await until(200, fresh)).status, 200);
    assert.equal((await ask(old)).status, 200);
    await start('b');
    assert.equal((await until(401, old)).status, 401);
    assert.equal((await until(200, fresh)).status, 200);
  });

  test('while the provider is away its keys count, and opaque tokens are refused as 503', async () => {
    const { access_token: jwt } = await login('li.na');
    const { access_token: opaque } = await login('li.na', { resource: OPAQUE });
    assert.equal((await ask(jwt)).status, 200);
    await stop();
    assert.equal((await ask(jwt)).status, 200);
    assert.equal((await ask(opaque)).status, 503);
  });
});

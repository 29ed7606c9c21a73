// A real Directus behind a real Fieldgate (policies/directus), driven by curl and by Directus' SDK.
// Run by tests/live/run, which starts both; GATEWAY_URL, ADMIN_URL, DIRECTUS_URL and DIRECTUS_TOKEN say where.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';

import {
  createDirectus, createItem, deleteItem, graphql, readItem, readItems, rest, staticToken, updateItem,
} from '@directus/sdk';

import { COUNT, customer } from './seed.mjs';

const { GATEWAY_URL, ADMIN_URL, DIRECTUS_URL, DIRECTUS_TOKEN } = process.env;
const KEYS = { sales: 'live-sales', manager: 'live-manager', finance: 'live-finance' };
const EVERYTHING = { limit: 100, sort: ['id'] };

/** Calls with curl; gives status, headers (lower-cased names) and body text. */
function curl(key, target, ...more) {
  const auth = key ? ['-H', `Authorization: Bearer ${key}`] : [];
  const out = execFileSync('curl', ['-sS', '-g', '-i', ...auth, ...more, GATEWAY_URL + target], { encoding: 'utf8' });
  const [head, ...rest] = out.split('\r\n\r\n');
  const [status, ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => line.split(/: ?(.*)/s).slice(0, 2)).map(([n, v]) => [n.toLowerCase(), v]));
  return { status: Number(status.split(' ')[1]), headers, body: rest.join('\r\n\r\n') };
}

const json = (key, target, ...more) => {
  const answer = curl(key, target, ...more);
  assert.equal(answer.status, 200, `${target}: ${answer.body}`);
  return JSON.parse(answer.body);
};
const send = (method, key, target, body) =>
  curl(key, target, '-X', method, '-H', 'Content-Type: application/json', '-d', JSON.stringify(body));
const sdk = (role) => createDirectus(GATEWAY_URL).with(staticToken(KEYS[role])).with(rest()).with(graphql());

/** What Directus itself holds, past the gateway. */
async function stored(id) {
  const response = await fetch(`${DIRECTUS_URL}/items/customers/${id}`, { headers: { authorization: `Bearer ${DIRECTUS_TOKEN}` } });
  return (await response.json()).data;
}

const seeded = Array.from({ length: COUNT }, (_, i) => customer(i + 1));
const own = seeded.filter((c) => c.owner === 'li.na');
const colleagues = seeded.filter((c) => c.owner !== 'li.na' && c.region === 'east');
const star = (text, first, last) => text.slice(0, first) + '*'.repeat(text.length - first - last) + text.slice(-last);
/** Nothing that belongs to this customer and is hidden may stand anywhere in a text. */
const absent = (text, ...values) => values.forEach((v) => assert.ok(!text.includes(String(v)), `${v} leaked: ${text.slice(0, 400)}`));

describe('fields by role', () => {
  test('sales sees the phone of an own customer and a masked identity number', () => {
    const c = own[3];
    const { data } = json(KEYS.sales, `/items/customers/${c.id}`);
    assert.equal(data.phone, c.phone);
    assert.equal(data.id_card, star(c.id_card, 3, 4));
    assert.ok(!('credit_limit' in data) && !('remark' in data));
    assert.equal(data.name, c.name);
  });

  test("a colleague's phone is masked and the rest hidden", () => {
    const c = colleagues[2];
    const { body } = curl(KEYS.sales, `/items/customers/${c.id}`);
    assert.deepEqual(JSON.parse(body).data, {
      id: c.id, name: c.name, owner: c.owner, region: c.region, status: c.status, phone: star(c.phone, 3, 4),
      contacts: [],
    });
    absent(body, c.phone, c.email, c.id_card);
  });

  test('finance sees the credit limit, digit for digit, and no phone', () => {
    const c = seeded[41];
    const answer = curl(KEYS.finance, `/items/customers/${c.id}`);
    assert.match(answer.body, /"credit_limit":42000\.5\b/);
    absent(answer.body, c.phone, c.email, c.id_card);
  });

  test('the manager sees everything but the identity number', async () => {
    const c = seeded[9];
    const data = await sdk('manager').request(readItem('customers', c.id));
    assert.equal(data.phone, c.phone);
    assert.equal(data.credit_limit, Number(c.credit_limit));
    assert.equal(data.id_card, star(c.id_card, 3, 4));
  });

  test('nested contacts follow their own rules, also on the way back to the customer', async () => {
    const fields = ['id', 'owner', 'region', { contacts: ['name', 'mobile', { customer: ['id', 'owner', 'id_card', 'phone'] }] }];
    const mine = await sdk('sales').request(readItem('customers', own[0].id, { fields }));
    assert.equal(mine.contacts[0].mobile, '154****0001');
    assert.deepEqual(mine.contacts[0].customer, { id: own[0].id, owner: 'li.na', id_card: star(own[0].id_card, 3, 4), phone: own[0].phone });
    const finance = await sdk('finance').request(readItem('customers', own[0].id, { fields }));
    assert.deepEqual(finance, { id: own[0].id, owner: 'li.na', region: 'east' });
  });

  test('an alias does not open a hidden field', () => {
    absent(curl(KEYS.finance, '/items/customers/1?fields=id,x&alias[x]=phone').body, seeded[0].phone);
  });

  test('compressed answers hold the same', () => {
    const plain = curl(KEYS.sales, '/items/customers?limit=100&sort=id').body;
    const unpacked = curl(KEYS.sales, '/items/customers?limit=100&sort=id', '--compressed').body;
    assert.equal(unpacked, plain);
  });
});

describe('records and totals', () => {
  test('sales lists own and regional customers, and nobody else', async () => {
    const items = await sdk('sales').request(readItems('customers', EVERYTHING));
    assert.deepEqual(items.map((c) => c.id).sort((a, b) => a - b), [...own, ...colleagues].map((c) => c.id).sort((a, b) => a - b));
    const text = JSON.stringify(items);
    absent(text, ...seeded.filter((c) => c.region === 'overseas').flatMap((c) => [c.name, c.phone]));
    absent(text, ...colleagues.map((c) => c.phone), ...seeded.map((c) => c.id_card));
  });

  test('filter_count is the number released and total_count is gone', () => {
    const { meta, data } = json(KEYS.sales, '/items/customers?limit=100&meta=*');
    assert.deepEqual(meta, { filter_count: own.length + colleagues.length });
    assert.equal(data.length, own.length + colleagues.length);
  });

  test('without a record condition the count passes, also on a short page', () => {
    const { meta, data } = json(KEYS.finance, '/items/customers?limit=10&meta=*');
    assert.deepEqual(meta, { filter_count: COUNT });
    assert.equal(data.length, 10);
  });

  test('a customer of another region is as good as absent', () => {
    const hidden = curl(KEYS.sales, '/items/customers/3');
    const absentOne = curl(KEYS.sales, '/items/customers/99999');
    assert.equal(hidden.status, 404);
    assert.equal(hidden.status, absentOne.status);
    const neutral = (text) => text.replaceAll(/"[0-9a-f-]{36}"/g, '""');
    assert.equal(neutral(hidden.body), neutral(absentOne.body));
  });

  test('a filter on a public field narrows the list', () => {
    const { data } = json(KEYS.sales, '/items/customers?limit=100&filter[status][_eq]=lapsed');
    const wanted = [...own, ...colleagues].filter((c) => c.status === 'lapsed').map((c) => c.id);
    assert.deepEqual(data.map((c) => c.id).sort((a, b) => a - b), wanted.sort((a, b) => a - b));
  });

  test('a page beyond the cap is not given', () => {
    for (const limit of ['-1', '100000', '1e9']) {
      const answer = curl(KEYS.finance, `/items/customers?limit=${limit}`);
      assert.ok(answer.status === 400 || answer.status === 403 || JSON.parse(answer.body).data.length <= 100, `${limit}: ${answer.status}`);
    }
  });
});

describe('questions about hidden fields', () => {
  const oracles = [
    'filter[phone][_eq]=15400130001', 'filter[id_card][_starts_with]=1', 'filter[phone][_in][]=15400130001',
    'filter[_or][0][phone][_eq]=15400130001', 'filter={"phone":{"_eq":"15400130001"}}', 'sort=phone', 'sort=-id_card',
    'search=15400130001', 'aggregate[max]=phone', 'groupBy[]=phone', 'alias[x]=phone',
    'filter[contacts][mobile][_eq]=15490000001', 'deep[contacts][_filter][mobile][_eq]=15490000001', 'version=draft',
    'access_token=live-manager', 'FILTER[phone][_eq]=15400130001', 'filter%5Bphone%5D%5B_eq%5D=15400130001',
  ];
  for (const query of oracles) {
    test(`finance may not ask ?${query}`, () => {
      const answer = curl(KEYS.finance, `/items/customers?${encodeURI(decodeURI(query))}`);
      assert.ok([400, 401, 403].includes(answer.status), `${answer.status} ${answer.body}`);
      absent(answer.body, '15400130001', '"data"');
    });
  }

  test('the SDK gets the refusal as its own error', async () => {
    const asking = sdk('finance').request(readItems('customers', { filter: { phone: { _eq: '15400130001' } } }));
    await assert.rejects(asking, (error) => Array.isArray(error.errors) && error.response.status >= 400);
  });

  test('Directus errors do not come through', () => {
    const answer = curl(KEYS.manager, '/items/customers?fields=nope');
    absent(answer.body, 'Queried in root', 'collection \\"customers\\"');
  });
});

describe('writes', () => {
  test('an own customer can be changed, and the answer is masked', async () => {
    const c = own[5];
    const answer = send('PATCH', KEYS.sales, `/items/customers/${c.id}`, { phone: '15409990000' });
    assert.equal(answer.status, 200, answer.body);
    assert.equal((await stored(c.id)).phone, '15409990000');
    assert.equal(JSON.parse(answer.body).data.id_card, star(c.id_card, 3, 4));
    absent(answer.body, c.id_card, 'credit_limit');
  });

  test('a field that is not editable is refused by name, and nothing is written', async () => {
    const c = own[6];
    const answer = send('PATCH', KEYS.sales, `/items/customers/${c.id}`, { status: 'lapsed', credit_limit: 1 });
    assert.equal(answer.status, 403, answer.body);
    assert.match(answer.body, /credit_limit/);
    assert.equal((await stored(c.id)).status, c.status);
  });

  test('a masked value that comes back does not replace the real one', async () => {
    const c = seeded[11];
    for (const body of [{ id_card: star(c.id_card, 3, 4) }, { name: 'New', id_card: star(c.id_card, 3, 4) }]) {
      const answer = send('PATCH', KEYS.manager, `/items/customers/${c.id}`, body);
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.body}`);
    }
    assert.equal((await stored(c.id)).id_card, c.id_card);
    assert.equal((await stored(c.id)).name, c.name);
  });

  test("a colleague's or a hidden customer cannot be changed", async () => {
    for (const c of [colleagues[0], seeded[2]]) {
      const answer = send('PATCH', KEYS.sales, `/items/customers/${c.id}`, { status: 'taken' });
      assert.equal(answer.status, 404, `${c.id}: ${answer.body}`);
      assert.equal((await stored(c.id)).status, c.status);
    }
  });

  test('writing to a hidden customer and to none is answered alike', () => {
    const neutral = (answer) => answer.status + answer.body.replaceAll(/"[0-9a-f-]{36}"/g, '""');
    const [hidden, none] = [3, 99999].map((id) => send('PATCH', KEYS.sales, `/items/customers/${id}`, { status: 'x' }));
    assert.equal(neutral(hidden), neutral(none));
  });

  test('escaped and duplicate names do not smuggle a field in', async () => {
    const c = own[7];
    for (const body of ['{"\\u0063redit_limit":1}', '{"status":"a","credit_limit":1,"credit_limit":2}', '{"Credit_Limit":1}']) {
      const answer = curl(KEYS.sales, `/items/customers/${c.id}`, '-X', 'PATCH', '-H', 'Content-Type: application/json', '-d', body);
      assert.ok(answer.status >= 400 && answer.status < 500, `${body}: ${answer.status}`);
    }
    assert.equal((await stored(c.id)).credit_limit, Number(c.credit_limit));
  });

  test('a manager creates, changes and deletes through the SDK', async () => {
    const client = sdk('manager');
    const made = await client.request(createItem('customers', { name: 'Umber Ltd', owner: 'li.na', region: 'east', phone: '15408880000' }));
    assert.equal(made.phone, '15408880000');
    const changed = await client.request(updateItem('customers', made.id, { credit_limit: 7 }));
    assert.equal(changed.credit_limit, 7);
    await client.request(deleteItem('customers', made.id));
    assert.equal(await stored(made.id), undefined);
  });

  test('others may not create or delete', async () => {
    await assert.rejects(sdk('sales').request(createItem('customers', { name: 'x' })));
    await assert.rejects(sdk('finance').request(deleteItem('customers', 1)));
    assert.equal((await stored(1)).id, 1);
    assert.equal(send('PATCH', KEYS.manager, '/items/customers', { keys: [1, 2], data: { status: 'x' } }).status, 404);
  });
});

describe('exports', () => {
  test('finance gets a CSV with its fields only', () => {
    const answer = curl(KEYS.finance, '/items/customers?export=csv&limit=100&sort=id');
    assert.equal(answer.status, 200, answer.body);
    assert.match(answer.headers['content-type'], /^text\/csv/);
    const rows = answer.body.trimEnd().split(/\r?\n/);
    assert.equal(rows.length, COUNT + 1);
    assert.equal(rows[0].replaceAll('"', ''), 'id,name,owner,region,status,credit_limit');
    absent(answer.body, ...seeded.flatMap((c) => [c.phone, c.email, c.id_card]));
  });

  test('nobody else exports, in no format', () => {
    for (const format of ['csv', 'json', 'xml', 'yaml', 'CSV']) {
      for (const key of [KEYS.sales, KEYS.manager]) {
        const answer = curl(key, `/items/customers?export=${format}`);
        assert.ok([400, 403].includes(answer.status), `${format}: ${answer.status}`);
      }
      if (format !== 'csv') assert.ok([400, 403].includes(curl(KEYS.finance, `/items/customers?export=${format}`).status), format);
    }
    assert.equal(send('POST', KEYS.finance, '/utils/export/customers', { format: 'csv', query: {} }).status, 404);
  });
});

describe('side doors', () => {
  const doors = [
    '/users', '/users/me', '/activity', '/revisions', '/versions', '/comments', '/shares', '/fields', '/collections', '/relations',
    '/server/specs/oas', '/server/info', '/files', '/assets/1', '/flows/trigger/x', '/settings', '/items/contacts',
    '/items/directus_users', '/items/customers/1/', '/items//customers', '/items/customers%2f1', '/items/./customers',
    '/Items/customers', '/admin/', '/',
  ];
  for (const door of doors) {
    test(`${door} is closed, also for the manager`, () => {
      const answer = curl(KEYS.manager, door, '--path-as-is');
      assert.ok([400, 403, 404].includes(answer.status), `${answer.status} ${answer.body.slice(0, 200)}`);
      absent(answer.body, 'fictional-static-token', '1540013', 'admin@example.com');
    });
  }

  test('GraphQL is closed for curl and for the SDK', async () => {
    const query = '{ customers { tel: phone } }';
    assert.equal(send('POST', KEYS.manager, '/graphql', { query }).status, 404);
    assert.equal(curl(KEYS.manager, `/graphql?query=${encodeURIComponent(query)}`).status, 404);
    await assert.rejects(sdk('manager').query(query));
  });

  test('the method SEARCH is closed', () => {
    const answer = send('SEARCH', KEYS.manager, '/items/customers', { query: { fields: ['phone'] } });
    assert.ok([400, 404, 405, 501].includes(answer.status), String(answer.status));
  });

  test('no caller, a wrong one, and the upstream credential itself are refused', () => {
    for (const key of [undefined, 'live-nobody', DIRECTUS_TOKEN]) {
      assert.equal(curl(key, '/items/customers/1').status, 401);
    }
    assert.equal(curl(undefined, '/server/ping').body, 'pong');
  });

  test('answers carry no headers of Directus that identify what was hidden', () => {
    const { headers } = curl(KEYS.finance, '/items/customers/1');
    for (const name of ['x-powered-by', 'last-modified']) assert.ok(!(name in headers), name);
    assert.match(headers['cache-control'], /no-store/);
  });
});

describe('watching', () => {
  test('metrics count what was released and withheld', () => {
    const metrics = execFileSync('curl', ['-sS', `${ADMIN_URL}/metrics`], { encoding: 'utf8' });
    assert.match(metrics, /^fieldgate_\w+\{.*GET \/items\/customers/m);
    absent(metrics, '1540013', 'li.na', 'live-sales');
  });
});

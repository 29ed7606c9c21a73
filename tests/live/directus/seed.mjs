// Fills a fresh Directus with fictional customers and their contacts, as its administrator.

const BASE = process.env.DIRECTUS_URL;
const TOKEN = process.env.DIRECTUS_TOKEN;

const OWNERS = ['li.na', 'zhang.wei', 'emma.clark'];
const REGIONS = ['east', 'east', 'overseas'];
const NAMES = ['王芳', 'Northwind Bearings Ltd', '上海华信精密机械有限公司', 'Chloë Dubois', "O'Brien & Sons", '欧阳静'];

async function post(path, body) {
  const response = await fetch(BASE + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

const key = { field: 'id', type: 'integer', schema: { is_primary_key: true, has_auto_increment: true }, meta: {} };
const field = (name, type) => ({ field: name, type, schema: {}, meta: {} });

/** Customers 1..66: every third is Li Na's; the number is in every value, so that a test knows whose it is. */
export function customer(id) {
  const turn = (id - 1) % 3;
  const tail = String(id).padStart(4, '0');
  return {
    id,
    name: `${NAMES[id % NAMES.length]} ${id}`,
    owner: OWNERS[turn],
    region: REGIONS[turn],
    status: id % 5 === 0 ? 'lapsed' : 'active',
    phone: `1540013${tail}`,
    email: `customer${id}@example.com`,
    id_card: `11019919900318${tail}`,
    credit_limit: `${id * 1000}.50`,
    remark: `回电 1540013${tail}`,
  };
}

export const COUNT = 66;

async function seed() {
  await post('/collections', {
    collection: 'customers', schema: {}, meta: {},
    fields: [key, ...['name', 'owner', 'region', 'status', 'phone', 'email', 'id_card'].map((n) => field(n, 'string')),
      field('credit_limit', 'decimal'), field('remark', 'text')],
  });
  await post('/collections', {
    collection: 'contacts', schema: {}, meta: {},
    fields: [key, field('name', 'string'), field('mobile', 'string'), field('customer', 'integer')],
  });
  await post('/fields/customers', { field: 'contacts', type: 'alias', meta: { special: ['o2m'] } });
  await post('/relations', {
    collection: 'contacts', field: 'customer', related_collection: 'customers', meta: { one_field: 'contacts' }, schema: {},
  });
  await post('/items/customers', Array.from({ length: COUNT }, (_, i) => customer(i + 1)));
  await post('/items/contacts', Array.from({ length: COUNT }, (_, i) => ({
    name: `Contact ${i + 1}`, mobile: `1549000${String(i + 1).padStart(4, '0')}`, customer: i + 1,
  })));
}

if (process.argv[1] === import.meta.filename) await seed();

// The system behind: two customers, and what it was asked.

import { createServer } from 'node:http';

const DATA = {
  data: [
    { id: 1, name: 'Ada', owner_id: 'li.na', phone: '13800138000' },
    { id: 2, name: 'Bob', owner_id: 'xu.lan', phone: '13900139000' },
  ],
  total: 2,
};
const asked = [];

createServer((request, response) => {
  if (request.url === '/asked') return response.end(JSON.stringify(asked));
  asked.push({ url: request.url, headers: request.headers });
  response.setHeader('content-type', 'application/json');
  return response.end(JSON.stringify(DATA));
}).listen(Number(process.env.PORT), '127.0.0.1');

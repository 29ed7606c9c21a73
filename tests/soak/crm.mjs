// The system behind, on a bad day: one answer in five is slow, torn, wrong, huge or never comes.
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

const customer = (id) => ({
  id, name: "王芳", status: "active", owner_id: id % 3 ? "li.na" : "wu.min", phone: "13800138000", note: "x".repeat(120),
});
const list = (count) => JSON.stringify({ data: Array.from({ length: count }, (_, id) => customer(id)) });
const PAGE = list(50);
const BOMB = gzipSync(Buffer.alloc(64 << 20, 32));
const LINES = Array.from({ length: 4000 }, (_, id) => JSON.stringify(customer(id)) + "\n");

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const head = (answer, more) => answer.writeHead(200, { "content-type": "application/json", ...more });

const drained = (answer) => new Promise((go) => {
  const end = () => { answer.off("drain", end).off("close", end); go(); };
  answer.on("drain", end).on("close", end);
});

const faults = [
  (answer) => answer.destroy(),
  (answer) => setTimeout(() => answer.destroy(), 5000),
  (answer) => answer.writeHead(500, { "content-type": "text/html" }).end("<h1>13800138000</h1>"),
  (answer) => head(answer).end('{"data":[{"id":1,"phone":"138'),
  (answer) => head(answer).end("not json"),
  (answer) => { head(answer, { "content-length": PAGE.length * 2 }); answer.write(PAGE.slice(0, 3000)); setTimeout(() => answer.destroy(), 20); },
  (answer) => head(answer, { "content-encoding": "gzip" }).end(BOMB),
  async (answer) => { head(answer); for (let at = 0; at < PAGE.length; at += 500) { answer.write(PAGE.slice(at, at + 500)); await wait(10); } answer.end(); },
];

createServer(async (request, answer) => {
  answer.on("error", () => {});
  request.resume();
  if (request.url.endsWith("/calm")) { await wait(500); return head(answer).end(JSON.stringify({ data: customer(1) })); }
  if (Math.random() < 0.2) return faults[Math.floor(Math.random() * faults.length)](answer);
  if (request.url.startsWith("/export")) {
    answer.writeHead(200, { "content-type": "application/x-ndjson" });
    for (let at = 0; at < LINES.length && !answer.destroyed; at += 100) {
      if (!answer.write(LINES.slice(at, at + 100).join(""))) await drained(answer);
    }
    return answer.end();
  }
  head(answer).end(/customers\/\d+/.test(request.url) ? JSON.stringify({ data: customer(1) }) : PAGE);
}).listen(Number(process.argv[2]), "127.0.0.1");

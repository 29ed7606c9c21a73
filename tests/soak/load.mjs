// Callers who come at a given rate over HTTP/1.1 and HTTP/2, with and without the right to what they ask for, and of
// whom one in ten goes away before the end. Prints how many were begun when it is told to stop.
//   node load.mjs URL RATE (a second; 0: as many as 32 at a time can)
import http from "node:http";
import http2 from "node:http2";

const [url, rate] = [process.argv[2], Number(process.argv[3])];
const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
const targets = ["/customers?limit=50", "/customers?limit=50", "/customers/7", "/customers/8", "/customers/9", "/export", "/nowhere", "/customers?phone=1"];
const keys = ["peer-key-of-the-soak", "peer-key-of-the-soak", "peer-key-of-the-soak", "nobody-key-of-the-soak", "wrong"];
const pick = (from) => from[Math.floor(Math.random() * from.length)];
let [begun, running, session] = [0, 0, null];

function connect() {
  if (session && !session.closed && !session.destroyed && Math.random() > 0.002) return session;
  session?.destroy();
  session = http2.connect(url);
  session.on("error", () => {});
  return session;
}

function one(done) {
  begun += 1;
  running += 1;
  const [path, key, leaves] = [pick(targets), pick(keys), Math.random() < 0.1];
  let over = false;
  const end = () => { if (!over) { over = true; running -= 1; done?.(); } };
  const stream = Math.random() < 0.3
    ? connect().request({ ":path": path, "x-api-key": key })
    : http.get(url + path, { agent, headers: { "x-api-key": key } });
  const answered = (answer) => { answer.on("error", end).on("close", end).on("end", end).resume(); };
  stream.on("error", end).on("close", end);
  if (stream instanceof http.ClientRequest) stream.on("response", answered); else answered(stream);
  if (leaves) setTimeout(() => stream.destroy(), Math.random() * 30);
}

const loop = () => one(() => setImmediate(loop));
let owed = 0;
if (rate === 0) for (let i = 0; i < 32; i += 1) loop();
else setInterval(() => { for (owed += rate / 100; owed >= 1; owed -= 1) if (running < 500) one(); }, 10);
process.on("SIGTERM", () => { console.log(begun); process.exit(0); });

// An application's own server: it serves the page, and gets it a ticket for each connection. The gateway's key stays here.
//
// Usage: app.mjs PORT GATEWAY KEY PAGE

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const [port, gateway, key, page] = process.argv.slice(2);

const server = createServer(async (request, response) => {
  if (request.url === "/ticket" && request.method === "POST") {
    // Whoever asks for a ticket spends by this key: an application checks here who is logged in.
    const answer = await fetch(`${gateway}/v1/sessions/tickets`, { method: "POST", headers: { authorization: `Bearer ${key}` } });
    response.writeHead(answer.status, { "content-type": "application/json", "cache-control": "no-store" });
    response.end(await answer.text());
  } else {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end(await readFile(page));
  }
});

server.listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ listening: port })));

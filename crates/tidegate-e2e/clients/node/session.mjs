// A session with the library `ws`: prompts in, messages out, over as many connections as it takes.
//
// Usage: session.mjs URL [KEY]
// Lines in and out are those of clients/python/session.py.

import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const LONGEST_PAUSE = 5000;

/** One conversation. A lost connection is resumed, and nothing is lost or said twice. */
class Session {
  #url;
  #headers;
  #socket;
  #id;
  #seen = 0;
  #prompts = new Map(); // By their own ids, until they have ended.
  #tasks = new Map(); // The id of each task's prompt.
  #isLeaving = false;
  #pause = 100;

  /** `onMessage` is called with each message of the gateway. */
  constructor(url, key, onMessage) {
    this.#url = url;
    this.#headers = key ? { authorization: `Bearer ${key}` } : {};
    this.onMessage = onMessage;
    this.#connect();
  }

  /** Sends a prompt: now, and again after each loss of the connection, until it has been answered. */
  ask(content, members = {}) {
    const prompt = { type: "PROMPT", id: randomUUID(), content, ...members };
    this.#prompts.set(prompt.id, prompt);
    this.send(prompt);
  }

  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Closes the session as soon as every prompt has ended. */
  leave() {
    this.#isLeaving = true;
    this.#closeIfOver();
  }

  #connect() {
    const socket = new WebSocket(this.#url, ["tidegate.v1"], { headers: this.#headers });
    this.#socket = socket;
    socket.on("open", () => {
      say({ client: "connected", subprotocol: socket.protocol, extensions: socket.extensions.length });
      this.#pause = 100;
      if (this.#id) this.send({ type: "RESUME", sessionId: this.#id, lastSeq: this.#seen });
      // Those that have arrived before are known by their ids and do not run again.
      for (const prompt of this.#prompts.values()) this.send(prompt);
      this.#closeIfOver();
    });
    socket.on("message", (frame) => {
      const message = JSON.parse(frame);
      this.#take(message);
      this.onMessage(message);
      this.#closeIfOver();
    });
    socket.on("error", (error) => console.error(error.message)); // "close" follows.
    socket.on("close", () => {
      if (this.#isOver()) return;
      setTimeout(() => this.#connect(), this.#pause);
      this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    });
  }

  #take(message) {
    this.#seen = message.seq ?? this.#seen;
    switch (message.type) {
      case "SESSION":
        this.#id = message.sessionId;
        if (!message.resumed) this.#seen = 0;
        break;
      case "ACK":
        this.#tasks.set(message.taskId, message.id);
        break;
      case "COMPLETE":
      case "ERROR":
      case "DROPPED":
        this.#prompts.delete(this.#tasks.get(message.taskId));
        this.#tasks.delete(message.taskId);
        break;
      case "RATE_LIMITED":
        this.#prompts.delete(message.id);
        break;
    }
  }

  #isOver() {
    return this.#isLeaving && this.#prompts.size === 0;
  }

  #closeIfOver() {
    if (this.#isOver() && this.#socket.readyState === WebSocket.OPEN) this.#socket.close();
  }
}

function say(message) {
  console.log(JSON.stringify(message));
}

const [url, key] = process.argv.slice(2);
const session = new Session(url, key, say);
for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith("{")) session.send(JSON.parse(line));
  else session.ask(line);
}
session.leave();

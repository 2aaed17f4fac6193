// The official OpenAI SDK for Node, as an application uses it.
//
// Usage: chat.mjs BASE_URL KEY MAX_RETRIES
// Reads one case per line from standard input and writes JSON lines, in the form that clients/python/chat.py documents.

import { createInterface } from "node:readline";
import OpenAI from "openai";

const [baseURL, apiKey, maxRetries] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: Number(maxRetries) });

for await (const line of createInterface({ input: process.stdin })) {
  await run(JSON.parse(line));
}

async function run(test) {
  const began = performance.now();
  const seen = [];
  const say = (fields) =>
    process.stdout.write(JSON.stringify({ id: test.id, ms: performance.now() - began, ...fields }) + "\n");
  let outcome;
  try {
    outcome = await play(test, seen, say);
  } catch (error) {
    const { status = null, code = null, type = null } = error;
    outcome = { outcome: "exception", class: error.constructor.name, message: String(error.message), status, code, type };
  }
  say({ text: seen.join(""), ...outcome });
}

async function play(test, seen, say) {
  const options = { headers: test.headers ?? {} };
  const body = { ...test.body, ...test.extra };
  if (test.mode === "whole") {
    const answer = await client.chat.completions.create(body, options);
    const choice = answer.choices[0];
    seen.push(choice.message.content ?? "");
    return { outcome: "completed", finish_reason: choice.finish_reason, usage: answer.usage ?? null };
  }

  let finish_reason = null;
  let usage = null;
  const tools = [];
  const stream = await client.chat.completions.create({ ...body, stream: true }, options);
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      finish_reason = choice.finish_reason ?? finish_reason;
      tools.push(...(choice.delta.tool_calls ?? []));
      if (choice.delta.content) {
        seen.push(choice.delta.content);
        say({ delta: choice.delta.content });
      }
    }
    if (test.mode === "abort" && seen.length >= test.abort_after) {
      stream.controller.abort();
      return { outcome: "aborted" };
    }
  }
  return { outcome: "completed", finish_reason, usage, tools };
}

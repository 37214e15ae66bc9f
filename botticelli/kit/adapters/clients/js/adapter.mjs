// What the JavaScript adapters have in common: the JSON lines to and fro, streams and their cancellation, and
// answers in the published shape as neutral ones (call.schema.json and outcome.schema.json in contracts/kit).
// The client is judged, not its adapter: nothing is mended, and what the client doesn't show is null.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** Return a client's name and version, as it is installed beside this file. */
export function versionOf(name) {
  const path = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return `npm:${name} ${JSON.parse(readFileSync(path, "utf8")).version}`;
}

/** Return the body of the request: [the members that the format knows, those of `extra`]. */
export function splitBody(call, stream = false) {
  const { extra = {}, stream_usage: usage, ...body } = call.request;
  body.model = call.model;
  if (stream) {
    body.stream = true;
    if (usage !== undefined) body.stream_options = { include_usage: usage };
  }
  return [body, extra];
}

/** Return the limit in milliseconds of a client that has one for the wait for an answer's head. */
export function headTimeout(call) {
  const seconds = call.options.timeouts?.first_byte;
  return seconds === undefined ? undefined : seconds * 1000;
}

const KINDS = {
  401: "authentication", 402: "credits_exhausted", 403: "permission_denied", 404: "not_found",
  408: "server", 413: "request_too_large", 429: "rate_limit",
};

/** Return the kind that a status has, where nothing more is known. */
export function kindOfStatus(status) {
  return KINDS[status] ?? (status >= 500 ? "server" : status >= 400 ? "invalid_request" : "api");
}

/** Return the kind of what went wrong below a client, by the codes that Node gives, or undefined. */
export function transportKind(error) {
  for (let link = error; link instanceof Error; link = link.cause) {
    if (/^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|UND_ERR_CONNECT_TIMEOUT)$/.test(link.code)) return "connect";
    if (/TIMEOUT|^ETIMEDOUT$/.test(link.code) || link.name === "TimeoutError") return "timeout";
    if (/^(ECONNRESET|EPIPE|UND_ERR_.*|HPE_.*)$/.test(link.code)) return "connection_lost";
    if (link instanceof SyntaxError) return "malformed_response";
  }
  return undefined;
}

const pick = (value) => value ?? null;
const joined = (parts) => parts.map((part) => part?.text ?? "").join("");

/** Return what a message says. Some servers send the content in parts: a client that hands those out has shown all. */
function spoken(message) {
  const { content, refusal } = message ?? {};
  const reasoning = message?.reasoning_content ?? message?.reasoning;
  if (!Array.isArray(content)) return { text: pick(content), reasoning: pick(reasoning), refusal: pick(refusal) };
  const thoughts = content.flatMap((part) => part?.thinking ?? []);
  const thought = thoughts.map((one) => (typeof one === "string" ? one : joined([one]))).join("");
  return { text: joined(content), reasoning: reasoning ?? thought, refusal: pick(refusal) };
}
const toolCall = (call) => ({
  id: pick(call.id), type: pick(call.type), name: pick((call.function ?? call.custom)?.name),
  arguments: pick(call.function?.arguments ?? call.custom?.input),
});

/** Throw what a program meets that reads the choices of something else than an object with members. */
function requireObject(value, what) {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Blob)) return;
  const shown = value instanceof Blob ? "a Blob" : JSON.stringify(value)?.slice(0, 80);
  const error = new TypeError(`the client gave ${shown} for ${what}`);
  error.stack = String(error); // lines of this file would look like its mistake
  throw error;
}

/** Return the neutral response for a client that hands out answers in the published shape. */
export function wholeResponse(answer) {
  requireObject(answer, "an answer");
  const choices = (answer.choices ?? []).map((choice) => ({
    index: pick(choice.index), ...spoken(choice.message), finish_reason: null,
    finish_reason_raw: pick(choice.finish_reason), logprobs: pick(choice.logprobs),
    tool_calls: (choice.message?.tool_calls ?? []).map(toolCall),
  }));
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage ?? {};
  const usage = answer.usage ? { prompt_tokens, completion_tokens, total_tokens } : null;
  return { choices, usage, id: pick(answer.id), model: pick(answer.model) };
}

/** Return the chunks, for the kit to put together. */
function events(chunks) {
  for (const chunk of chunks) requireObject(chunk, "a chunk");
  return chunks;
}

/**
 * Answer the kit until its input ends.
 *
 * `adapter` has `capabilities`, `version`, `connect(call)`, `generate(client, call, signal)`,
 * `stream(client, call, signal)` (async generator), perhaps `models(client, call)`, and `error(error)`: a neutral
 * error, or undefined for what isn't one of the client's own, which is a crash. A client that hands out raw chunks
 * claims `events`; for one that assembles, `texts(chunk)` and `streamed(chunks)` give the texts and the answer.
 */
export async function serve(adapter) {
  const clients = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, hello, call } = JSON.parse(line);
    const { capabilities, version } = adapter;
    const answer = hello ? { hello: { capabilities, version } } : await exchange(adapter, clients, call);
    process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`);
  }
  process.exit(0); // connections that are kept alive would keep the program
}

async function exchange(adapter, clients, call) {
  const { texts, streamed = (chunks) => ({ events: events(chunks) }) } = adapter;
  const chunks = [];
  const partial = () => (texts ? { partial_chunks: chunks.flatMap(texts) } : { partial_events: events(chunks) });
  const { chunks: leaveAfter, seconds } = call.cancel_after ?? {};
  const abort = new AbortController();
  const timer = seconds === undefined ? undefined : setTimeout(() => abort.abort(), seconds * 1000);
  try {
    if (!clients.has(call.base_url)) clients.set(call.base_url, adapter.connect(call));
    const client = clients.get(call.base_url);
    if (call.operation === "models") return { outcome: { models: await adapter.models(client, call) } };
    if (call.operation === "generate") return { outcome: { response: await adapter.generate(client, call, abort.signal) } };
    for await (const chunk of adapter.stream(client, call, abort.signal)) {
      chunks.push(chunk);
      if (chunks.length === leaveAfter) {
        abort.abort();
        return { outcome: { cancelled: true, ...partial() } };
      }
    }
    if (abort.signal.aborted) return { outcome: { cancelled: true, ...partial() } };
    return { outcome: { response: await streamed(chunks) } };
  } catch (error) {
    if (abort.signal.aborted) return { outcome: { cancelled: true, ...partial() } };
    const known = adapter.error(error);
    return known ? { outcome: { error: known, ...partial() } } : { crash: String(error?.stack ?? error) };
  } finally {
    clearTimeout(timer);
    if (call.last) clients.delete(call.base_url);
  }
}

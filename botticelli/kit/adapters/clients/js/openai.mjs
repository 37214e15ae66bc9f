// Adapter for npm's openai, used as its README does: raw chunks, raw finish reasons.

import OpenAI from "openai";
import { headTimeout, kindOfStatus, serve, splitBody, transportKind, versionOf, wholeResponse } from "./adapter.mjs";

function request(call, stream = false) {
  const [body, extra] = splitBody(call, stream);
  return { ...body, ...extra }; // the README: parameters that it doesn't know are given beside the others
}

function kindOf(error) {
  if (error instanceof OpenAI.APIConnectionTimeoutError) return "timeout";
  if (error instanceof OpenAI.APIConnectionError) return transportKind(error) ?? "connection_lost";
  if (typeof error.status === "number") return kindOfStatus(error.status);
  return error instanceof OpenAI.APIError ? "stream_error" : "configuration";
}

await serve({
  version: versionOf("openai"),
  capabilities: [
    "generate", "stream", "models", "events", "raw_arguments",
    "tools", "n", "logprobs", "reasoning", "refusal", "structured_output", "vision", "audio", "files",
    "stream_usage", "extra", "retry", "headers", "code", "request_id",
    "cancel", "cancel_any_time", "first_byte_timeout",
  ],

  connect: (call) =>
    new OpenAI({
      apiKey: call.api_key,
      baseURL: call.base_url,
      maxRetries: call.options.max_retries,
      timeout: headTimeout(call),
      defaultHeaders: call.options.headers,
    }),

  async generate(client, call, signal) {
    const answer = await client.chat.completions.create(request(call), { signal });
    return { ...wholeResponse(answer), request_id: answer._request_id ?? null };
  },

  async *stream(client, call, signal) {
    yield* await client.chat.completions.create(request(call, true), { signal });
  },

  async models(client) {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return ids;
  },

  error(error) {
    if (!(error instanceof OpenAI.OpenAIError)) return undefined;
    const { message, status = null, code = null, requestID = null } = error;
    return { kind: kindOf(error), message, status, code, request_id: requestID };
  },
});

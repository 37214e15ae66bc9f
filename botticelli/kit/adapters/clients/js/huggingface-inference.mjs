// Adapter for npm's @huggingface/inference, used as its README does: raw chunks, raw finish reasons.

import {
  InferenceClient,
  InferenceClientError,
  InferenceClientInputError,
  InferenceClientProviderOutputError,
} from "@huggingface/inference";
import { kindOfStatus, serve, splitBody, versionOf, wholeResponse } from "./adapter.mjs";

function request(call, stream = false) {
  const [body, extra] = splitBody(call, stream);
  return { ...body, ...extra };
}

function kindOf(error, status) {
  if (error instanceof InferenceClientInputError) return "request";
  if (error instanceof InferenceClientProviderOutputError) return "malformed_response";
  // An error inside of a stream comes with the event that told it, an answer that is no stream with nothing.
  if (status >= 200 && status < 300) return error.httpResponse.body ? "stream_error" : "malformed_response";
  return status ? kindOfStatus(status) : "malformed_response";
}

await serve({
  version: versionOf("@huggingface/inference"),
  capabilities: [
    "generate", "stream", "events", "raw_arguments",
    "tools", "n", "logprobs", "reasoning", "refusal", "structured_output", "vision", "audio", "files",
    "stream_usage", "extra", "anonymous", "cancel", "cancel_any_time",
  ],

  // It retries a 503 without an end unless it is told not to; the number of retries can't be set.
  connect: (call) =>
    new InferenceClient(call.api_key ?? undefined, { endpointUrl: call.base_url, retry_on_error: false }),

  generate: async (client, call, signal) => wholeResponse(await client.chatCompletion(request(call), { signal })),

  async *stream(client, call, signal) {
    yield* client.chatCompletionStream(request(call, true), { signal });
  },

  error(error) {
    if (!(error instanceof InferenceClientError)) return undefined;
    const status = error.httpResponse?.status ?? null;
    return { kind: kindOf(error, status), message: error.message, status, request_id: error.httpResponse?.requestId || null };
  },
});

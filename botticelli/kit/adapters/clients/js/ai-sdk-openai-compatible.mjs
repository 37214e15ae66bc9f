// Adapter for npm's @ai-sdk/openai-compatible, used as its README does: with generateText and streamText of `ai`,
// which have messages, words for finish reasons and answers of their own, and assemble streams.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { AISDKError, APICallError, generateText, InvalidResponseDataError, jsonSchema, RetryError, streamText, tool } from "ai";
import { kindOfStatus, serve, splitBody, transportKind, versionOf } from "./adapter.mjs";

const FINISH = { stop: "stop", length: "length", "tool-calls": "tool_use", "content-filter": "content_filter" };

const part = ({ type, text, image_url: image }) =>
  type === "image_url" ? { type: "image", image: new URL(image.url) } : { type, text };

function parsed(text) {
  try {
    return JSON.parse(text || "{}");
  } catch {
    return text; // a model's arguments needn't be JSON
  }
}

function messageOf({ role, content, tool_calls: calls, tool_call_id: toolCallId }) {
  if (role === "developer") return { role: "system", content };
  if (role === "tool") {
    const output = { type: "text", value: typeof content === "string" ? content : content.map(({ text }) => text).join("") };
    return { role, content: [{ type: "tool-result", toolCallId, toolName: "", output }] };
  }
  const parts = Array.isArray(content) ? content.map(part) : content ? [{ type: "text", text: content }] : [];
  if (role !== "assistant") return { role, content: typeof content === "string" ? content : parts };
  for (const call of calls ?? []) {
    const { name, arguments: text } = call.function;
    parts.push({ type: "tool-call", toolCallId: call.id, toolName: name, input: parsed(text) });
  }
  return { role, content: parts };
}

function request({ model, options }, call, signal) {
  const [{ model: _, messages = [], tools = [], ...body }, extra] = splitBody(call);
  const { max_tokens, temperature, top_p, presence_penalty, frequency_penalty, stop, seed, tool_choice, ...rest } = body;
  const defined = tools.map(({ function: { name, description, parameters, strict } }) => [
    name, tool({ description, inputSchema: jsonSchema(parameters ?? {}), strict }),
  ]);
  const choice = tool_choice?.function ? { type: "tool", toolName: tool_choice.function.name } : tool_choice;
  return {
    model, messages: messages.map(messageOf), allowSystemInMessages: true, abortSignal: signal,
    maxRetries: options.max_retries, maxOutputTokens: max_tokens, temperature, topP: top_p,
    presencePenalty: presence_penalty, frequencyPenalty: frequency_penalty, seed,
    stopSequences: typeof stop === "string" ? [stop] : stop,
    ...(defined.length ? { tools: Object.fromEntries(defined), toolChoice: choice } : {}),
    providerOptions: { judged: { ...rest, ...extra } },
  };
}

async function responseOf(result) {
  const [text, reasoning, finish, raw, calls, usage, about] = await Promise.all([
    result.text, result.reasoningText, result.finishReason, result.rawFinishReason,
    result.toolCalls, result.usage, result.response,
  ]);
  const tool_calls = calls.map(({ toolCallId, toolName, input }) => ({
    id: toolCallId, name: toolName, arguments: typeof input === "string" ? input : JSON.stringify(input),
  }));
  const choice = {
    index: 0, text, reasoning: reasoning ?? null, finish_reason: FINISH[finish] ?? "other",
    finish_reason_raw: raw ?? null, tool_calls,
  };
  const counts = {
    prompt_tokens: usage.inputTokens ?? null, completion_tokens: usage.outputTokens ?? null,
    total_tokens: usage.totalTokens ?? null,
  };
  return { choices: [choice], usage: counts, id: about.id ?? null, model: about.modelId ?? null };
}

/** A stream of the SDK doesn't throw: it hands out its errors, and what the server called one, as a part. */
class ErrorPart extends Error {}

function kindInStream(error) {
  if (error instanceof ErrorPart || error.name === "AI_StreamProviderError") return "stream_error";
  return InvalidResponseDataError.isInstance(error) ? "stream_truncated" : undefined; // without a finish reason
}
let result; // of the stream that is read: a program makes one call at a time

await serve({
  version: versionOf("@ai-sdk/openai-compatible"),
  capabilities: [
    "generate", "stream", "assembles", "finish_words",
    "tools", "reasoning", "vision", "extra", "retry", "headers", "anonymous", "cancel", "cancel_any_time",
  ],

  connect(call) {
    const { base_url: baseURL, api_key, options } = call;
    const provider = createOpenAICompatible({
      name: "judged", baseURL, apiKey: api_key ?? undefined, headers: options.headers,
      includeUsage: call.request.stream_usage, supportedUrls: () => ({ "image/*": [/^https?:/] }), // loads none itself
    });
    return { model: provider.chatModel(call.model), options };
  },

  generate: async (client, call, signal) => responseOf(await generateText(request(client, call, signal))),

  async *stream(client, call, signal) {
    result = streamText({ ...request(client, call, signal), onError() {} });
    for await (const piece of result.fullStream) {
      if (piece.type === "error") throw piece.error instanceof Error ? piece.error : new ErrorPart(piece.error);
      if (piece.type === "text-delta") yield piece.text;
    }
  },

  texts: (text) => (text ? [text] : []),

  streamed: async (chunks) => ({ ...(await responseOf(result)), chunks: chunks.filter((text) => text), final_chunks: 1 }),

  error(given) {
    const error = RetryError.isInstance(given) ? given.lastError : given;
    if (!AISDKError.isInstance(error) && !(error instanceof ErrorPart)) return undefined;
    const status = APICallError.isInstance(error) ? (error.statusCode ?? null) : null;
    const answered = status !== null && !(status >= 200 && status < 300);
    const kind = answered ? kindOfStatus(status) : (kindInStream(error) ?? transportKind(error) ?? "malformed_response");
    return { kind, message: given.message, status: answered ? status : null };
  },
});

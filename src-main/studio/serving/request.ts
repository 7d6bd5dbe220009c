import { z } from 'zod';
import { RowRefusal } from '../../data/field-text.ts';
import { readList, readMessages } from '../../data/messages.ts';
import type { Conversation } from '../../models/types.ts';

const part = z.looseObject({ type: z.literal('text'), text: z.string() });
const object = z.record(z.string(), z.unknown());
const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.union([z.string(), z.array(part)]).nullish(),
  name: z.string().nullish(),
  reasoning_content: z.string().nullish(),
  tool_calls: z.array(object).nullish(),
  tool_call_id: z.string().nullish(),
});
const unsupported = (what: string) => z.null(`${what} is not supported here`).optional();

/** The body of a chat completion, as far as it is understood (OpenAI API reference, "Create chat completion"). */
export const completionSchema = z
  .looseObject({
    model: z.string().min(1).max(200),
    messages: z.array(message).min(1).max(2_000),
    max_tokens: z.number().int().min(1).max(100_000).nullish(),
    max_completion_tokens: z.number().int().min(1).max(100_000).nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().gt(0).max(1).nullish(),
    /** not OpenAI's, but other servers' */
    top_k: z.number().int().min(0).max(100_000).nullish(),
    seed: z.number().int().nullish(),
    stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
    stream: z.boolean().nullish(),
    stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.number().int().min(0).max(20).nullish(),
    n: z.literal(1, 'only one answer a request').nullish(),
    tools: z.array(object).max(1_000).nullish(),
    tool_choice: z.enum(['auto', 'none'], 'an answer can’t be made to be a call here').nullish(),
    functions: unsupported('the older form of tools'),
    function_call: unsupported('the older form of tool_choice'),
    /** not OpenAI's, but other servers' */
    documents: z.array(object).max(1_000).nullish(),
    response_format: z.looseObject({ type: z.literal('text', 'only text is answered') }).nullish(),
  })
  .refine(({ logprobs, top_logprobs: top }) => logprobs || top == null, {
    path: ['top_logprobs'],
    error: 'is for requests with logprobs: true',
  });
export type Completion = z.infer<typeof completionSchema>;

/** Tokens of an answer where the request says nothing. */
const DEFAULT_TOKENS = 1_024;

/** What a request asks, read as a dataset's row would be. @throws ApiError for messages that say nothing */
export function conversationOf({ messages, tools, tool_choice: choice, documents }: Completion): Conversation {
  try {
    return {
      // Nothing of it is learned, so that an earlier answer may be empty.
      messages: readMessages(messages.map((message) => ({ ...message, weight: 0 })), 'messages'), // prettier-ignore
      tools: choice === 'none' ? undefined : readList(tools, 'tools'),
      documents: readList(documents, 'documents'),
    };
  } catch (error) {
    if (error instanceof RowRefusal) throw new ApiError(400, `messages: ${error.message}`, null, 'messages');
    throw error;
  }
}

export function samplingOf(body: Completion) {
  return {
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? DEFAULT_TOKENS,
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    topK: body.top_k ?? 0,
    seed: body.seed ?? Math.floor(Math.random() * 2 ** 31),
    alternatives: body.top_logprobs ?? 0,
  };
}

/** An error in OpenAI's shape. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string | null = null,
    readonly param: string | null = null,
  ) {
    super(message);
  }

  get body(): object {
    const type = this.status >= 500 ? 'server_error' : 'invalid_request_error';
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

/** @throws ApiError naming the field */
export function parseCompletion(body: unknown): Completion {
  const parsed = completionSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const param = issue.path.join('.');
  throw new ApiError(400, `${param || 'The body'}: ${issue.message}`, null, param || null);
}

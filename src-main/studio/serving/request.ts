import { z } from 'zod';
import type { ChatMessage } from '../../models/types.ts';

const part = z.looseObject({ type: z.literal('text'), text: z.string() });
const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.union([z.string(), z.array(part)]),
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
    tools: unsupported('calling tools'),
    functions: unsupported('calling functions'),
    response_format: z.looseObject({ type: z.literal('text', 'only text is answered') }).nullish(),
  })
  .refine(({ logprobs, top_logprobs: top }) => logprobs || top == null, {
    path: ['top_logprobs'],
    error: 'is for requests with logprobs: true',
  });
export type Completion = z.infer<typeof completionSchema>;

/** Tokens of an answer where the request says nothing. */
const DEFAULT_TOKENS = 1_024;

export function messagesOf({ messages }: Completion): ChatMessage[] {
  return messages.map(({ role, content }) => ({
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : content.map(({ text }) => text).join(''),
  }));
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

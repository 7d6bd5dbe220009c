import { z } from 'zod';
import { RowRefusal } from '../../data/field-text.ts';
import { readList, readMessages } from '../../data/messages.ts';
import type { SeenConversation } from '../stage/types.ts';

const part = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text'), text: z.string() }),
  z.looseObject({ type: z.literal('image_url'), image_url: z.union([z.string(), z.looseObject({ url: z.string() })]) }),
]);
type Part = z.infer<typeof part>;
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

/** Pictures that one request is about. */
const MOST_PICTURES = 32;
const KINDS = ['image/png', 'image/jpeg', 'image/jpg', 'image/webp'];
/** Of a request without its pictures. */
const MOST_TEXT_BYTES = 4 << 20;

/** Tokens of an answer where the request says nothing. */
const DEFAULT_TOKENS = 1_024;

/**
 * What a request asks, read as a dataset's row would be, and its pictures.
 * @throws ApiError for messages that say nothing, and for pictures that lie elsewhere or are asked about by no user
 */
export function conversationOf({ messages, tools, tool_choice: choice, documents }: Completion): SeenConversation {
  const pictures: { name: string; bytes: Uint8Array }[] = [];
  const seen = messages.map(({ role, content }, at) =>
    Array.isArray(content) && content.some(isPicture)
      ? content.map((one, i) => {
          if (!isPicture(one)) return one;
          const name = `picture ${pictures.length + 1}`;
          pictures.push({ name, bytes: pictureIn(one, role, `messages.${at}.content.${i}.image_url`) });
          return { type: 'image' };
        })
      : undefined,
  );
  if (pictures.length > MOST_PICTURES)
    throw new ApiError(400, `messages: they have ${pictures.length} pictures; ${MOST_PICTURES} at most are looked at`, null, 'messages'); // prettier-ignore
  // Nothing of it is learned, so that an earlier answer may be empty.
  const told = messages.map(({ content, ...message }) => ({
    ...message,
    content: Array.isArray(content) ? content.filter((one) => !isPicture(one)) : content,
    weight: 0,
  }));
  try {
    return {
      messages: readMessages(told, 'messages').map((message, at) => (seen[at] ? { ...message, content: seen[at] } : message)), // prettier-ignore
      pictures,
      tools: choice === 'none' ? undefined : readList(tools, 'tools'),
      documents: readList(documents, 'documents'),
    };
  } catch (error) {
    if (error instanceof RowRefusal) throw new ApiError(400, `messages: ${error.message}`, null, 'messages');
    throw error;
  }
}

const isPicture = (one: Part) => one.type === 'image_url';

/** The bytes of a picture that stands in the request itself. @throws ApiError where it doesn't */
function pictureIn({ image_url: given }: Extract<Part, { type: 'image_url' }>, role: string, place: string): Buffer {
  const refuse = (why: string): never => {
    throw new ApiError(400, `${place}: ${why}`, null, place);
  };
  if (role !== 'user') refuse(`a message of the role "${role}" holds a picture; users alone show pictures`);
  const url = typeof given === 'string' ? given : given.url;
  const [, kind] = /^data:([^,]{0,100}?);base64,/.exec(url.slice(0, 120)) ?? [];
  if (kind === undefined)
    refuse(`the picture is at ${url.slice(0, 80)}, and nothing is fetched or read from here; send it as a data URL (data:image/png;base64,…)`); // prettier-ignore
  if (!KINDS.includes(kind!.toLowerCase()))
    refuse(`it is of the kind ${kind}; PNG, JPEG and WebP are read (data:image/png;base64,…)`);
  const data = url.slice(url.indexOf(',') + 1);
  const bytes = Buffer.from(data, 'base64');
  // What is no base64 is passed over in silence.
  if (bytes.length === 0 || bytes.length !== Buffer.byteLength(data, 'base64')) refuse('its data is not base64');
  return bytes;
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
  if (parsed.success) {
    const text = JSON.stringify(body, (key, value: unknown) => (key === 'image_url' ? undefined : value));
    if (text.length <= MOST_TEXT_BYTES) return parsed.data;
    throw new ApiError(413, `The request has more than ${MOST_TEXT_BYTES} bytes besides its pictures`);
  }
  const issue = parsed.error.issues[0]!;
  const param = issue.path.join('.');
  throw new ApiError(400, `${param || 'The body'}: ${issue.message}`, null, param || null);
}

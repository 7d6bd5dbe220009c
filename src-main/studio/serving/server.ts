import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import Fastify from 'fastify';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { UserError } from '../../engine/types.ts';
import type { OnModel, TokenOnStage } from '../stage/types.ts';
import { answerParts, type AnswerPart, type ModelProcess } from './answer.ts';
import { logprobsOf } from './logprobs.ts';
import { judge } from './guard.ts';
import { ApiError, parseCompletion, type Completion } from './request.ts';

export interface ServeOptions {
  stage: ModelProcess;
  /** the base model that stays loaded */
  on: OnModel;
  /** what the base model is called in `model` */
  baseName: string;
  /** adapters' folders by the name they are called by in `model` */
  adapters: ReadonlyMap<string, string>;
  /** what clients have to give as API key */
  key: string;
  /** address to listen on */
  host: string;
  /** 0 takes a free one */
  port: number;
}

export interface ModelServer {
  /** base URL for clients, `http://…/v1` */
  url: string;
  close(): Promise<void>;
}

/** With its pictures, in base64. */
const MAX_BODY_BYTES = 32 << 20;
/** A request has to be there by then, ms: its headers, and all of it. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 60_000;
/** Requests answered or waiting; the model takes one at a time. */
const MAX_REQUESTS = 32;
/** Of all of them together, with their pictures. */
const MAX_HELD_BYTES = 8 * MAX_BODY_BYTES;

/** Serves a base model and adapters on it in OpenAI's form: /v1/chat/completions, streamed or whole, and /v1/models. */
export async function serveModel(options: ServeOptions): Promise<ModelServer> {
  const { host, key } = options;
  const app = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    requestTimeout: REQUEST_MS,
    http: { headersTimeout: HEADERS_MS, connectionsCheckingInterval: 1_000 },
  });
  app.addHook('onRequest', async (request) => judge(request.raw, key));
  app.setErrorHandler((error, _, reply) => {
    const known = apiError(error);
    if (known.status >= 500) console.error(error);
    return reply.code(known.status).send(known.body);
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new ApiError(404, `There is no ${request.method} ${request.url.slice(0, 200)} here`, 'not_found');
    return reply.code(404).send(error.body);
  });
  models(app, options);
  completions(app, options);
  await app.listen({ host, port: options.port });
  const address = app.server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const shown = host.includes(':') ? `[${host}]` : host;
  return { url: `http://${shown}:${port}/v1`, close: () => app.close() };
}

function apiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof UserError) return new ApiError(400, error.message);
  const { statusCode, message } = error as { statusCode?: number; message: string };
  if (statusCode === 413) return new ApiError(413, `The request is larger than ${MAX_BODY_BYTES} bytes`);
  if (statusCode !== undefined && statusCode < 500) return new ApiError(statusCode, message);
  return new ApiError(500, 'Something went wrong while answering; the terminal of the server says what');
}

function models(app: FastifyInstance, { baseName, adapters }: ServeOptions): void {
  const created = Math.floor(Date.now() / 1000);
  const list = [baseName, ...adapters.keys()].map((id) => ({ id, object: 'model', created, owned_by: 'effilora' }));
  app.get('/v1/models', async () => ({ object: 'list', data: list }));
  app.get<{ Params: { id: string } }>('/v1/models/:id', async ({ params }) => {
    const found = list.find(({ id }) => id === params.id);
    if (!found) throw unknownModel(params.id, list.map(({ id }) => id)); // prettier-ignore
    return found;
  });
}

const unknownModel = (model: string, known: string[]) =>
  new ApiError(404, `There is no model "${model}" here; there are ${known.join(', ')}`, 'model_not_found', 'model');

function completions(app: FastifyInstance, options: ServeOptions): void {
  const { stage, on, baseName, adapters } = options;
  let [requests, held] = [0, 0];
  app.post('/v1/chat/completions', async (request, reply) => {
    const body = parseCompletion(request.body);
    const folder = adapters.get(body.model);
    if (folder === undefined && body.model !== baseName) throw unknownModel(body.model, [baseName, ...adapters.keys()]);
    if (requests >= MAX_REQUESTS)
      throw new ApiError(429, `${requests} requests are waiting already; try again later`, 'rate_limit_exceeded');
    const bytes = Number(request.headers['content-length'] ?? MAX_BODY_BYTES);
    if (held + bytes > MAX_HELD_BYTES)
      throw new ApiError(429, 'The requests that wait hold many pictures already; try again later', 'rate_limit_exceeded'); // prettier-ignore
    requests += 1;
    held += bytes;
    const gone = new AbortController();
    reply.raw.once('close', () => {
      requests -= 1;
      held -= bytes;
      gone.abort();
    });
    const parts = answerParts(stage, on, folder, body, gone.signal);
    const first = await parts.next();
    if (first.done || first.value.kind !== 'begin') throw new ApiError(499, 'The client is gone');
    const about = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: body.model };
    const { promptTokens } = first.value;
    if (body.stream) return streamed(reply, parts, body, promptTokens, about);
    return whole(parts, body, promptTokens, about);
  });
}

interface About {
  id: string;
  created: number;
  model: string;
}

const usage = (prompt: number, completion: number) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
});

async function whole(
  parts: AsyncIterable<AnswerPart>,
  body: Completion,
  promptTokens: number,
  about: About,
): Promise<object> {
  let content = '';
  const tokens: TokenOnStage[] = [];
  for await (const part of parts) {
    if (part.kind === 'text') {
      content += part.text;
      tokens.push(...part.tokens);
    }
    if (part.kind !== 'end') continue;
    const message = { role: 'assistant', content, refusal: null };
    const logprobs = body.logprobs ? logprobsOf(tokens) : null;
    const choices = [{ index: 0, message, logprobs, finish_reason: part.reason }];
    return { ...about, object: 'chat.completion', choices, usage: usage(promptTokens, part.tokens) };
  }
  throw new ApiError(499, 'The client is gone');
}

/** Server-sent events; where the client goes, the stream is destroyed and with it the generation. */
function streamed(
  reply: FastifyReply,
  parts: AsyncIterable<AnswerPart>,
  body: Completion,
  promptTokens: number,
  about: About,
): FastifyReply {
  const event = (value: object | string) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
  const chunk = (delta: object, reason: string | null = null, logprobs: object | null = null) =>
    event({
      ...about,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, logprobs, finish_reason: reason }],
    });
  async function* events(): AsyncGenerator<string> {
    yield chunk({ role: 'assistant', content: '' });
    try {
      for await (const part of parts) {
        if (part.kind === 'text')
          yield chunk({ content: part.text }, null, body.logprobs ? logprobsOf(part.tokens) : null);
        if (part.kind !== 'end') continue;
        yield chunk({}, part.reason);
        if (body.stream_options?.include_usage)
          yield event({
            ...about,
            object: 'chat.completion.chunk',
            choices: [],
            usage: usage(promptTokens, part.tokens),
          });
      }
      yield event('[DONE]');
    } catch (error) {
      // The status is out already: OpenAI's clients take an error from an event, too.
      yield event(apiError(error).body);
    }
  }
  reply.header('content-type', 'text/event-stream; charset=utf-8').header('cache-control', 'no-cache');
  return reply.send(Readable.from(events()));
}

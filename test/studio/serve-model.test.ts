import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { DEFAULT_MODEL, ensureDefaultModel } from '../../src-main/models/default-model.ts';
import { answer } from '../../src-main/models/answer.ts';
import { openForRunning } from '../../src-main/trainer/opened-model.ts';
import { StopText } from '../../src-main/studio/serving/stop-text.ts';
import { serveModel, type ModelServer } from '../../src-main/studio/serving/server.ts';
import type { ModelProcess } from '../../src-main/studio/serving/answer.ts';
import { builtProcess } from '../support/built.ts';
import { temporary } from '../trainer/support.ts';
import { writeRandomAdapter } from '../exports/support.ts';

const BASE = path.basename(DEFAULT_MODEL.file, '.gguf');
const messages = [{ role: 'user' as const, content: 'Name the days of the week.' }];
const question = { prompt: messages[0]!.content, maxTokens: 12, temperature: 0 };

describe('effilora serve-model', () => {
  let child: ChildProcess;
  let client: OpenAI;
  let url: string;
  const expected: Record<string, string> = {};

  beforeAll(async () => {
    await openEngine('tensorflow');
    const model = await ensureDefaultModel(() => {});
    const adapter = await writeRandomAdapter(
      path.join(temporary('serve'), 'adapter'),
      model,
      {},
      { B: 0.5, router: 2 },
    );
    for (const [name, place] of [[BASE], ['tuned', adapter]] as const) {
      const opened = await openForRunning({ model, adapter: place, engine: 'tensorflow' }, () => {});
      expected[name] = '';
      for await (const { text } of answer(opened, question)) expected[name] += text;
      await opened.close();
    }
    const args = ['serve-model', '--model', model, '--adapter', `tuned=${adapter}`, '--port', '0', '--json'];
    child = spawn(process.execPath, [builtProcess('effilora.js'), ...args, '--engine', 'tensorflow'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, EFFILORA_DATA: temporary('serve-data') },
    });
    const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
    const { token, ...served } = JSON.parse(line) as { url: string; token: string };
    ({ url } = served);
    client = new OpenAI({ baseURL: url, apiKey: token, maxRetries: 0 });
  });
  afterAll(async () => {
    child.kill('SIGTERM');
    await once(child, 'exit');
  });

  it('lists the base model and the adapters', async () => {
    const ids = [];
    for await (const { id } of client.models.list()) ids.push(id);
    expect(ids).toEqual([BASE, 'tuned']);
    expect(await client.models.retrieve('tuned')).toMatchObject({ id: 'tuned', object: 'model' });
  });

  it.each([BASE, 'tuned'])('answers as %s what the model answers, whole and streamed', async (model) => {
    const request = { model, messages, max_tokens: 12, temperature: 0 };
    const whole = await client.chat.completions.create(request);
    expect(whole.choices[0]!.message.content).toBe(expected[model]);
    const streamed = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let chunks = 0;
    let finish: string | null = null;
    let usage;
    for await (const chunk of streamed) {
      text += chunk.choices[0]?.delta.content ?? '';
      if (chunk.choices[0]?.delta.content) chunks++;
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(expected[model]);
    expect(chunks).toBeGreaterThan(1);
    expect(finish).toBe(whole.choices[0]!.finish_reason);
    expect(usage).toEqual(whole.usage);
  });

  it('the adapter answers otherwise than the base model', () => {
    expect(expected.tuned).not.toBe(expected[BASE]);
  });

  it('gives the probabilities of its tokens and of what else was likely, whole and streamed', async () => {
    const request = { model: BASE, messages, max_tokens: 12, temperature: 0, logprobs: true, top_logprobs: 3 };
    const { choices } = await client.chat.completions.create(request);
    const tokens = choices[0]!.logprobs!.content!;
    expect(tokens.map(({ token }) => token).join('')).toBe(expected[BASE]);
    for (const { token, logprob, bytes, top_logprobs: top } of tokens) {
      expect(Buffer.from(bytes!).toString()).toBe(token);
      // At temperature 0 the token is the likeliest one.
      expect(top[0]).toMatchObject({ token, logprob });
      expect(top.map((other) => other.logprob)).toEqual(top.map((other) => other.logprob).sort((a, b) => b - a));
      expect(top).toHaveLength(3);
      expect(top.reduce((sum, other) => sum + Math.exp(other.logprob), 0)).toBeLessThanOrEqual(1 + 1e-6);
    }
    const streamed = [];
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
      streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
    expect(streamed).toEqual(tokens);
  });

  it('ends before a stop sequence', async () => {
    const stop = expected[BASE]!.slice(6, 9);
    const answered = await client.chat.completions.create({
      model: BASE,
      messages,
      max_tokens: 12,
      temperature: 0,
      stop,
    });
    expect(answered.choices[0]).toMatchObject({ finish_reason: 'stop' });
    expect(answered.choices[0]!.message.content).toBe(expected[BASE]!.split(stop)[0]);
  });

  it('goes on to the next request when a client goes in the middle of a long one', async () => {
    const long = await client.chat.completions.create({
      model: BASE,
      messages,
      max_tokens: 5_000,
      temperature: 1,
      stream: true,
    });
    const came: number[] = [];
    for await (const chunk of long) {
      if (chunk.choices[0]?.delta.content) came.push(performance.now());
      if (came.length === 10) break;
    }
    const next = await client.chat.completions.create({ model: BASE, messages, max_tokens: 2, temperature: 0 });
    expect(next.usage?.completion_tokens).toBe(2);
    // Long before the 5,000 tokens would have come, at the pace of the first ones.
    const pace = (came.at(-1)! - came[0]!) / (came.length - 1);
    expect(performance.now() - came[0]!).toBeLessThan(2_500 * pace);
  });

  it('says what is wrong in the shape the client knows', async () => {
    const wrong = (changes: object) =>
      client.chat.completions.create({ model: BASE, messages, ...changes }).then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(await wrong({ model: 'gpt-5' })).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
    expect(await wrong({ temperature: 9 })).toMatchObject({ status: 400, param: 'temperature' });
    expect(await wrong({ top_logprobs: 2 })).toMatchObject({ status: 400, param: 'top_logprobs' });
    expect(await wrong({ n: 2 })).toMatchObject({ status: 400, param: 'n' });
    expect(await wrong({ messages: [] })).toBeInstanceOf(OpenAI.BadRequestError);
    const words = 'word '.repeat(20_000);
    expect(await wrong({ messages: [{ role: 'user', content: words }] })).toMatchObject({
      status: 400,
      message: expect.stringMatching(/prompt has \d+ tokens, the model's context holds/) as string,
    });
    const response = await fetch(`${url}/chat/completions`, { method: 'POST', body: '{', headers: { 'content-type': 'application/json', authorization: `Bearer ${client.apiKey}` } }); // prettier-ignore
    expect(response.status).toBe(400);
  });
});

describe('the endpoint', () => {
  /** A model that says "la" until it is stopped. */
  const cancelled: number[] = [];
  const stage: ModelProcess = {
    async *run(_, { sampling }, signal) {
      yield { kind: 'ready', column: 0, milliseconds: 0, promptTokens: 3 };
      for (let count = 1; count <= sampling.maxTokens; count++) {
        if (signal?.aborted) return void cancelled.push(count);
        yield { kind: 'token', column: 0, piece: 'la', text: 'la', probability: 1, top: [] };
        await new Promise((resolve) => setImmediate(resolve));
      }
      yield { kind: 'done', column: 0, tokens: sampling.maxTokens, seconds: 0, reason: 'length' };
    },
  };
  const options = {
    stage,
    on: { model: 'm', engine: 'cpu' as const },
    baseName: 'm',
    adapters: new Map<string, string>(),
    key: 'the-key',
    port: 0,
  };
  const servers: ModelServer[] = [];
  const open = async (host: string) => {
    const server = await serveModel({ ...options, host });
    servers.push(server);
    return server;
  };
  afterAll(() => Promise.all(servers.map((server) => server.close())));

  const status = (url: string, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) =>
      http.get(`${url}/models`, { headers }, (response) => resolve(response.resume().statusCode!)).on('error', reject),
    );

  it('asks for its key on this machine, too, under whatever name, and answers no page of another site', async () => {
    for (const host of ['127.0.0.1', '0.0.0.0']) {
      const { url } = await open(host);
      const here = url.replace('0.0.0.0', '127.0.0.1');
      const authorization = 'Bearer the-key';
      expect(await status(here, {})).toBe(401);
      expect(await status(here, { authorization: 'Bearer wrong' })).toBe(401);
      expect(await status(here, { authorization })).toBe(200);
      // A tunnel's name, and one made to point here, whose page has no key.
      expect(await status(here, { authorization, host: 'box.tunnel.example' })).toBe(200);
      expect(await status(here, { host: 'evil.example', origin: 'http://evil.example' })).toBe(401);
      expect(await status(here, { authorization, origin: 'https://evil.example' })).toBe(403);
      const client = new OpenAI({ baseURL: here, apiKey: 'wrong', maxRetries: 0 });
      await expect(client.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    }
  });

  it('stops generating when the client is gone, and takes no more than it can hold', async () => {
    const { url } = await open('127.0.0.1');
    const client = new OpenAI({ baseURL: url, apiKey: 'the-key', maxRetries: 0 });
    const request = { model: 'm', messages, max_tokens: 100_000, stream: true as const };
    const streams = await Promise.all(Array.from({ length: 32 }, () => client.chat.completions.create(request)));
    await expect(client.chat.completions.create(request)).rejects.toBeInstanceOf(OpenAI.RateLimitError);
    for (const stream of streams) stream.controller.abort();
    await expect.poll(() => cancelled.length).toBe(32);
    const after = await client.chat.completions.create({ model: 'm', messages, max_tokens: 3 });
    expect(after.choices[0]!.message.content).toBe('lalala');
    expect(after.usage).toEqual({ prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 });
  });

  it('refuses a body that is too large', async () => {
    const { url } = await open('127.0.0.1');
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x'.repeat(33 << 20) }] });
    const response = await fetch(`${url}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer the-key' },
      body,
    });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
  });
});

describe('stop sequences', () => {
  it('never come out, however the text is cut', () => {
    const text = 'one two thr three END four';
    for (let size = 1; size < text.length; size++) {
      const stops = new StopText(['three END', 'five']);
      let out = '';
      for (let at = 0; at < text.length; at += size) out += stops.push(text.slice(at, at + size));
      expect(out + stops.end()).toBe('one two thr ');
      expect(stops.stopped).toBe(true);
    }
    const none = new StopText(['zzz']);
    expect(none.push('pizz') + none.push('a') + none.push('z') + none.end()).toBe('pizzaz');
  });
});

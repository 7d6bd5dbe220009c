import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent } from '../../src-preload/contract/index.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { loadCausalLM } from '../../src-main/models/causal-lm.ts';
import { generate } from '../../src-main/models/generate.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { adapterOnModel, readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { TINY_MODEL } from '../trainer/support.ts';
import { openTestStudio, player } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
const model = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
let open: ReturnType<typeof openTestStudio>;
let strong: string;

beforeAll(async () => {
  open = openTestStudio(scratch.folder, player(1, 1));
  await open.client.settings.set({ engine: 'wasm' });
  await writeRandomAdapter(join(scratch.folder, 'strong'), model, { strength: 4 });
  strong = (await open.client.adapters.import({ path: join(scratch.folder, 'strong'), model })).id;
});
afterAll(async () => {
  await open.studio.close();
  scratch.remove();
});

const messages = [{ role: 'user' as const, content: 'hello' }];
const greedy = { maxTokens: 12, temperature: 0 };
type Asked = Parameters<typeof open.client.playground.generate>[0];

async function answers(asked: Partial<Asked> & Pick<Asked, 'columns'>, signal?: AbortSignal): Promise<GenerateEvent[]> {
  const events = [];
  const request = { model, sampling: greedy, ...asked };
  for await (const event of await open.client.playground.generate(request, { signal })) events.push(event);
  return events;
}
const textOf = (events: GenerateEvent[], column: number) =>
  events.map((event) => (event.kind === 'token' && event.column === column ? event.text : '')).join('');

/** What the base model, or an adapter on it, says without the studio. */
async function said(prompt: string, folder?: string): Promise<string> {
  await openEngine('wasm');
  const file = await openTextModel(model);
  const lm = await loadCausalLM(file);
  const adaptation = folder === undefined ? undefined : adapterOnModel(await readAdapter(folder), lm, folder);
  let text = '';
  const ids = file.tokenizer!.encode(prompt);
  for await (const { id } of generate(lm, ids, { maxTokens: 12, adaptation })) text += file.tokenizer!.decode([id]);
  await file.close();
  return text;
}

describe('playground', () => {
  it('answers side by side as base model and adapter do alone, with probabilities and alternatives', async () => {
    const events = await answers({
      columns: [
        { adapter: null, messages },
        { adapter: strong, messages },
      ],
    });
    const prompt = '<|begin|><|user|>hello<|end|><|assistant|>';
    expect(textOf(events, 0)).toBe(await said(prompt));
    expect(textOf(events, 1)).toBe(await said(prompt, join(scratch.folder, 'strong')));
    expect(textOf(events, 0)).not.toBe(textOf(events, 1));
    const tokens = events.filter((event) => event.kind === 'token');
    for (const { probability, top } of tokens) {
      expect(top).toHaveLength(5);
      // Greedy: the token is the likeliest one.
      expect(top[0]!.probability).toBe(probability);
      expect(top.reduce((sum, one) => sum + one.probability, 0)).toBeLessThanOrEqual(1);
    }
    const ends = events.filter((event) => event.kind === 'done');
    expect(ends.map(({ column }) => column).sort()).toEqual([0, 1]);
    for (const end of ends) expect(end.tokens).toBe(tokens.filter(({ column }) => column === end.column).length);
  });

  it('draws the same again with the same seed, and something else with another', async () => {
    const columns = [{ adapter: null, messages }];
    const drawn = async (seed: number) =>
      textOf(await answers({ columns, sampling: { maxTokens: 20, temperature: 1.5, seed } }), 0);
    const first = await drawn(1);
    expect(await drawn(1)).toBe(first);
    expect(await drawn(2)).not.toBe(first);
  });

  it('stops when it is told to, and answers the next prompt at once', async () => {
    const stop = new AbortController();
    const columns = [{ adapter: strong, messages }];
    let seen = 0;
    const sampling = { maxTokens: 400, temperature: 1.5 };
    const request = { model, columns, sampling };
    await (async () => {
      for await (const event of await open.client.playground.generate(request, { signal: stop.signal }))
        if (event.kind === 'token' && ++seen === 3) stop.abort();
    })().catch(() => undefined);
    expect(seen).toBeLessThan(10);
    expect((await answers({ columns })).at(-1)!.kind).toBe('done');
  });

  it('shows the template and takes another one', async () => {
    const asked = { model, adapter: null, messages: [{ role: 'system' as const, content: 'Be short' }, ...messages] };
    const own = await open.client.playground.prompt(asked);
    expect(own.source).toContain('add_generation_prompt');
    expect(own.prompt).toBe('<|begin|>[Be short]\n<|user|>hello<|end|><|assistant|>');
    const template = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:';
    expect((await open.client.playground.prompt({ ...asked, template })).prompt).toBe(
      'system: Be short\nuser: hello\nassistant:',
    );
    await expect(open.client.playground.prompt({ ...asked, template: '{% for %}' })).rejects.toThrow(
      /chat template can't be read/,
    );
  });

  it('refuses adapters of two base models side by side in one sentence', async () => {
    const other = join(scratch.folder, 'other-model');
    cpSync(TINY_MODEL, other, { recursive: true });
    await writeRandomAdapter(join(scratch.folder, 'foreign'), other);
    const { id } = await open.client.adapters.import({ path: join(scratch.folder, 'foreign'), model: other });
    const columns = [strong, id].map((adapter) => ({ adapter, messages }));
    await expect(answers({ columns })).rejects.toThrow(/"strong" was made for tiny-chat and "foreign" for other-model/);
  });

  it('keeps conversations, the newest first', async () => {
    const conversation = {
      ...{ model, columns: [{ adapter: strong, name: 'strong' }], system: '', template: null, sampling: {} },
      turns: [{ prompt: 'hello', answers: [{ text: 'hi', tokens: 1, seconds: 0.1 }] }],
    };
    const { id } = await open.client.playground.keepChat({ title: 'First', conversation });
    await open.client.playground.keepChat({ title: 'Second', conversation });
    await open.client.playground.keepChat({ id, title: 'First, longer', conversation });
    expect((await open.client.playground.chats()).map(({ title }) => title)).toEqual(['First, longer', 'Second']);
    expect((await open.client.playground.chat({ id })).conversation.turns).toEqual(conversation.turns);
    await open.client.playground.removeChat({ id });
    await expect(open.client.playground.chat({ id })).rejects.toThrow(/was deleted/);
  });
});

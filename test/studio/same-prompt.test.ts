import fs from 'node:fs';
import path from 'node:path';
import OpenAI from 'openai';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { languageOf } from '../../src-main/models/conversant.ts';
import type { GenerateOptions } from '../../src-main/models/generate.ts';
import { openDataset, type PreparedExample } from '../../src-main/data/dataset.ts';
import { serveModel } from '../../src-main/studio/serving/server.ts';
import type { ModelProcess } from '../../src-main/studio/serving/answer.ts';
import { generateJob, templateJob } from '../../src-main/studio/stage/generate.ts';
import type { GenerateEvent, TemplateEvent } from '../../src-main/studio/stage/types.ts';
import { answer } from '../../src-main/models/answer.ts';
import { openForRunning, type OpenedModel } from '../../src-main/trainer/opened-model.ts';
import { readingOptions } from '../../src-main/data/reading-options.ts';
import { language } from '../../src-main/tasks/language/index.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { temporary } from '../trainer/support.ts';

/** What the model was asked, and what ends its answer, by every door that comes to it. */
const asked = vi.hoisted(() => [] as { ids: number[]; stop: number[] }[]);
vi.mock('../../src-main/models/generate.ts', () => ({
  async *generate(_: unknown, ids: ArrayLike<number>, { stop }: GenerateOptions) {
    asked.push({ ids: Array.from(ids), stop: [...(stop ?? [])].sort((a, b) => a - b) });
  },
}));

const TEMPLATE = `{% if tools %}<|begin|>{{ tools | tojson }}{% endif %}{% for m in messages %}<|{{ m.role }}|>{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}<|stop|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`; // prettier-ignore
const QUESTION = 'Why is  it so?';
const TOOLS = [{ type: 'function' as const, function: { name: 'now', description: 'the time', parameters: {} } }];
const CALLED = [
  { role: 'system' as const, content: 'Be brief.' },
  { role: 'user' as const, content: QUESTION },
  { role: 'assistant' as const, content: null, reasoning_content: 'Hm.', tool_calls: [{ id: 'c1', type: 'function' as const, function: { name: 'now', arguments: '{"at": 1}' } }] }, // prettier-ignore
  { role: 'tool' as const, tool_call_id: 'c1', content: '12:00' },
];

async function promptOf({ file }: OpenedModel, row: object): Promise<{ ids: number[]; example: PreparedExample }> {
  const data = path.join(temporary('same-prompt'), 'data.jsonl');
  fs.writeFileSync(data, `${JSON.stringify(row)}\n`);
  const { examples, close } = await openDataset({ path: data }, 0, readingOptions(file));
  const [example] = [...examples];
  close();
  const { inputIds, labels } = example!;
  return {
    ids: [...inputIds.slice(0, labels.lastIndexOf(-100) + 1)],
    example: example!,
  };
}

/** What OpenAI's client makes the endpoint ask the model. */
async function endpoint(model: string, request: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>): Promise<void> {
  const stage: ModelProcess = {
    async *run(_, job) {
      const events: GenerateEvent[] = [];
      await generateJob(job, { tell: (event) => events.push(event), signal: new AbortController().signal });
      yield* events;
    },
  };
  const on = { model, engine: 'cpu' as const };
  const server = await serveModel({ stage, on, baseName: 'm', adapters: new Map(), key: 'k', host: '127.0.0.1', port: 0 }); // prettier-ignore
  try {
    const client = new OpenAI({ baseURL: server.url, apiKey: 'k', maxRetries: 0 });
    await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: QUESTION }], ...request });
  } finally {
    await server.close();
  }
}

describe.each(['with a template', 'without one'])('what a model is asked, %s', (which) => {
  let folder: string;
  let opened: OpenedModel;
  beforeAll(async () => {
    await openEngine('cpu');
    folder = writeTinyChatModel(path.join(temporary('same-prompt-model'), 'm'));
    const template = path.join(folder, 'chat_template.jinja');
    if (which === 'without one') fs.rmSync(template);
    else fs.writeFileSync(template, TEMPLATE);
    opened = await openForRunning({ model: folder, engine: 'cpu' }, () => {});
  });
  beforeEach(() => void (asked.length = 0));

  it('is the same in training, evaluation, samples, playground, endpoint and command line', async () => {
    const { ids, example } = await promptOf(opened, { prompt: [{ role: 'user', content: QUESTION }], completion: [{ role: 'assistant', content: 'So.' }] }); // prettier-ignore
    expect(ids.length).toBeGreaterThan(5);
    const samples = language.samples(opened.file, [example], { samples: 1 });
    await samples.answer(1, languageOf(opened.model), undefined as never);
    for await (const piece of answer(opened, { prompt: QUESTION, maxTokens: 1 })) void piece;
    const sampling = { maxTokens: 1, temperature: 0, topP: 1, topK: 0, seed: 0, alternatives: 0 };
    const messages = [{ role: 'user', content: QUESTION }];
    const job = { model: folder, engine: 'cpu' as const, columns: [{ messages }], sampling };
    await generateJob(job, { tell: () => {}, signal: new AbortController().signal });
    await endpoint(folder, {});
    expect(asked.map((one) => one.ids)).toEqual([ids, ids, ids, ids]);
    expect(new Set(asked.map((one) => String(one.stop))).size).toBe(1);
    let shown: TemplateEvent | undefined;
    await templateJob({ ...job, messages }, { tell: (event) => (shown = event), signal: new AbortController().signal });
    expect(shown).toMatchObject({ kind: 'template', tokens: ids.length });
  });

  // Without a template there is no place for them.
  if (which === 'with a template')
    it('holds tools, calls, their results and thoughts, as in training', async () => {
      const { ids } = await promptOf(opened, { messages: [...CALLED, { role: 'assistant', content: 'Noon.' }], tools: TOOLS }); // prettier-ignore
      await endpoint(folder, { messages: CALLED, tools: TOOLS, tool_choice: 'auto' });
      await endpoint(folder, { messages: CALLED, tools: TOOLS, tool_choice: 'none' });
      expect(asked[0]!.ids).toEqual(ids);
      const text = opened.file.tokenizer!.decode(ids);
      for (const part of ['"name": "now"', '(Hm.)', 'now{"at": 1}', '12:00']) expect(text).toContain(part);
      expect(opened.file.tokenizer!.decode(asked[1]!.ids)).not.toContain('the time');
    });

  it('is refused by name where it can’t be said', async () => {
    const refused = (request: object) => expect(endpoint(folder, request)).rejects.toBeInstanceOf(OpenAI.BadRequestError); // prettier-ignore
    await refused({ messages: [{ role: 'user' }] });
    await refused({ tools: TOOLS, tool_choice: 'required' });
    if (which === 'without one') await refused({ tools: TOOLS });
    expect(asked).toEqual([]);
  });
});

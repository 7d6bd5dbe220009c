import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { exportAdapter } from '../../src-main/exports/export-adapter.ts';
import { ensureDefaultModel } from '../../src-main/models/default-model.ts';
import { generate } from '../../src-main/models/generate.ts';
import { promptOf } from '../../src-main/models/answer.ts';
import { languageOf } from '../../src-main/models/conversant.ts';
import { openForRunning, type OpenedModel } from '../../src-main/trainer/opened-model.ts';
import { openLlamaCpp } from '../support/llama-cpp.ts';
import { temporary } from '../trainer/support.ts';
import { writeRandomAdapter } from './support.ts';

const folder = temporary('llama-cpp');
const at = (name: string) => path.join(folder, name);

const PROMPTS = [
  [
    'What is the capital of France?',
    'Name three colours.',
    'What is 2 + 2?',
    'Who wrote Hamlet?',
    'What do bees make?',
  ],
  [
    'Say hello in Spanish.',
    'What is the opposite of hot?',
    'Name a planet.',
    'What is water made of?',
    'Count to five.',
  ],
  ['What day comes after Monday?', 'Name a fruit.', 'What is the largest ocean?', 'How many legs has a spider?'],
  ['What is the past tense of go?', 'Name a musical instrument.', 'What do cows drink?', 'What is H2O?'],
  ['Which animal barks?', 'What is the first letter of the alphabet?'],
].flat();
const TOKENS = 5;

/** Greedy answers [prompt][token] of ours. */
async function ourAnswers(opened: OpenedModel, questions = PROMPTS): Promise<number[][]> {
  const answers: number[][] = [];
  for (const prompt of questions) {
    const ids: number[] = [];
    const options = { maxTokens: TOKENS, adaptation: opened.adapter };
    const asked = await promptOf(opened.file, opened.model, { prompt, maxTokens: TOKENS });
    for await (const { id } of generate(languageOf(opened.model), asked.ids, options)) ids.push(id);
    answers.push(ids);
  }
  return answers;
}

describe('SmolLM2-135M with an adapter', () => {
  let model: string;
  let adapter: string;
  let prompts: number[][];
  let adapted: number[][];
  let plain: number[][];

  beforeAll(async () => {
    await openEngine('tensorflow');
    model = await ensureDefaultModel(() => {});
    const lora = { name: 'lora' as const, heads: 1 };
    adapter = await writeRandomAdapter(at('adapter'), model, lora, { B: 0.12, router: 0 });
    const nothing = await writeRandomAdapter(at('nothing'), model, lora, { B: 0, router: 0 });
    await exportAdapter({ adapter: nothing, to: 'merged-gguf', out: at('base'), engine: 'tensorflow' });
    await exportAdapter({ adapter, to: 'gguf', out: at('lora'), engine: 'tensorflow' });
    for (const type of ['f16', 'q8_0', 'q4_0'] as const)
      await exportAdapter({ adapter, to: 'merged-gguf', type, out: at(type), engine: 'tensorflow' });
    const opened = await openForRunning({ model, adapter, engine: 'tensorflow' }, () => {});
    const asked = PROMPTS.map((prompt) => promptOf(opened.file, opened.model, { prompt, maxTokens: TOKENS }));
    prompts = (await Promise.all(asked)).map(({ ids }) => ids);
    adapted = await ourAnswers(opened);
    plain = await ourAnswers({ ...opened, adapter: undefined }, PROMPTS.slice(0, 6));
    await opened.close();
  });
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

  /** Greedy answers of llama.cpp. */
  async function theirAnswers(
    file: string,
    { lora = undefined as string | undefined, tokens = TOKENS } = {},
  ): Promise<number[][]> {
    const judge = await openLlamaCpp(file, lora);
    const answers: number[][] = [];
    for (const prompt of prompts) answers.push(await judge.greedy(prompt, tokens));
    await judge.dispose();
    return answers;
  }

  it('answers otherwise than the base model, so that agreement means something', () => {
    const same = plain.filter((ids, i) => ids.join() === adapted[i]!.join());
    expect(same.length).toBeLessThan(plain.length / 2);
  });

  it('answers 20 prompts in llama.cpp as here: GGUF LoRA on the base model, and merged, at F16', async () => {
    expect(await theirAnswers(at('base/nothing.gguf'), { lora: at('lora/adapter.gguf') })).toEqual(adapted);
    expect(await theirAnswers(at('f16/adapter.gguf'))).toEqual(adapted);
  });

  it.each(['q8_0', 'q4_0'])('runs in llama.cpp merged at %s, its answers beginning mostly alike', async (type) => {
    const answers = await theirAnswers(at(`${type}/adapter.gguf`), { tokens: 1 });
    const alike = answers.filter((ids, i) => ids[0] === adapted[i]![0]);
    expect(alike.length).toBeGreaterThanOrEqual(type === 'q8_0' ? 18 : 12);
  });
});

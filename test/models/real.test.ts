import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import type { CausalLM } from '../../src-main/models/causal-lm.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { generate, nextLogits } from '../../src-main/models/generate.ts';
import { KeyValueCache } from '../../src-main/models/key-value-cache.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { readFloats, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import { openLlamaCpp } from '../support/llama-cpp.ts';
import { data, loadModel, wholeRow } from './support.ts';

interface Expected {
  ids: Int32Array;
  /** [4] */
  positions: Int32Array;
  /** the chosen part of the vocabulary */
  tokens: Int32Array;
  /** [4, tokens] */
  logits: Float32Array;
}

/** What transformers computes from the same file, dequantized to f32 (data/make_real.py). */
async function expectedOf(name: string): Promise<Expected[]> {
  const reader = await FileReader.open(path.join(data, `${name}-expected.safetensors`));
  const { tensors } = await readSafetensorsHeader(reader);
  const integers = async (key: string) => {
    const { offset, byteLength } = tensors.get(key)!;
    return new Int32Array((await reader.read(offset, byteLength)).buffer);
  };
  const texts = [0, 1, 2].map(async (i) => ({
    ids: await integers(`ids.${i}`),
    positions: await integers(`positions.${i}`),
    tokens: await integers(`tokens.${i}`),
    logits: await readFloats(reader, tensors.get(`logits.${i}`)!),
  }));
  const expected = await Promise.all(texts);
  await reader.close();
  return expected;
}

/** The largest difference from what transformers gives at its i-th position, as a share of its largest logit there. */
function differenceAt({ tokens, logits }: Expected, i: number, ours: Float32Array): number {
  let largest = 0;
  let difference = 0;
  tokens.forEach((token, place) => {
    const expected = logits[i * tokens.length + place]!;
    largest = Math.max(largest, Math.abs(expected));
    difference = Math.max(difference, Math.abs(ours[token]! - expected));
  });
  return difference / largest;
}

/** [tokens * vocabulary] */
async function allLogits(model: CausalLM, ids: Int32Array): Promise<Float32Array> {
  const logits = model.logits(wholeRow(ids));
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  return values;
}

const logSumExp = (values: Float32Array) => Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));

describe.each(['smollm2-135m', 'gemma3-270m'])('%s', (name) => {
  let file: string;
  let model: CausalLM;
  let texts: Expected[];
  beforeAll(async () => {
    await openEngine('tensorflow');
    file = await resolveModel(name);
    model = await loadModel(file);
    texts = await expectedOf(name);
  });
  afterAll(() => model.dispose());

  it.each([0, 1])('has the logits of transformers on text %i', async (text) => {
    const expected = texts[text]!;
    const width = model.config.vocabularySize;
    const logits = await allLogits(model, expected.ids);
    expected.positions.forEach((position, i) =>
      expect(differenceAt(expected, i, logits.subarray(position * width, (position + 1) * width))).toBeLessThan(1e-3),
    );
  });

  it('has them with a cache over a text longer than the sliding window', async () => {
    const expected = texts[2]!;
    const cache = new KeyValueCache(model.config);
    let start = 0;
    for (const [i, position] of expected.positions.entries()) {
      const ours = await nextLogits(model, cache, expected.ids.slice(start, position + 1));
      start = position + 1;
      expect(differenceAt(expected, i, ours)).toBeLessThan(1e-3);
    }
    cache.dispose();
  });

  it('predicts what llama.cpp predicts, within its quantized arithmetic', async () => {
    const { ids } = texts[0]!;
    const judge = await openLlamaCpp(file);
    const theirs = await judge.nextTokenProbabilities([...ids], 4);
    const width = model.config.vocabularySize;
    const logits = await allLogits(model, ids);
    let agreed = 0;
    let divergence = 0; // Kullback-Leibler, nats
    theirs.forEach(({ probabilities, position }) => {
      const row = logits.subarray(position * width, (position + 1) * width);
      const total = logSumExp(row);
      const [[likeliest]] = probabilities as unknown as [[number, number]];
      if (row[likeliest] === row.reduce((a, b) => Math.max(a, b))) agreed++;
      for (const [id, p] of probabilities)
        if (p > 0) divergence += (p * (Math.log(p) - row[id]! + total)) / theirs.length;
    });
    await judge.dispose();
    expect(theirs.length).toBe(12);
    expect(agreed / theirs.length).toBeGreaterThan(0.9);
    expect(divergence).toBeLessThan(0.02);
  });

  it('writes on sensibly', async () => {
    const opened = await openTextModel(file);
    const tokenizer = opened.tokenizer!;
    const prompt = tokenizer.encode('Monday, Tuesday, Wednesday, Thursday,', { addSpecialTokens: true });
    let text = '';
    for await (const { id } of generate(model, prompt, { maxTokens: 4 })) text += tokenizer.decode([id]);
    await opened.close();
    expect(text).toContain('Friday, Saturday');
  });
});

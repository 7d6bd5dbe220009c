import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { packedKernels } from '../../src-main/engine/frozen.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { integerProductComposed } from '../../src-main/engine/integer-product.ts';
import type { WrittenIn } from '../../src-main/engine/products.ts';
import type { CausalLM } from '../../src-main/models/causal-lm.ts';
import { CompiledDecoder } from '../../src-main/models/compiled-decoder.ts';
import { CompiledForward } from '../../src-main/models/compiled-forward.ts';
import { generate, nextLogits } from '../../src-main/models/generate.ts';
import { KeyValueCache } from '../../src-main/models/key-value-cache.ts';
import { resolveModel } from '../../src-main/models/open.ts';
import { openLlamaCpp } from '../support/llama-cpp.ts';
import { runPython } from '../support/python.ts';
import { temporary } from '../trainer/support.ts';
import { data, loadModel } from './support.ts';

const folder = temporary('integers');
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const TEXT =
  'The kiln stands in the room behind the workshop, where the clay dries for three days before anybody fires it. ' +
  'Bees make honey from nectar, and the honey keeps for years in a closed jar. Water boils at 100 degrees Celsius.';
const EVERY = 4;

const logSumExp = (values: Float32Array) => Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
const indexOfLargest = (values: Float32Array) => values.indexOf(values.reduce((a, b) => Math.max(a, b)));

/** Logits at every fourth position, as generation has them: three tokens in one pass, the next one alone. */
async function logitsOf(model: CausalLM, ids: number[], products: WrittenIn): Promise<Map<number, Float32Array>> {
  const decoder = new CompiledDecoder(model, CompiledForward.of(model.weights, undefined)!, ids.length, { products });
  const found = new Map<number, Float32Array>();
  for (let position = 0; position < ids.length; position += EVERY) {
    if (position > 0) await decoder.next(Int32Array.from(ids.slice(position - EVERY + 1, position)));
    found.set(position, await decoder.next(Int32Array.of(ids[position]!)));
  }
  decoder.dispose();
  return found;
}

async function greedy(model: CausalLM, ids: number[], products: WrittenIn): Promise<number[]> {
  const text: number[] = [];
  for await (const { id } of generate(model, ids, { maxTokens: 4, stop: [], products })) text.push(id);
  return text;
}

describe.each(['q4_1', 'q8_0'])('SmolLM2-135M in %s', (type) => {
  let file: string;
  let model: CausalLM;
  let judge: Awaited<ReturnType<typeof openLlamaCpp>>;
  let ids: number[];
  beforeAll(async () => {
    await openEngine('tensorflow');
    const place = await resolveModel('smollm2-135m');
    file = type === 'q4_1' ? place : path.join(folder, 'q8_0.gguf');
    if (file !== place) await runPython(fileURLToPath(new URL('../bench/quantize.py', import.meta.url)), [place, file]);
    model = await loadModel(file);
    judge = await openLlamaCpp(file);
    ids = judge.tokenize(TEXT);
  });
  afterAll(async () => {
    model.dispose();
    await judge.dispose();
  });

  // Their rounding is ours but for scales in f16, and what one rounds otherwise changes all that follows: two roundings that had nothing to do
  // with each other would be twice as far apart as f32 is from theirs.
  it("is as near to llama.cpp's probabilities in integers as in f32", async () => {
    const theirs = await judge.nextTokenProbabilities(ids, EVERY);
    const [f32, int8] = [await comparedWith(theirs, 'f32'), await comparedWith(theirs, 'int8')];
    expect(theirs.length).toBeGreaterThan(12);
    expect(int8.agreed / theirs.length).toBeGreaterThan(0.9);
    expect(int8.divergence).toBeLessThan(0.01);
    expect(int8.divergence).toBeLessThan(1.5 * f32.divergence);
  });

  /** Kullback-Leibler's divergence of ours from theirs, in nats, and where the likeliest token is the same. */
  async function comparedWith(theirs: Awaited<ReturnType<typeof judge.nextTokenProbabilities>>, products: WrittenIn) {
    const ours = await logitsOf(model, ids, products);
    let [divergence, agreed] = [0, 0];
    for (const { position, probabilities } of theirs) {
      const row = ours.get(position)!;
      const total = logSumExp(row);
      const [[likeliest]] = probabilities as unknown as [[number, number]];
      if (indexOfLargest(row) === likeliest) agreed++;
      for (const [id, p] of probabilities)
        if (p > 0) divergence += (p * (Math.log(p) - row[id]! + total)) / theirs.length;
    }
    return { divergence, agreed };
  }

  it.each(['Monday, Tuesday, Wednesday,', 'One, two, three, four,'])(
    'writes on as the composed products do: %s',
    async (prompt) => {
      const asked = judge.tokenize(prompt);
      const text = await greedy(model, asked, 'int8');
      const kernels = packedKernels()!;
      const own = vi
        .spyOn(kernels, 'integerProduct')
        .mockImplementation((x, weight, gradient) =>
          tf.tidy(() => integerProductComposed(x, kernels.unpack(weight), gradient, weight.isInBlocks)),
        );
      const cache = new KeyValueCache(model.config);
      const composed: number[] = [];
      for (let next = Int32Array.from(asked); composed.length < text.length; next = Int32Array.of(composed.at(-1)!))
        composed.push(indexOfLargest(await nextLogits(model, cache, next, { products: 'int8' })));
      cache.dispose();
      expect(own).toHaveBeenCalled();
      own.mockRestore();
      expect(text).toEqual(composed);
    },
  );

  it('writes in either, one after the other, as if the other were not there', async () => {
    const first = await logitsOf(model, ids.slice(0, 5), 'f32');
    const whole = await logitsOf(model, ids.slice(0, 5), 'int8');
    expect(await logitsOf(model, ids.slice(0, 5), 'f32')).toEqual(first);
    expect(await logitsOf(model, ids.slice(0, 5), 'int8')).toEqual(whole);
    expect(whole.get(4)).not.toEqual(first.get(4));
  });
});

it('says so where the engine has no products in integers', async () => {
  await openEngine('cpu');
  const model = await loadModel(path.join(data, 'llama-tied'));
  const text = generate(model, [1, 2, 3], { maxTokens: 1, products: 'int8' });
  await expect(text.next()).rejects.toThrow(/Answers in int8 need products in integers, .* the engine in use has not/);
  model.dispose();
});

import { noSoftwareGpu } from '../support/software-gpu.ts';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import type { EngineName } from '../../src-main/engine/types.ts';
import type { CausalLM } from '../../src-main/models/causal-lm.ts';
import { generate, nextLogits, type GeneratedToken } from '../../src-main/models/generate.ts';
import { KeyValueCache } from '../../src-main/models/key-value-cache.ts';
import type { Adaptation } from '../../src-main/models/types.ts';
import { options } from '../effilora/support.ts';
import { data, largestDifference, loadModel, wholeRow } from './support.ts';

const MODELS = ['llama-tied', 'llama-untied-no-gqa-bias', 'llama3-rope', 'mistral-window', 'qwen2', 'qwen3', 'gemma3'];

const random = randomStream(11, 'prompt');
const ids = Int32Array.from({ length: 30 }, () => Math.floor(random() * 96));

/** The logits of the last token, all of it run at once. */
async function lastLogits(model: CausalLM, tokens: Int32Array, adaptation?: Adaptation): Promise<Float32Array> {
  const logits = model.logits(wholeRow(tokens), { adaptation });
  const values = (await logits.data()).slice(-model.config.vocabularySize) as Float32Array;
  logits.dispose();
  return values;
}

/** An adapter that changes the output: B is not zero. */
function adapterOf(model: CausalLM): Adapter {
  const adapter = new Adapter(model.sites(), options({ targets: ['q_proj', 'v_proj', 'gate_proj', 'down_proj'] }), 3);
  for (const { role, variable } of adapter.trainables) {
    if (role !== 'B') continue;
    const start = tf.randomNormal<tf.Rank.R2>(variable.shape, 0, 0.3, 'float32', 9);
    variable.assign(start);
    start.dispose();
  }
  return adapter;
}

async function collect(tokens: AsyncGenerator<GeneratedToken>): Promise<GeneratedToken[]> {
  const all: GeneratedToken[] = [];
  for await (const token of tokens) all.push(token);
  return all;
}

const engines: EngineName[] = ['tensorflow', 'wasm', ...(noSoftwareGpu ? [] : ['webgpu' as const])];

describe.each(engines)('with a cache on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  // the software GPU is slow: one model with a window and one without
  const models = engine === 'webgpu' ? ['llama-tied', 'gemma3'] : MODELS;
  it.each(models)('%s decodes token by token as if all ran at once', async (name) => {
    const model = await loadModel(path.join(data, name));
    const cache = new KeyValueCache(model.config);
    // A first piece, a piece longer than the sliding window, then single tokens past it, and a piece among them.
    const pieces = [3, 12, 1, 1, 1, 9, 1, 1, 1];
    let end = 0;
    for (const piece of pieces) {
      const cached = await nextLogits(model, cache, ids.subarray(end, end + piece));
      end += piece;
      expect(largestDifference(cached, await lastLogits(model, ids.slice(0, end)))).toBeLessThan(1e-4);
    }
    cache.dispose();
    model.dispose();
  });

  it('decodes with an adapter', async () => {
    const model = await loadModel(path.join(data, 'qwen3'));
    const adapter = adapterOf(model);
    const cache = new KeyValueCache(model.config);
    await nextLogits(model, cache, ids.subarray(0, 20), { adaptation: adapter });
    const cached = await nextLogits(model, cache, ids.subarray(20, 21), { adaptation: adapter });
    const whole = await lastLogits(model, ids.slice(0, 21), adapter);
    expect(largestDifference(cached, whole)).toBeLessThan(1e-4);
    expect(largestDifference(whole, await lastLogits(model, ids.slice(0, 21)))).toBeGreaterThan(0.05);
    cache.dispose();
    adapter.dispose();
    model.dispose();
  });
});

describe('generation', () => {
  let model: CausalLM;
  beforeAll(async () => {
    await openEngine('tensorflow');
    model = await loadModel(path.join(data, 'gemma3'));
  });

  let tensors = 0;
  beforeAll(() => void (tensors = tf.memory().numTensors));
  afterEach(() => expect(tf.memory().numTensors).toBe(tensors));

  it('continues with the likeliest token, its log-probability and the next likeliest', async () => {
    const tokens = await collect(generate(model, ids, { maxTokens: 6, stop: [], alternatives: 3 }));
    expect(tokens).toHaveLength(6);
    let sequence = ids;
    for (const { id, logProbability, top } of tokens) {
      const logits = await lastLogits(model, sequence);
      const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]!);
      expect(id).toBe(order[0]);
      expect(top.map((entry) => entry.id)).toEqual(order.slice(0, 3));
      const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
      expect(logProbability).toBeCloseTo(logits[id]! - total, 3);
      sequence = Int32Array.of(...sequence, id);
    }
  });

  it('gives the same text for the same seed, another for another', async () => {
    const draw = async (seed: number) =>
      (await collect(generate(model, ids, { maxTokens: 12, stop: [], temperature: 1.5, seed }))).map(({ id }) => id);
    const first = await draw(1);
    expect(await draw(1)).toEqual(first);
    expect(await draw(2)).not.toEqual(first);
  });

  it('ends after a stop token and gives it out', async () => {
    const free = await collect(generate(model, ids, { maxTokens: 8, stop: [] }));
    const stop = free[3]!.id;
    const stopped = await collect(generate(model, ids, { maxTokens: 8, stop: [stop] }));
    expect(stopped.at(-1)!.id).toBe(stop);
    expect(stopped).toEqual(free.slice(0, free.findIndex(({ id }) => id === stop) + 1));
  });

  it("ends at the model's context", async () => {
    const long = Int32Array.from({ length: model.config.contextLength - 3 }, (_, i) => i % 96);
    expect(await collect(generate(model, long, { maxTokens: 50, stop: [] }))).toHaveLength(3);
    const full = Int32Array.from({ length: model.config.contextLength }, (_, i) => i % 96);
    await expect(collect(generate(model, full, { maxTokens: 5 }))).rejects.toThrow(/128 tokens.*shorten/);
    await expect(collect(generate(model, [], { maxTokens: 5 }))).rejects.toThrow(/no tokens/);
  });

  it('frees its cache when the loop is left, and holds no more tensors with every token', async () => {
    const held: number[] = [];
    for await (const token of generate(model, ids, { maxTokens: 20, stop: [] })) {
      held.push(tf.memory().numTensors);
      if (held.length === 10) break;
      expect(token.top).toEqual([]);
    }
    expect(new Set(held).size).toBe(1);
    expect(held[0]).toBe(tensors); // keys and values are the engine's
  });

  it('lets other events run between tokens', async () => {
    let ran = 0;
    const timer = setInterval(() => ran++, 0);
    await collect(generate(model, ids, { maxTokens: 30, stop: [] }));
    clearInterval(timer);
    expect(ran).toBeGreaterThan(1);
  });
});

import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { PackedMatrix } from '../../src-main/engine/packed.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import { batchTensors, disposeBatch, shiftedLabels } from '../../src-main/models/batch.ts';
import { loadCausalLM, type CausalLM } from '../../src-main/models/causal-lm.ts';
import { CompiledDecoder } from '../../src-main/models/compiled-decoder.ts';
import { CompiledForward } from '../../src-main/models/compiled-forward.ts';
import { generate, nextLogits } from '../../src-main/models/generate.ts';
import { KeyValueCache } from '../../src-main/models/key-value-cache.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import type { Adaptation, ModelFile, TokenBatch } from '../../src-main/models/types.ts';
import type { WeightFormat } from '../../src-main/models/weight-format.ts';
import { options } from '../effilora/support.ts';
import { compilations } from '../support/compilations.ts';
import { data, largestDifference, loadModel, wholeRow } from './support.ts';

beforeAll(async () => void (await openEngine('tensorflow')));

const random = randomStream(11, 'prompt');
const ids = Int32Array.from({ length: 60 }, () => Math.floor(random() * 96));

function decoderOf(model: CausalLM, adaptation?: Adaptation): CompiledDecoder {
  return new CompiledDecoder(model, CompiledForward.of(model.weights, adaptation)!, 512, { adaptation });
}

/** The logits of the last token, all of it run at once by eager code. */
function lastLogits(model: CausalLM, tokens: Int32Array, adaptation?: Adaptation): Float32Array {
  const logits = model.logits(wholeRow(tokens), { adaptation });
  const values = logits.dataSync().slice(-model.config.vocabularySize) as Float32Array;
  logits.dispose();
  return values;
}

/** An adapter that changes the output: B is not zero. */
function adapterOf(model: CausalLM, seed: number): Adapter {
  const adapter = new Adapter(model.sites(), options({ targets: ['q_proj', 'v_proj', 'down_proj'] }), seed);
  for (const { role, variable } of adapter.trainables) {
    if (role !== 'B') continue;
    tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 0.3, 'float32', seed)));
  }
  return adapter;
}

describe('decoding inside the engine', () => {
  it.each(['llama-untied-no-gqa-bias', 'llama-tied', 'mistral-window', 'qwen2', 'qwen3', 'gemma3'])(
    '%s gives what all tokens at once give, and compiles once for every length',
    async (name) => {
      const model = await loadModel(path.join(data, name));
      const decoder = decoderOf(model);
      let end = 0;
      const take = async (piece: number) => {
        const logits = await decoder.next(ids.subarray(end, end + piece));
        end += piece;
        expect(largestDifference(logits, lastLogits(model, ids.slice(0, end)))).toBeLessThan(1e-4);
      };
      // a first piece, a longer one past the sliding window, single tokens, one that fills a pass, the rest
      const count = await compilations(async () => {
        for (const piece of [3, 12, 1, 1, 1, 32, 1, 1]) await take(piece);
      });
      expect(count).toBe(2);
      decoder.dispose();
      model.dispose();
    },
  );

  it('swaps adapters of one structure without compiling, each with its own numbers', async () => {
    const model = await loadModel(path.join(data, 'qwen3'));
    const adapters = [adapterOf(model, 3), adapterOf(model, 4)];
    const decoders = adapters.map((adapter) => decoderOf(model, adapter));
    const check = async (which: number, from: number, to: number) => {
      const logits = await decoders[which]!.next(ids.subarray(from, to));
      const expected = lastLogits(model, ids.slice(0, to), adapters[which]);
      expect(largestDifference(logits, expected)).toBeLessThan(1e-4);
    };
    await check(0, 0, 20);
    await check(0, 20, 21);
    const count = await compilations(async () => {
      await check(1, 0, 20);
      await check(1, 20, 21);
      await check(0, 21, 22);
      await check(1, 21, 22);
    });
    expect(count).toBe(0);
    expect(largestDifference(lastLogits(model, ids, adapters[0]), lastLogits(model, ids))).toBeGreaterThan(0.05);
    for (const decoder of decoders) decoder.dispose();
    model.dispose();
    for (const adapter of adapters) adapter.dispose();
  });

  it('frees keys and values with the decoder', async () => {
    const model = await loadModel(path.join(data, 'qwen2'));
    const decoder = decoderOf(model);
    await decoder.next(ids);
    decoder.dispose();
    await expect(decoder.next(ids)).rejects.toThrow(/sequence has ended/);
    model.dispose();
  });

  it('leaves an adapter that leaves heads out to eager code', async () => {
    const model = await loadModel(path.join(data, 'qwen3'));
    const adapter = adapterOf(model, 3);
    expect(CompiledForward.of(model.weights, adapter)).toBeDefined();
    adapter.drop({ heads: new Set(['0.q_proj.1']), renormalize: true });
    expect(CompiledForward.of(model.weights, adapter)).toBeUndefined();
    const dropped: number[] = [];
    for await (const { id } of generate(model, ids, { maxTokens: 3, stop: [], adaptation: adapter })) dropped.push(id);
    const whole = lastLogits(model, ids, adapter);
    expect(dropped[0]).toBe(whole.indexOf(Math.max(...whole)));
    adapter.dispose();
    model.dispose();
  });
});

/** Two rows of packed examples of uneven length, prompts without labels. */
function packedRows(): TokenBatch {
  const [rows, length] = [2, 21];
  const segments = Int32Array.from({ length: 42 }, (_, t) => (t % length < 9 ? 0 : t % length < 18 ? 1 : -1));
  const positions = Int32Array.from({ length: 42 }, (_, t) => (t % length) % 9);
  const inputIds = ids.slice(0, 42);
  const labels = inputIds.map((id, t) => (segments[t]! < 0 || positions[t]! < 3 ? -100 : id));
  return { rows, length, inputIds, labels, positions, segments };
}

/** The same log-probabilities by eager code. */
function eagerLogProbabilities(model: CausalLM, batch: TokenBatch, adaptation?: Adaptation): Float32Array {
  const tensors = batchTensors(model.config, batch);
  const picked = model.pickedLogProbabilities(tensors, { adaptation });
  const values = picked.dataSync() as Float32Array;
  picked.dispose();
  disposeBatch(tensors);
  return values.slice(0, batch.labels.filter((label) => label >= 0).length);
}

describe('evaluation inside the engine', () => {
  it.each(['llama-untied-no-gqa-bias', 'mistral-window', 'gemma3'])(
    '%s gives the log-probabilities of eager code, before and after the adapter changes',
    async (name) => {
      const model = await loadModel(path.join(data, name));
      const batch = packedRows();
      const adapter = adapterOf(model, 5);
      const check = async (adaptation?: Adapter) => {
        const found = (await model.labelLogProbabilities(batch, { adaptation })).filter(
          (_, t) => batch.labels[t]! >= 0,
        );
        const expected = eagerLogProbabilities(model, batch, adaptation);
        expect(found).toHaveLength(expected.length);
        expect(largestDifference(found, expected)).toBeLessThan(1e-5);
        return found;
      };
      await check();
      const before = await check(adapter);
      const count = await compilations(async () => {
        for (const { variable } of adapter.trainables) tf.tidy(() => variable.assign(tf.mul(variable, 1.5)));
        expect(largestDifference(await check(adapter), before)).toBeGreaterThan(1e-3);
      });
      expect(count).toBe(0);
      model.dispose();
      adapter.dispose();
    },
  );

  it.each(['qwen3', 'gemma3'])('%s with a packed head is compiled once for batches of any lengths', async (name) => {
    const source = await openTextModel(path.join(data, name));
    const model = await loadCausalLM(source, 'bf16');
    await source.close();
    const count = await compilations(async () => {
      for (const batch of [packedRows(), wholeRow(ids), wholeRow(ids.slice(0, 7))]) {
        const found = await model.labelLogProbabilities(batch);
        const expected = eagerLogProbabilities(model, batch);
        const labelled = shiftedLabels(batch).map(({ row }) => found[row + 1]!);
        expect(largestDifference(labelled, expected.slice(0, labelled.length))).toBeLessThan(1e-5);
        expect(found.filter((value) => value !== 0)).toHaveLength(labelled.length);
      }
    });
    expect(count).toBe(1);
    model.dispose();
  });
});

describe('the default model on the blocks of its file', () => {
  let file: ModelFile;
  beforeAll(async () => void (file = await openTextModel(await resolveModel('smollm2-135m'))));
  afterAll(() => file.close());

  const withModel = async <T>(format: WeightFormat, work: (model: CausalLM) => Promise<T>): Promise<T> => {
    const model = await loadCausalLM(file, format);
    try {
      return await work(model);
    } finally {
      model.dispose();
    }
  };

  it('keeps every matrix packed, in no more memory than the file has', async () => {
    await withModel('auto', async ({ weights, config }) => {
      const { embedding, head, layers } = weights;
      const linears = layers.flatMap((layer) => Object.values(layer.linears).map(({ weight }) => weight));
      expect(linears).toHaveLength(7 * config.layers);
      for (const matrix of [embedding, head, ...linears]) expect(matrix).toBeInstanceOf(PackedMatrix);
    });
  });

  it('writes the text that eager code writes on the same weights in f32', async () => {
    const prompt = file.tokenizer!.encode('The three primary colours are');
    const text = await withModel('auto', async (model) => {
      const found: number[] = [];
      for await (const { id } of generate(model, prompt, { maxTokens: 12, stop: [] })) found.push(id);
      return found;
    });
    const eager = await withModel('f32', async (model) => {
      const cache = new KeyValueCache(model.config);
      const found: number[] = [];
      let next = Int32Array.from(prompt);
      while (found.length < 12) {
        const logits = await nextLogits(model, cache, next);
        next = Int32Array.of(logits.indexOf(logits.reduce((a, b) => Math.max(a, b))));
        found.push(next[0]!);
      }
      cache.dispose();
      return found;
    });
    expect(text).toEqual(eager);
  });

  it('swaps adapters of all its sites in the time of a few tokens', async () => {
    await withModel('auto', async (model) => {
      const structure = options({
        rank: 8,
        targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
      });
      const adapters = [1, 2].map((seed) => new Adapter(model.sites(), structure, seed));
      const decoders = adapters.map((adapter) => decoderOf(model, adapter));
      for (const decoder of decoders) await decoder.next(Int32Array.of(1));
      const milliseconds = async (which: number) => {
        const start = performance.now();
        await decoders[which]!.next(Int32Array.of(2));
        return performance.now() - start;
      };
      const swapping: number[] = [];
      const staying: number[] = [];
      for (let round = 0; round < 12; round++) {
        swapping.push(await milliseconds(round % 2));
        staying.push(await milliseconds(round % 2));
      }
      // A graph of its own for each would take some hundred.
      expect(Math.min(...swapping)).toBeLessThan(10 * Math.min(...staying));
      for (const decoder of decoders) decoder.dispose();
      for (const adapter of adapters) adapter.dispose();
    });
  });
});

import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs-core';
import { packBatch } from '../../src-main/data/batches.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { CompiledDecoder } from '../../src-main/models/compiled-decoder.ts';
import { CompiledForward } from '../../src-main/models/compiled-forward.ts';
import { batchTensors, disposeBatch } from '../../src-main/models/batch.ts';
import { loadCausalLM, type CausalLM } from '../../src-main/models/causal-lm.ts';
import { generate } from '../../src-main/models/generate.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import type { Adaptation } from '../../src-main/models/types.ts';
import { options } from '../effilora/support.ts';
import { compilations } from '../support/compilations.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';
import { data, largestDifference, wholeRow } from './support.ts';

beforeAll(async () => void (await openGpuConfiguration()));

const ids = Int32Array.from({ length: 60 }, (_, i) => (i * 37 + 11) % 96);

async function loaded(name: string): Promise<CausalLM> {
  const file = await openTextModel(path.join(data, name));
  const model = await loadCausalLM(file);
  await file.close();
  return model;
}

function adapterOf(model: CausalLM): Adapter {
  const adapter = new Adapter(model.sites(), options({ targets: ['q_proj', 'v_proj', 'down_proj'] }), 3);
  for (const { role, variable } of adapter.trainables)
    if (role === 'B') tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 0.3, 'float32', 3)));
  return adapter;
}

/** The logits after the tokens, all of them run at once by eager code. */
function lastLogits(model: CausalLM, tokens: Int32Array, adaptation?: Adaptation): Float32Array {
  const logits = model.logits(wholeRow(tokens), { adaptation });
  const values = logits.dataSync().slice(-model.config.vocabularySize) as Float32Array;
  logits.dispose();
  return values;
}

describe('on TensorFlow as a GPU runs it', () => {
  it.each(['llama-tied', 'mistral-window', 'qwen2', 'qwen3', 'gemma3'])(
    '%s decodes compiled what all tokens at once give; sequences after each other share the graphs',
    async (name) => {
      const model = await loaded(name);
      const adapter = adapterOf(model);
      const decode = async () => {
        const decoder = new CompiledDecoder(model, CompiledForward.of(model.weights, adapter)!, ids.length, {
          adaptation: adapter,
        });
        let end = 0;
        // pieces that are padded, single tokens, more than a window
        for (const piece of [3, 12, 1, 1, 32, 1]) {
          const logits = await decoder.next(ids.subarray(end, end + piece));
          end += piece;
          expect(largestDifference(logits, lastLogits(model, ids.slice(0, end), adapter))).toBeLessThan(1e-4);
        }
        decoder.dispose();
      };
      expect(await compilations(decode)).toBe(2);
      expect(await compilations(decode)).toBe(0);
      model.dispose();
      adapter.dispose();
    },
  );

  it('keeps two sequences apart that grow in turns', async () => {
    const model = await loaded('qwen3');
    const texts = [0, 1].map(async (which) => {
      const prompt = ids.slice(which * 20, which * 20 + 8);
      const found: number[] = [];
      for await (const { id } of generate(model, prompt, { maxTokens: 6, stop: [] })) found.push(id);
      return { prompt, found };
    });
    for (const { prompt, found } of await Promise.all(texts))
      found.forEach((id, i) => {
        const logits = lastLogits(model, Int32Array.from([...prompt, ...found.slice(0, i)]));
        expect(id).toBe(logits.indexOf(Math.max(...logits)));
      });
    model.dispose();
  });

  it.each(['llama-tied', 'gemma3'])('%s evaluates compiled with the numbers of eager code', async (name) => {
    const model = await loaded(name);
    const adapter = adapterOf(model);
    const example = (from: number, to: number) => ({
      inputIds: ids.slice(from, to),
      labels: ids.slice(from, to).map((id, t) => (t < 2 ? -100 : id)),
    });
    const batch = packBatch([example(0, 17), example(17, 22), example(22, 60)], 40);
    let values = new Float32Array(0);
    const count = await compilations(
      async () => void (values = (await model.labelLogProbabilities(batch, { adaptation: adapter })) as typeof values),
    );
    expect(count).toBe(1);
    const tensors = batchTensors(model.config, batch);
    const eager = model.pickedLogProbabilities(tensors, { adaptation: adapter }).dataSync();
    disposeBatch(tensors);
    const labelled = values.filter((value) => value !== 0);
    expect(largestDifference(labelled, eager.slice(0, labelled.length))).toBeLessThan(1e-4);
    model.dispose();
    adapter.dispose();
  });
});

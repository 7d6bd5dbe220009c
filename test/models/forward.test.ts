import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import type { EngineName } from '../../src-main/engine/types.ts';
import { loadCausalLM } from '../../src-main/models/causal-lm.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { openModelFile } from '../../src-main/models/open.ts';
import { readFloats, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import type { TokenBatch } from '../../src-main/models/types.ts';

const data = path.join(import.meta.dirname, 'data');
const MODELS = [
  'llama-tied',
  'llama-untied-no-gqa-bias',
  'llama3-rope',
  'llama-linear-rope',
  'llama-dynamic-rope',
  'llama-yarn-rope',
  'mistral-window',
  'qwen2',
  'qwen3',
  'gemma3',
];

/** What transformers gave for this model (data/make_models.py). */
async function expected(folder: string): Promise<{ ids: Int32Array; logits: Float32Array }> {
  const reader = await FileReader.open(path.join(folder, 'expected.safetensors'));
  const { tensors } = await readSafetensorsHeader(reader);
  const ids = tensors.get('input_ids')!;
  const raw = await reader.read(ids.offset, ids.byteLength);
  const logits = await readFloats(reader, tensors.get('logits')!);
  await reader.close();
  return { ids: new Int32Array(raw.slice().buffer), logits };
}

/** One row holding one example. */
export function wholeRow(inputIds: Int32Array): TokenBatch {
  const length = inputIds.length;
  return {
    rows: 1,
    length,
    inputIds,
    labels: inputIds,
    positions: Int32Array.from({ length }, (_, i) => i),
    segments: new Int32Array(length),
  };
}

function largestDifference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < theirs.length; i++) {
    largest = Math.max(largest, Math.abs(theirs[i]!));
    difference = Math.max(difference, Math.abs(ours[i]! - theirs[i]!));
  }
  return difference / largest;
}

describe.each<EngineName>(['tensorflow', 'wasm', 'cpu'])('on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  it.each(MODELS)('%s has the logits of transformers', async (name) => {
    const folder = path.join(data, name);
    const file = await openModelFile(folder);
    const model = await loadCausalLM(file);
    const { ids, logits } = await expected(folder);
    const ours = tf.tidy(() => model.logits(wholeRow(ids)).dataSync());
    expect(ours.length).toBe(logits.length);
    expect(largestDifference(ours, logits)).toBeLessThan(1e-4);
    model.dispose();
    await file.close();
  });
});

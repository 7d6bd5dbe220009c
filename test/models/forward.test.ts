import { noSoftwareGpu } from '../support/software-gpu.ts';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import type { EngineName } from '../../src-main/engine/types.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { readFloats, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import { data, largestDifference, loadModel, wholeRow } from './support.ts';

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

const engines: EngineName[] = ['tensorflow', 'wasm', 'cpu', ...(noSoftwareGpu ? [] : ['webgpu' as const])];

describe.each(engines)('on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  it.each(MODELS)('%s has the logits of transformers', async (name) => {
    const folder = path.join(data, name);
    const model = await loadModel(folder);
    const { ids, logits } = await expected(folder);
    const tensor = tf.tidy(() => model.logits(wholeRow(ids)));
    const ours = await tensor.data();
    tensor.dispose();
    expect(ours.length).toBe(logits.length);
    expect(largestDifference(ours, logits)).toBeLessThan(1e-4);
    model.dispose();
  });
});

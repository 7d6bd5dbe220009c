import path from 'node:path';
import { loadCausalLM, type CausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import type { TokenBatch } from '../../src-main/models/types.ts';

/** Small random models with transformers' logits beside them (data/make_models.py). */
export const data = path.join(import.meta.dirname, 'data');

/** A model's weights on the engine in use; its file is closed again. */
export async function loadModel(folder: string): Promise<CausalLM> {
  const file = await openTextModel(folder);
  const model = await loadCausalLM(file);
  await file.close();
  return model;
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

/** The largest difference, as a share of the largest magnitude expected. */
export function largestDifference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < theirs.length; i++) {
    largest = Math.max(largest, Math.abs(theirs[i]!));
    difference = Math.max(difference, Math.abs(ours[i]! - theirs[i]!));
  }
  return difference / largest;
}

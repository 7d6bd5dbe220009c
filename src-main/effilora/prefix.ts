import type { ReducerOptions } from './types.ts';

/** Which layer each head belongs to, and how far whole layers may freeze. */
export interface PrefixLimits {
  /** by head, in the heads' order; ascending */
  layers: readonly number[];
  /** most heads that may freeze */
  heads: number;
  /** most of the summed importance that they may have, 0..1 */
  importanceAtMost: number;
}

/**
 * How many whole layers freeze from the bottom (docs/method.md, Reducer: policy prefix): the longest run 0..k that holds at most `heads` heads
 * and at most the share `importanceAtMost` of the model's summed importance. Layers are counted by their number in the model, so
 * that one without adapted sites below an adapted one freezes with it.
 */
export function frozenPrefix(importance: ArrayLike<number>, { layers, heads, importanceAtMost }: PrefixLimits): number {
  const all = Array.from(importance).reduce((sum, value) => sum + value, 0);
  let below = 0;
  let frozen = 0;
  for (let head = 0; head < layers.length; head++) {
    below += importance[head]!;
    if (head + 1 > heads || below > importanceAtMost * all) break;
    const isLastOfLayer = layers[head + 1] !== layers[head];
    if (isLastOfLayer) frozen = layers[head]! + 1;
  }
  return frozen;
}

/**
 * The share of a run's block passes backward that policy prefix leaves: the whole layers that the ratio allows (their importance,
 * which may allow fewer, is not known before the run) have none between the first selection and the end, but for probing steps.
 */
export function backwardShare(
  {
    policy,
    ratio,
    warmup,
    interval,
    probe,
  }: Pick<ReducerOptions, 'policy' | 'ratio' | 'warmup' | 'interval' | 'probe'>,
  steps: number,
  layers: number,
): number {
  if (policy !== 'prefix') return 1;
  const frozenSteps = Math.max(0, steps - warmup) * (probe ? 1 - 1 / interval : 1);
  return 1 - (frozenSteps / steps) * (Math.floor(ratio * layers) / layers);
}

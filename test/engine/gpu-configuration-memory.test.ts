import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { builtProcess } from '../support/built.ts';
import type { MemoryAsked, MemoryTold } from './gpu-memory-process.ts';

/** Steps of a model in a process of its own (gpu-memory-process.ts). */
function measured(asked: MemoryAsked): MemoryTold {
  const { stdout, stderr } = spawnSync(process.execPath, [builtProcess('gpu-memory.js'), JSON.stringify(asked)], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as MemoryTold;
}

const small = { layers: 8, hidden: 256, inner: 768, heads: 4, keyValueHeads: 4, vocabulary: 2048 };
const four = { rows: 4, length: 512, evaluate: false };

describe('on TensorFlow as a GPU runs it', () => {
  it('recomputation saves more than a third of what steps take, and more bytes than with our own operations', () => {
    const ask = (gpu: boolean, recompute: boolean) =>
      measured({ gpu, recompute, shape: { ...small, weights: 'f32' }, ...four });
    const [gpu, own] = [true, false].map((onGpu) => ({ kept: ask(onGpu, false), again: ask(onGpu, true) }));
    for (const each of [gpu!.kept, own!.kept, own!.again])
      each.losses.forEach((loss, i) => expect(loss / gpu!.again.losses[i]!).toBeCloseTo(1, 4));
    expect(gpu!.again.step / gpu!.kept.step).toBeLessThan(2 / 3);
    expect(gpu!.kept.step - gpu!.again.step).toBeGreaterThan(own!.kept.step - own!.again.step);
  });

  it.each(['f32', 'q4_0'] as const)('an evaluation leaves no second copy of %s weights behind', (weights) => {
    // in f32 260 MB of weights
    const shape = { layers: 4, hidden: 1024, inner: 3072, heads: 8, keyValueHeads: 8, vocabulary: 8192, weights };
    const { before, after } = measured({ gpu: true, recompute: true, shape, rows: 2, length: 64, evaluate: true });
    expect(after / before).toBeLessThan(1.02);
  });
});

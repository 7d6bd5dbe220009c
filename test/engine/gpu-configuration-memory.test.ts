import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { memoryFacts } from '../../src-main/engine/memory-facts.ts';
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

/** Beside much other work the four processes of a comparison take longer than other tests do. */
const PATIENCE_MS = 900_000;

const small = { layers: 8, hidden: 256, inner: 768, heads: 4, keyValueHeads: 4, vocabulary: 2048 };

describe('on TensorFlow as a GPU runs it', () => {
  it.each([4, 8])(
    'of %i x 512 tokens, recomputation saves as large a share as with our own operations',
    (rows) => {
      const ask = (gpu: boolean, recompute: boolean) =>
        measured({ gpu, recompute, shape: { ...small, weights: 'f32' }, rows, length: 512, evaluate: false });
      const [gpu, own] = [true, false].map((onGpu) => ({ kept: ask(onGpu, false), again: ask(onGpu, true) }));
      for (const each of [gpu!.kept, own!.kept, own!.again])
        each.losses.forEach((loss, i) => expect(loss / gpu!.again.losses[i]!).toBeCloseTo(1, 4));
      expect(gpu!.again.tensors / gpu!.kept.tensors).toBeLessThan(own!.again.tensors / own!.kept.tensors);
      // What the processor has resident beside tensors (the graph, what its allocator holds) is no part of that.
      expect(gpu!.again.step / gpu!.kept.step).toBeLessThan(2 / 3);
    },
    PATIENCE_MS,
  );

  it.each([false, true])('few weights are unpacked at once, however many layers there are; DoRA %s', (dora) => {
    const shape = { hidden: 512, inner: 1536, heads: 4, keyValueHeads: 4, vocabulary: 512, weights: 'q4_0' as const };
    const matrix = 4 * 512 * 1536;
    const [three, nine] = [3, 9].map(
      (layers) =>
        measured({ gpu: true, recompute: true, shape: { ...shape, layers }, rows: 1, length: 64, evaluate: false, dora })
          .tensors, // prettier-ignore
    );
    const input = 4 * 512 * 64;
    expect(nine! - three!).toBeLessThan(6 * 2 * input);
    expect(nine!).toBeLessThan(3 * matrix);
  });

  it.each(['f32', 'int8'] as const)(
    'a head is unpacked in pieces: one of twice as many words takes no more, in %s',
    (precision) => {
      const shape = { layers: 1, hidden: 512, inner: 1024, heads: 4, keyValueHeads: 4, weights: 'q4_0' as const };
      const [half, whole] = [2 ** 16, 2 ** 17].map(
        (vocabulary) =>
        measured({ gpu: true, recompute: true, shape: { ...shape, vocabulary }, rows: 1, length: 64, evaluate: false, precision })
          .tensors, // prettier-ignore
      );
      expect(whole! - half!).toBeLessThan(1e6);
      expect(whole!).toBeLessThan(4 * 512 * 2 ** 17);
    },
  );

  it.each(['f32', 'q4_0'] as const)(
    'products in integers take of the largest of %s weights what the plan counts',
    (weights) => {
      const shape = { layers: 2, hidden: 512, inner: 4096, heads: 4, keyValueHeads: 4, vocabulary: 512 };
      const ask = (weights: 'f32' | 'q4_0', precision: 'f32' | 'int8') =>
      measured({ gpu: true, recompute: true, shape: { ...shape, weights }, rows: 1, length: 64, evaluate: false, precision })
        .tensors; // prettier-ignore
      const { roundedCopies } = memoryFacts({ name: 'tensorflow', kind: 'gpu' });
      // What is no weight's is there without any unpacked or rounded, too.
      const rounded = ask(weights, 'int8') - ask('f32', 'f32');
      expect(rounded / (roundedCopies * 4 * shape.hidden * shape.inner)).toBeCloseTo(1, 1);
    },
  );

  it.each(['f32', 'q4_0'] as const)('an evaluation leaves no second copy of %s weights behind', (weights) => {
    // in f32 260 MB of weights
    const shape = { layers: 4, hidden: 1024, inner: 3072, heads: 8, keyValueHeads: 8, vocabulary: 8192, weights };
    const { before, after } = measured({ gpu: true, recompute: true, shape, rows: 2, length: 64, evaluate: true });
    expect(after / before).toBeLessThan(1.02);
  });
});

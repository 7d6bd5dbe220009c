import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { ADAMW_DEFAULTS, AdamW } from '../../src-main/effilora/adamw.ts';
import type { AdamWOptions } from '../../src-main/effilora/adamw.ts';
import { uniform } from '../../src-main/effilora/random.ts';
import { sensitivity } from '../../src-main/effilora/sensitivity.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { options, sites } from './support.ts';

beforeAll(async () => {
  await openEngine('cpu');
});

const adapterOf = () => new Adapter(sites, options({ targets: ['q_proj'] }), 1);

/** Updates with gradients of a fixed pattern. */
function update(adapter: Adapter, optimizer: AdamW, step: number, rate: number, frozen: number[] = []): number {
  return tf.tidy(() => {
    const gradients = adapter.trainables.map(({ name, variable }) =>
      tf.tensor2d(uniform(step, name, variable.size, -1, 1), variable.shape),
    );
    const { gradNorm, updates } = optimizer.update(
      gradients,
      optimizer.numbers(rate, { isFrozen: (head) => frozen.includes(head), isLayerFrozen: () => false }),
    );
    for (const [variable, value] of updates) variable.assign(value);
    return gradNorm.dataSync()[0]!;
  });
}

const values = (adapter: Adapter) => adapter.trainables.map(({ variable }) => Array.from(variable.dataSync()));
const optimizerOf = (adapter: Adapter, changes: Partial<AdamWOptions> = {}) =>
  new AdamW(adapter.trainables, { ...ADAMW_DEFAULTS, ...changes });

describe('AdamW', () => {
  it('follows the published update, one number at a time, in float64', () => {
    const adapter = adapterOf();
    const optimizer = optimizerOf(adapter, { weightDecay: 0.1, clipNorm: 0, rateOfB: 4 });
    const start = values(adapter);
    for (let step = 1; step <= 4; step++) update(adapter, optimizer, step, 0.01);
    adapter.trainables.forEach(({ name, role }, k) => {
      const rate = role === 'B' ? 0.04 : 0.01;
      const gradients = [1, 2, 3, 4].map((step) => uniform(step, name, start[k]!.length, -1, 1));
      start[k]!.forEach((p, i) => {
        let [m, v] = [0, 0];
        gradients.forEach((g, t) => {
          m = 0.9 * m + 0.1 * g[i]!;
          v = 0.999 * v + 0.001 * g[i]! ** 2;
          p *= 1 - rate * 0.1;
          p -= (rate * (m / (1 - 0.9 ** (t + 1)))) / (Math.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8);
        });
        expect(values(adapter)[k]![i]!).toBeCloseTo(p, 5);
      });
    });
  });

  it("lets a frozen head's weights, moments and step count stand still, though its gradient is there", () => {
    const pausing = adapterOf();
    const paused = optimizerOf(pausing, { clipNorm: 0, weightDecay: 0.1 });
    update(pausing, paused, 1, 0.01);
    const before = values(pausing);
    update(pausing, paused, 7, 0.01, [1]); // head 1 of 0.q_proj
    const b = pausing.trainables.findIndex(({ name }) => name === 'layers.0.q_proj.B');
    const size = before[b]!.length / 3;
    expect(values(pausing)[b]!.slice(size, 2 * size)).toEqual(before[b]!.slice(size, 2 * size));
    expect(values(pausing)[b]!.slice(0, size)).not.toEqual(before[b]!.slice(0, size));
    update(pausing, paused, 2, 0.01);

    const steady = adapterOf();
    const optimizer = optimizerOf(steady, { clipNorm: 0, weightDecay: 0.1 });
    update(steady, optimizer, 1, 0.01);
    update(steady, optimizer, 2, 0.01);
    expect(values(pausing)[b]!.slice(size, 2 * size)).toEqual(values(steady)[b]!.slice(size, 2 * size));
  });

  it('clips by the norm of the gradients that update something', () => {
    const adapter = adapterOf();
    const all = new Set(adapter.heads.map((_, k) => k));
    const square = (roles: string[]) =>
      adapter.trainables
        .filter(({ role }) => roles.includes(role))
        .flatMap(({ name, variable }) => [...uniform(1, name, variable.size, -1, 1)])
        .reduce((sum, g) => sum + g * g, 0);
    const norm = update(adapter, optimizerOf(adapter), 1, 0.01, [...all]);
    expect(norm).toBeCloseTo(Math.sqrt(square(['A', 'router'])), 4);
    expect(update(adapter, optimizerOf(adapter), 1, 0.01)).toBeCloseTo(Math.sqrt(square(['A', 'B', 'router'])), 4);
    // after one clipped step the first moment is 0.1 * g * clip / norm
    const optimizer = optimizerOf(adapter, { clipNorm: 0.5 });
    const whole = update(adapter, optimizer, 1, 0.01);
    const { name, variable } = adapter.trainables[0]!;
    const g = uniform(1, name, variable.size, -1, 1);
    expect(optimizer.variables[adapter.trainables.length]!.dataSync()[0]!).toBeCloseTo((0.1 * g[0]! * 0.5) / whole, 6);
  });

  it('goes on from its state as if it had never stopped, and keeps no tensors', async () => {
    const adapter = adapterOf();
    const optimizer = optimizerOf(adapter);
    update(adapter, optimizer, 1, 0.01, [2]);
    const { steps, moments: held } = optimizer.exportState();
    const moments = await Promise.all(held.map(async ({ read, ...tensor }) => ({ ...tensor, data: await read() })));
    const weights = await adapter.export();
    const tensors = tf.memory().numTensors;
    update(adapter, optimizer, 2, 0.01);
    expect(tf.memory().numTensors).toBe(tensors);
    const other = adapterOf();
    const resumed = optimizerOf(other);
    other.import(weights);
    resumed.importState({ steps: JSON.parse(JSON.stringify(steps)), moments });
    update(other, resumed, 2, 0.01);
    expect(values(other)).toEqual(values(adapter));
  });
});

it('sensitivity is the mean of |B_j * dL/dB_j| of each head', () => {
  const b = tf.tensor2d([1, -2, 3, 4, -5, 6, 7, 8], [4, 2]);
  const g = tf.tensor2d([1, 1, -1, 1, 2, 2, 0, 1], [4, 2]);
  expect(Array.from(sensitivity(b, g, 2).dataSync())).toEqual([10 / 4, 30 / 4]);
});

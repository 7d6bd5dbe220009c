import { describe, expect, it } from 'vitest';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { ratioForBudget } from '../../src-main/effilora/resource-constraint.ts';
import type { ReducerOptions } from '../../src-main/effilora/types.ts';

const heads = ['0.q.0', '0.q.1', '0.q.2', '1.q.0', '1.q.1', '1.q.2'];
const defaults: ReducerOptions = {
  ratio: 0.5,
  warmup: 2,
  interval: 3,
  beta: 0.5,
  policy: 'topk',
  temperature: 1,
  schedule: 'step',
  probe: true,
  minActivePerSite: 0,
  seed: 1,
};
const reducer = (changes: Partial<ReducerOptions> = {}) => new Reducer(heads, 3, { ...defaults, ...changes });

/** Runs `steps` steps of one sensitivity each; gives the frozen heads in force during each step. */
function run(r: Reducer, steps: number[][], first = 1): string[][] {
  return steps.map((sensitivity, k) => {
    const frozen = r.frozen;
    r.observe(first + k, sensitivity);
    r.select(first + k);
    return frozen;
  });
}

describe('Reducer', () => {
  it('smooths from zero and freezes the lowest floor(ratio * M) after the update of warmup, warmup + interval, ...', () => {
    const r = reducer({ ratio: 0.4 }); // floor(0.4 * 6) = 2
    const s = [6, 5, 4, 3, 2, 1];
    const frozen = run(r, [s, s, s, s, s, s]);
    expect(frozen.map((f) => f.length)).toEqual([0, 0, 2, 2, 2, 2]);
    expect(frozen[2]).toEqual(['1.q.1', '1.q.2']);
    expect(r.importance[0]).toBeCloseTo(6 * (1 - 0.5 ** 6), 12);
    // frozen after step 2: observed at 1, 2 and, by probing, at selection step 5
    expect(r.importance[5]).toBeCloseTo(1 - 0.5 ** 3, 12);
    expect(r.frozenSince(5)).toBe(2);
    expect(r.frozenSince(0)).toBe(null);
  });

  it('breaks ties by layer, site and head', () => {
    const r = reducer();
    run(r, [
      [1, 1, 1, 1, 1, 1],
      [1, 1, 1, 1, 1, 1],
    ]);
    expect(r.frozen).toEqual(['0.q.0', '0.q.1', '0.q.2']);
  });

  it('lets a frozen head come back when probed, and never observes it with probe: false', () => {
    const steps = [
      [6, 5, 4, 3, 2, 1],
      [6, 5, 4, 3, 2, 1],
      [6, 5, 4, 3, 2, 1],
      [6, 5, 4, 3, 2, 1],
      [6, 5, 4, 3, 2, 99],
    ];
    const probing = reducer();
    run(probing, steps);
    expect(probing.isFrozen(5)).toBe(false);
    const blind = reducer({ probe: false });
    run(blind, steps);
    expect(blind.isFrozen(5)).toBe(true);
    expect(Array.from(blind.observed(8))).toEqual([1, 1, 1, 0, 0, 0]);
    expect(Array.from(probing.observed(8))).toEqual([1, 1, 1, 1, 1, 1]);
    expect(Array.from(probing.observed(9))).toEqual(probing.heads.map((_, k) => Number(!probing.isFrozen(k))));
  });

  it('keeps minActivePerSite heads of every site', () => {
    const r = reducer({ minActivePerSite: 1 });
    run(r, [
      [9, 9, 9, 1, 1, 1],
      [9, 9, 9, 1, 1, 1],
    ]);
    expect(r.frozen).toEqual(['0.q.0', '1.q.0', '1.q.1']);
  });

  it('grows the ratio along a cubic', () => {
    const r = reducer({ schedule: 'cubic', warmup: 1, interval: 1, finalStep: 5, ratio: 1 });
    const s = [6, 5, 4, 3, 2, 1];
    const counts = run(r, [s, s, s, s, s, s]).map((f) => f.length);
    // floor(6 * (1 - (1 - t)^3)) at t = 0, 1/4, 1/2, 3/4, 1
    expect(counts).toEqual([0, 0, 3, 5, 5, 6]);
  });

  it('samples the active set in proportion to importance^(1/temperature), the same for a seed and step', () => {
    const s = [8, 4, 2, 1, 1, 0];
    const chosen = (seed: number, temperature: number) => {
      const r = reducer({ policy: 'sample', warmup: 1, ratio: 5 / 6 + 1e-9, seed, temperature });
      run(r, [s]);
      return heads.findIndex((_, k) => !r.isFrozen(k));
    };
    expect(chosen(3, 1)).toBe(chosen(3, 1));
    const draws = 20_000;
    const share = (temperature: number) => {
      const counts = heads.map(() => 0);
      for (let seed = 0; seed < draws; seed++) counts[chosen(seed, temperature)]!++;
      return counts.map((count) => count / draws);
    };
    [8, 4, 2, 1, 1, 0].forEach((weight, k) => expect(share(1)[k]!).toBeCloseTo(weight / 16, 1.7));
    expect(share(2)[0]).toBeCloseTo(Math.sqrt(8) / (Math.sqrt(8) + 2 + Math.SQRT2 + 2), 1.7);
  });

  it('undoes a selection that costs more than the tolerance, and lowers the ratio', () => {
    const r = reducer({ tolerance: 0.1 });
    const s = [6, 5, 4, 3, 2, 1];
    expect(r.evaluate(2)).toBe(false);
    run(r, [s, s]);
    expect(r.frozen).toHaveLength(3);
    expect(r.evaluate(2.15)).toBe(false); // smoothed 2.075
    expect(r.evaluate(2.3)).toBe(true); // smoothed 2.1875
    expect(r.frozen).toEqual([]);
    expect(r.ratio).toBeLessThan(0.5);
    run(r, [s, s, s], 3);
    expect(r.frozen).toHaveLength(Math.floor(r.ratio * 6));
  });

  it('goes on from its state, sent through JSON, as if it had never stopped', () => {
    const noise = Array.from({ length: 12 }, (_, t) => heads.map((_, k) => Math.abs(Math.sin(7 * t + 3 * k))));
    const options: Partial<ReducerOptions> = { policy: 'sample', tolerance: 0.01 };
    const whole = reducer(options);
    const first = reducer(options);
    run(whole, noise.slice(0, 7));
    run(first, noise.slice(0, 7));
    whole.evaluate(1);
    first.evaluate(1);
    const second = reducer(options);
    second.importState(JSON.parse(JSON.stringify(first.exportState())));
    expect(run(second, noise.slice(7), 8)).toEqual(run(whole, noise.slice(7), 8));
    expect(second.evaluate(2)).toBe(whole.evaluate(2));
    expect(second.exportState()).toEqual(whole.exportState());
  });
});

describe('resource constraint', () => {
  it('gives the smallest ratio that keeps to the budget', () => {
    const costs = { fixed: 100, perHead: 10, heads: 10 };
    expect(ratioForBudget(costs, 145, 'bytes')).toBeCloseTo(0.6); // 4 heads fit
    expect(ratioForBudget(costs, 1000, 'bytes')).toBeCloseTo(0);
    expect(() => ratioForBudget(costs, 99, 'bytes')).toThrow(/99 bytes can't be met: 100 bytes/);
  });
});

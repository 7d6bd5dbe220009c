import { describe, expect, it } from 'vitest';
import { backwardShare, frozenPrefix } from '../../src-main/effilora/prefix.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import {
  MOST_FROZEN,
  parameterBudget,
  ratioForBudget,
  StepTimeConstraint,
} from '../../src-main/effilora/resource-constraint.ts';
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

describe('policy prefix', () => {
  // Three layers of three heads each.
  const layers = [0, 0, 0, 1, 1, 1, 2, 2, 2];
  it('counts whole layers from the bottom, as far as both limits allow', () => {
    const even = new Array<number>(9).fill(1);
    const prefix = (heads: number, importanceAtMost: number, importance = even) =>
      frozenPrefix(importance, { layers, heads, importanceAtMost });
    expect(prefix(2, 1)).toBe(0);
    expect(prefix(3, 1)).toBe(1);
    expect(prefix(8, 1)).toBe(2);
    expect(prefix(9, 1)).toBe(3);
    expect(prefix(9, 0.67)).toBe(2);
    expect(prefix(9, 0.66)).toBe(1);
    expect(prefix(9, 0.5, [9, 0, 0, 0, 0, 0, 0, 0, 1])).toBe(0);
    expect(prefix(9, 0.5, [0, 0, 0, 0, 0, 0, 0, 9, 1])).toBe(2);
    // A layer that has no adapted site freezes with the one above it.
    expect(frozenPrefix([1, 1], { layers: [2, 5], heads: 1, importanceAtMost: 1 })).toBe(3);
  });

  it('freezes a whole layer though its heads matter more than those above, and the rest by importance', () => {
    const r = reducer({ policy: 'prefix', ratio: 0.7, importanceAtMost: 0.9, warmup: 1 });
    r.observe(1, [3, 3, 3, 2, 1, 2]);
    r.select(1);
    expect(r.frozenLayers).toBe(1);
    expect(r.frozen).toEqual(['0.q.0', '0.q.1', '0.q.2', '1.q.1']);
    expect([r.isLayerFrozen(0), r.isLayerFrozen(1)]).toEqual([true, false]);
    // Backward runs whole where frozen heads are observed: at the next selection, step 4.
    expect([2, 3, 4, 5].map((step) => r.layersWithoutBackward(step))).toEqual([1, 1, 0, 1]);
    expect(reducer({ policy: 'prefix', probe: false }).layersWithoutBackward(2)).toBe(0);
  });

  it('gives layers back with a selection that is undone, and goes on from its state', () => {
    const r = reducer({ policy: 'prefix', importanceAtMost: 1, tolerance: 0.1, warmup: 1 });
    r.evaluate(1);
    r.observe(1, [1, 1, 1, 1, 1, 1]);
    r.select(1);
    expect(r.frozenLayers).toBe(1);
    const again = reducer({ policy: 'prefix', importanceAtMost: 1, tolerance: 0.1, warmup: 1 });
    again.importState(JSON.parse(JSON.stringify(r.exportState())));
    expect(again.layersWithoutBackward(2)).toBe(1);
    expect(again.evaluate(2)).toBe(true);
    expect(again.frozenLayers).toBe(0);
  });

  it('is planned with the passes it leaves', () => {
    const options = { policy: 'prefix', ratio: 0.5, warmup: 20, interval: 10, probe: true } as const;
    expect(backwardShare({ ...options, policy: 'topk' }, 100, 30)).toBe(1);
    // 80 of 100 steps, but for every tenth of them, without backward in half of the layers.
    expect(backwardShare(options, 100, 30)).toBeCloseTo(1 - 0.8 * 0.9 * 0.5);
    expect(backwardShare(options, 10, 30)).toBe(1);
  });
});

describe('resource constraint', () => {
  it('gives the smallest ratio that keeps to the budget', () => {
    const costs = { fixed: 100, perHead: 10, heads: 10 };
    expect(ratioForBudget(costs, 145, 'bytes')).toBeCloseTo(0.6); // 4 heads fit
    expect(ratioForBudget(costs, 1000, 'bytes')).toBeCloseTo(0);
    expect(() => ratioForBudget(costs, 99, 'bytes')).toThrow(/99 bytes can't be met: 100 bytes/);
  });

  // Two sites of three heads: 4 numbers each, then 10 each; A has 20. In all 20 + 12 + 30 = 62.
  const trainables = [
    { size: 20, blocks: 1 },
    { size: 12, blocks: 3, firstHead: 0 },
    { size: 30, blocks: 3, firstHead: 3 },
  ];
  const sites = { headsPerSite: 3, minActivePerSite: 0 };

  it('in numbers that train counts each head by what it holds, and freezes until what is left keeps to it', () => {
    const budget = parameterBudget(trainables, 45, sites);
    expect(budget).toEqual({ sizes: [4, 4, 4, 10, 10, 10], all: 42, excess: 17 });
    const r = new Reducer(heads, 3, { ...defaults, ratio: 0 }, budget);
    // By importance 1.q.0 (10), 0.q.1 (4), 0.q.0 (4) go first: 18, where 17 have to.
    const sensitivity = [3, 2, 5, 1, 6, 4];
    expect(run(r, [sensitivity, sensitivity, sensitivity]).at(-1)).toEqual(['0.q.0', '0.q.1', '1.q.0']);
    // A ratio that asks for more is kept, too.
    const more = new Reducer(heads, 3, { ...defaults, ratio: 0.7 }, budget);
    expect(run(more, [sensitivity, sensitivity, sensitivity]).at(-1)).toHaveLength(4);
    // Where it is kept already nothing freezes.
    expect(parameterBudget(trainables, 62, sites).excess).toBe(0);
    expect(() => parameterBudget(trainables, 19, sites)).toThrow(/maxParameters is 19, and 20 numbers train even with/);
    // A head of each site stays: 20 + 4 + 10.
    expect(() => parameterBudget(trainables, 33, { ...sites, minActivePerSite: 1 })).toThrow(/and 34 numbers/);
  });

  it('in seconds takes what a step takes without and with frozen heads for a fixed time and one for each head', () => {
    const constraint = new StepTimeConstraint(2, 10);
    expect(constraint.ratio(10, 0.1)).toBeUndefined();
    for (const seconds of [3, 3, 9]) constraint.took(seconds);
    // A guess: 0.4 of 3 s are the heads', 0.12 each, so that 1 s less are 8.3 heads: 1 stays.
    expect(constraint.ratio(10, 0.1)).toMatchObject({
      seconds: 3,
      isMet: false,
      ratio: expect.closeTo(0.9, 3) as number,
    });
    // It took 1.2 s with one: 0.2 s a head, 1 s in any case, so that 5 heads fit into 2 s.
    constraint.took(1.2);
    expect(constraint.ratio(1, 0.1)).toMatchObject({
      seconds: 1.2,
      isMet: true,
      ratio: expect.closeTo(0.5, 3) as number,
    });
    // Never less than the ratio that was asked for.
    constraint.took(2);
    expect(constraint.ratio(5, 0.8)!.ratio).toBe(0.8);
    // What freezing can't reach ends at most heads frozen.
    const tight = new StepTimeConstraint(0.5, 10);
    tight.took(3);
    expect(tight.ratio(10, 0)).toMatchObject({ ratio: MOST_FROZEN, isMet: false });
  });
});

import { expect, it } from 'vitest';
import { propose } from '../../src-main/effilora/configurator.ts';
import { frozenShareOf } from '../../src-main/effilora/memory-plan.ts';
import { reducerReason } from '../../src-main/effilora/proposal-words.ts';
import { data, engine, GiB, model } from './plan-facts.ts';

const withNumbers = (parameters: number) => propose(model, data, { memoryBytes: 64 * GiB, parameters }, engine);
/** A of each width and a router a site, which never freeze, by hand. */
const beside = (rank: number) => rank * (576 + 1536) + 30 * (6 * 576 + 1536);

it('changes nothing where half of it holds A and the routers', () => {
  const { method, warnings } = withNumbers(2 * beside(32));
  expect([method.rank, method.targets.length, warnings]).toEqual([32, 7, []]);
});

it('takes fewer sites, then a lower rank, where they would take more, says why, and tells what freezes', () => {
  const { method, reasons, fits } = withNumbers(2 * beside(16));
  expect([method.rank, method.targets, fits]).toEqual([32, ['q_proj', 'k_proj', 'v_proj', 'o_proj'], true]);
  const because = `over half of the ${(2 * beside(16)).toLocaleString('en')} numbers that may train`;
  const reasonOf = (plan: typeof reasons, choice: string) => plan.find((reason) => reason.choice === choice)!.text;
  expect(reasonOf(reasons, 'targets')).toContain(because);
  expect(reasonOf(reasons, 'rank')).not.toContain('may train');
  const ofHeads = 30 * 32 * (2 * 576 + 2 * 192);
  const never = 32 * 576 + 30 * 4 * 576;
  expect(frozenShareOf(model, method, 0.1, 500_000)).toBeCloseTo(1 - (500_000 - never) / ofHeads, 10);
  expect(frozenShareOf(model, method, 0.9)).toBe(0.9);
  const narrow = withNumbers(2 * (16 * 576 + 30 * 2 * 576));
  expect([narrow.method.rank, narrow.method.targets]).toEqual([16, ['q_proj', 'v_proj']]);
  expect(reasonOf(narrow.reasons, 'rank')).toContain('numbers that may train');
});

it('is told where no structure leaves heads room', () => {
  const { fits, warnings } = withNumbers(1000);
  expect(fits).toBe(false);
  // rank 2 on queries and values
  const least = 2 * 576 + 30 * 2 * 576;
  expect(warnings).toEqual([expect.stringContaining(`take ${least.toLocaleString('en')} at the least`)]);
});

it('is said in the sentence of what freezes, as other constraints are', () => {
  const told = (more: object) => reducerReason({ ratio: 0, warmup: 20, ...more });
  expect(told({})).toBe('No heads are frozen: all of them train to the end.');
  expect(told({ maxParameters: 2_000_000 })).toContain('at most 2,000,000 numbers train from then on.');
  expect(told({ policy: 'prefix', maxStepSeconds: 0.8 })).toContain('a step takes about 0.8 s at most.');
  expect(told({ ratio: 0.6, tolerance: 0.01 })).toContain('rises by more than 0.01');
});

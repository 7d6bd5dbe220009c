import { expect, it } from 'vitest';
import { budgetAt, keptOf } from '../../src-main/effilora/rank-schedule.ts';

it('the budget falls along a cube from all to the target, in every deltaT-th step and at the last choice', () => {
  const schedule = { tInit: 2, tFinal: 3, deltaT: 2, steps: 12 };
  const budgets = Array.from({ length: 12 }, (_, i) => budgetAt(i + 1, 70, 28, schedule));
  const none = undefined;
  // 42 (1 - (t - 2) / 7)^3 + 28 at t = 4, 6, 8, and at 9 the target: 43.3, 31.3, 28.1
  expect(budgets).toEqual([none, none, none, 43, none, 31, none, 28, 28, none, none, none]);
});

it('of equal scores at the edge none stays', () => {
  expect(keptOf([3, 1, 2, 5, 2], 2)).toEqual([1, 0, 0, 1, 0]);
  expect(keptOf([3, 1, 2, 5, 2], 3)).toEqual([1, 0, 0, 1, 0]);
  expect(keptOf([3, 1, 2], 3)).toEqual([1, 1, 1]);
});

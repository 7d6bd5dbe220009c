import { expect, it } from 'vitest';
import { TimeLeft } from '../../src-main/trainer/time-left.ts';

it('predicts steps of other lengths by their tokens, without the first step, which compiles', () => {
  const time = new TimeLeft(500);
  expect(time.left(10, 0)).toBe(0);
  time.step(9, 400);
  expect(time.left(10, 0)).toBeCloseTo((10 * 500 * 9) / 400, 6); // nothing better is known yet
  for (const tokens of [300, 600]) {
    time.step(tokens / 200, tokens);
    expect(time.calibrated).toBeUndefined();
  }
  time.step(1, 200);
  expect(time.calibrated).toBeCloseTo(1 / 200, 6);
  expect(time.left(10, 0)).toBeCloseTo((10 * 500) / 200, 6);
});

it('follows a machine that becomes slower, and adds the evaluations to come', () => {
  const time = new TimeLeft(100);
  for (let i = 0; i < 30; i++) time.step(1, 100);
  for (let i = 0; i < 100; i++) time.step(2, 100);
  expect(time.left(1, 0)).toBeGreaterThan(1.95);
  time.evaluation(7);
  expect(time.left(1, 3) - time.left(1, 0)).toBeCloseTo(21, 6);
});

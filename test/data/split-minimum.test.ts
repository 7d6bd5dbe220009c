import { describe, expect, it } from 'vitest';
import { fewHeldOut, heldOutCount, heldOutSplit } from '../../src-main/data/order.ts';

describe('how many examples are held out', () => {
  it('is the share, and ten at least where that is a quarter of them at most', () => {
    const of = (examples: number, share = 0.05) => heldOutCount(examples, share);
    expect([60, 40, 200, 1000].map((examples) => of(examples))).toEqual([10, 10, 10, 50]);
    expect([39, 20, 8, 4, 3].map((examples) => of(examples))).toEqual([9, 5, 2, 1, 0]);
    expect(of(60, 0.5)).toBe(30);
  });

  it('is none where none is asked for, and a number where one is', () => {
    expect([heldOutCount(60, 0), heldOutCount(60, 3), heldOutCount(3, 8), heldOutCount(0, 8)]).toEqual([0, 3, 2, 0]);
  });

  it('leaves every example on one side', () => {
    for (const examples of [1, 4, 39, 40, 61]) {
      const { train, heldOut } = heldOutSplit(examples, 0.05, 3);
      expect([...train, ...heldOut].sort((a, b) => a - b)).toEqual(Array.from({ length: examples }, (_, i) => i));
      expect(heldOut).toHaveLength(heldOutCount(examples, 0.05));
    }
  });

  it('says plainly that few were held out', () => {
    expect(fewHeldOut(5, 20)).toMatch(/^Only 5 of 20 examples are held out.*a hint/);
    expect(fewHeldOut(1, 4)).toMatch(/^Only one of 4 examples is/);
    expect([fewHeldOut(10, 60), fewHeldOut(0, 60)]).toEqual([undefined, undefined]);
  });
});

import { describe, expect, it } from 'vitest';
import { randomStream } from '../../src-main/engine/random.ts';
import { likeliest, sample, type SamplingOptions } from '../../src-main/models/sampling.ts';

const PROBABILITIES = [0.1, 0.4, 0.05, 0.25, 0.2];
const logits = Float32Array.from(PROBABILITIES, (p) => Math.log(p) + 3);
const all: SamplingOptions = { temperature: 1, topP: 1, topK: 0 };

/** How often each token is drawn in 20,000 draws. */
function shares(options: SamplingOptions): number[] {
  const random = randomStream(5, 'test');
  const counts = PROBABILITIES.map(() => 0);
  for (let i = 0; i < 20_000; i++) counts[sample(logits, options, random).id]!++;
  return counts.map((count) => count / 20_000);
}

/** 20,000 draws put a share within 0.011 of its probability 3 standard deviations wide. */
function expectShares(options: SamplingOptions, expected: number[]): void {
  shares(options).forEach((share, id) => {
    if (expected[id] === 0) expect(share).toBe(0);
    else expect(Math.abs(share - expected[id]!)).toBeLessThan(0.012);
  });
}

describe('sampling', () => {
  it('draws tokens by their probabilities', () => expectShares(all, PROBABILITIES));

  it('sharpens by the temperature', () => {
    const squared = PROBABILITIES.map((p) => p * p);
    const sum = squared.reduce((a, b) => a + b);
    expectShares(
      { ...all, temperature: 0.5 },
      squared.map((p) => p / sum),
    );
  });

  it('keeps the top k', () => expectShares({ ...all, topK: 2 }, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]));

  it('keeps the fewest tokens that reach top-p', () =>
    expectShares({ ...all, topP: 0.7 }, [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85]));

  it('takes the likeliest token at temperature 0, with its own log-probability', () => {
    const token = sample(logits, { ...all, temperature: 0 }, () => expect.fail('nothing is drawn'));
    expect(token.id).toBe(1);
    expect(token.logProbability).toBeCloseTo(Math.log(0.4), 6);
  });

  it('gives the same tokens for the same seed', () => {
    const draw = (seed: number) => {
      const random = randomStream(seed, 'test');
      return Array.from({ length: 50 }, () => sample(logits, all, random).id);
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('lists the likeliest tokens in order, of equal ones the lower id first', () => {
    expect(likeliest(logits, 3).map(({ id }) => id)).toEqual([1, 3, 4]);
    expect(likeliest(Float32Array.of(1, 2, 2, 0, 2), 2).map(({ id }) => id)).toEqual([1, 2]);
    expect(likeliest(logits, 0)).toEqual([]);
    expect(likeliest(logits, 9)).toHaveLength(5);
  });
});

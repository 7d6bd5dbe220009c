import { describe, expect, it } from 'vitest';
import { fewerHeads } from '../../src-preload/fewer-heads.ts';
import { adviceFor, type Measured } from '../../src-preload/advice.ts';

/** A run in which nothing is to be said: the loss falls, held out too, on many examples. */
const good = (changes: Partial<Measured> = {}): Measured => ({
  metrics: [
    { step: 0, evalLoss: 4, evalError: 0.1, evalExamples: 100 },
    ...Array.from({ length: 40 }, (_, i) => {
      const loss = 4 * 0.95 ** (i + 1);
      return {
        step: i + 1,
        loss,
        ...((i + 1) % 10 === 0 ? { evalLoss: loss, evalError: 0.1, evalExamples: 100 } : {}),
      };
    }),
  ],
  answers: [{ answer: ' On its  way', expected: 'on its way' }],
  importance: [1, 1, 1, 1],
  learningRate: 0.003,
  steps: 40,
  ...changes,
});
const evaluations = (losses: number[], examples = 100, error = 0.05) =>
  losses.map((evalLoss, i) => ({
    step: 10 * i,
    loss: i ? evalLoss : null,
    evalLoss,
    evalError: error,
    evalExamples: examples,
  }));
const only = (run: Measured) => {
  const found = adviceFor(run);
  expect(found).toHaveLength(1);
  return found[0]!;
};

describe('advice', () => {
  it('is none where nothing speaks for any', () => {
    expect(adviceFor(good())).toEqual([]);
    expect(adviceFor({ metrics: [], answers: [], importance: [], steps: 0 })).toEqual([]);
  });

  it('says on how few examples a loss was measured, and how uncertain it is', () => {
    const found = only(good({ metrics: evaluations([4, 2, 1], 10, 0.21) }));
    expect(found).toMatchObject({ kind: 'few', action: { change: { 'training.evalSplit': 0.3 } } });
    expect(found.text).toContain('1.00 ± 0.21 is measured on 10 examples');
    expect(adviceFor(good({ metrics: evaluations([4, 2, 1], 30) }))).toEqual([]);
  });

  it('says where the held-out loss was lowest, and how sure that is', () => {
    const rising = (error: number) => only(good({ metrics: evaluations([4, 1, 1.2, 1.3], 100, error) }));
    expect(rising(0.05)).toMatchObject({ kind: 'rising', action: { change: { 'training.steps': 10 } } });
    expect(rising(0.05).text).toContain('lowest at step 10 (1.00) and rose to 1.30 by step 30');
    expect(rising(0.05).certainty).toMatch(/^Fairly sure/);
    expect(rising(0.5).certainty).toMatch(/^A hint/);
  });

  it('says from which step on it has been flat', () => {
    const found = only(good({ metrics: evaluations([4, 2, 1, 0.999, 0.998]) }));
    expect(found).toMatchObject({ kind: 'flat', action: { change: { 'training.steps': 20 } } });
    expect(found.text).toContain('From step 20 to 40 the held-out loss fell by 0.0020');
  });

  it('takes smaller steps where a training made it worse', () => {
    const found = only(good({ metrics: evaluations([1, 1.5, 2]) }));
    expect(found).toMatchObject({ kind: 'rising', action: { change: { 'training.learningRate': 0.001 } } });
    expect(found.text).toContain('never below that before the training: 1.00, at the end 2.00');
  });

  it('counts answers that are wrong, and tells longer training from more examples', () => {
    const answers = [
      { answer: 'Yes', expected: 'yes' },
      { answer: 'Yes', expected: 'No' },
    ];
    const falling = only(good({ answers }));
    expect(falling.text).toMatch(/^1 of 2 sample answers is not/);
    expect(falling.action).toMatchObject({ change: { 'training.steps': 80 } });
    const flat = adviceFor(good({ answers, metrics: evaluations([4, 2, 1, 0.999, 0.998]) }));
    expect(flat.find(({ kind }) => kind === 'answers')!.action).toMatchObject({ go: 'data' });
  });

  it('sees a learning rate that is too high in jumps of the loss, not in its noise', () => {
    const jump = good().metrics.map((one) =>
      one.step === 20 || one.step === 30 ? { ...one, loss: one.loss! * 4 } : one,
    );
    const found = only(good({ metrics: jump }));
    expect(found).toMatchObject({ kind: 'learning-rate', action: { change: { 'training.learningRate': 0.001 } } });
    expect(found.text).toMatch(/jumped 2 times, most at step (20|30)/);
    const noise = good().metrics.map((one) => ({
      ...one,
      loss: one.loss && one.loss * (1 + 0.2 * Math.sin(one.step * 7)),
    }));
    expect(adviceFor(good({ metrics: noise }))).toEqual([]);
    const once = good().metrics.map((one) => (one.step === 20 ? { ...one, loss: one.loss! * 4 } : one));
    expect(adviceFor(good({ metrics: once }))).toEqual([]);
  });

  it('sees it in a loss that ends above where it began', () => {
    const metrics = good().metrics.map((one) => (one.loss ? { ...one, loss: 1 + one.step / 10 } : one));
    expect(only(good({ metrics })).text).toMatch(/^The loss ended higher than it began: 1\.40/);
  });

  it('says how many heads would have sufficed: an estimate, or measured', () => {
    const importance = [100, 50, 30, 20, 0.1, 0.1, 0.1, 0.1];
    const estimate = only(good({ importance }));
    expect(estimate).toMatchObject({ kind: 'heads', action: { go: 'prune' } });
    expect(estimate.text).toMatch(/^4 of 8 heads carry 99 %/);
    const curve = [0, 0.25, 0.5, 0.75].map((ratio, i) => ({ ratio, loss: [1, 0.99, 1.005, 1.4][i]! }));
    const measured = only(good({ importance, curve }));
    expect(measured.text).toMatch(
      /^Without the 50 % least important heads the held-out loss is 1\.00 in place of 1\.00|1\.01/,
    );
    expect(measured.certainty).toMatch(/^Measured/);
    expect(
      adviceFor(
        good({
          importance,
          curve: [
            { ratio: 0, loss: 1 },
            { ratio: 0.1, loss: 1.3 },
          ],
        }),
      ),
    ).toEqual([]);
  });
});

describe('whether fewer heads would have done', () => {
  const sizes = { heads: 3, rank: 8, alpha: 16, targets: ['q_proj', 'v_proj'] };
  // Of four places, a head each.
  const heads = ['0.v_proj.0', '1.v_proj.0', '1.q_proj.0', '0.q_proj.0'];
  const curve = (...losses: number[]) => losses.map((loss, at) => ({ ratio: at / 10, loss }));

  it('is told by the largest share up to which the loss stays within 1 %', () => {
    // 2 * 1.01 = 2.02: at 40 % it is within that, at 50 % above, and what comes after is luck.
    const found = fewerHeads(curve(2, 1.99, 2.01, 2.02, 2.006, 2.2, 2), sizes, heads)!;
    expect(found.text).toBe(
      'Without the 40 % least important heads the loss is 0.3 % higher: fewer heads would have done.',
    );
    // 60 % of 3 heads are 1.8.
    expect(found).toMatchObject({
      spared: 0.4,
      train: { label: 'Train with 2 heads at each place', change: { 'method.heads': 2 } },
    });
    expect(fewerHeads(curve(2, 1.9, 1.9, 1.9), { ...sizes, heads: 2 }, heads)!).toMatchObject({
      text: 'Without the 30 % least important heads the loss is 5.0 % lower: these can be left out, but they are too few to train one less at each place.',
    });
  });

  it('with one head at each place takes places away, else rank, with the scale kept', () => {
    const one = { ...sizes, heads: 1 };
    const half = curve(2, 2, 2, 2, 2, 2, 3);
    // Half of the four heads are both of v.
    expect(fewerHeads(half, one, heads)!.train).toEqual({
      label: 'Train without v_proj',
      change: { 'method.targets': ['q_proj'] },
    });
    // A quarter are one of v's: 3/4 of rank 8 are 6, and 16 / 8 = 12 / 6.
    const quarter = [0, 0.25, 0.5].map((ratio) => ({ ratio, loss: ratio > 0.25 ? 3 : 2 }));
    expect(fewerHeads(quarter, one, heads)!.train).toEqual({
      label: 'Train with rank 6',
      change: { 'method.rank': 6, 'method.alpha': 12 },
    });
  });

  it('is not claimed where every head is needed, where nothing was learned, or where nothing was measured', () => {
    expect(fewerHeads(curve(2, 2.1, 1.9), sizes, heads)).toMatchObject({
      spared: 0,
      text: 'Every head is needed: without the 10 % least important ones the loss is 5.0 % higher.',
    });
    const flat = fewerHeads(
      [
        { ratio: 0, loss: 2 },
        { ratio: 1, loss: 2.01 },
      ],
      sizes,
      heads,
    )!;
    expect(flat.text).toMatch(/^Without any of the heads the loss is 0\.5 % higher: .* too little to tell/);
    expect(flat.train).toBeUndefined();
    expect(fewerHeads(curve(2), sizes, heads)).toBeUndefined();
    expect(fewerHeads([{ ratio: 0.5, loss: 2 }], sizes, heads)).toBeUndefined();
  });
});

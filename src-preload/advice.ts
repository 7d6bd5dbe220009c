import { sparedShare } from './fewer-heads.ts';

/** What a run's files say that advice is given from. */
export interface Measured {
  /** by step, that of step 0 before the first update */
  metrics: readonly {
    step: number;
    loss?: number | null;
    evalLoss?: number | null;
    /** standard error of evalLoss by example, and of how many */
    evalError?: number | null;
    evalExamples?: number | null;
  }[];
  /** the last answers to the sample questions */
  answers: readonly { answer: string; expected: string }[];
  /** of every head, as measured last */
  importance: readonly number[];
  learningRate?: number;
  steps: number;
  /** held-out losses with shares of the heads left out, least important first, where they were measured */
  curve?: readonly { ratio: number; loss: number }[];
}

/** One thing to do next, with the figure that speaks for it. */
export interface Advice {
  kind: 'few' | 'rising' | 'flat' | 'answers' | 'learning-rate' | 'heads';
  text: string;
  /** how far that can be relied on */
  certainty: string;
  /** values of a recipe to train by again, by dotted key, or a place to go */
  action: { label: string; change: Record<string, number> } | { label: string; go: 'data' | 'prune' };
}

/** Fewer held-out examples than this leave a loss uncertain. */
const FEW = 30;
/** A change of the held-out loss smaller than this share of it is none. */
const SMALL = 0.01;
/** A loss this many times the middle of those before it is a jump, and twice is no accident. */
const JUMP = 1.8;
const JUMPS = 2;
/** Steps that a jump is told from. */
const BEFORE = 7;
/** Share of the importance that the heads which would have sufficed hold, and how many of all they are at most. */
const SUFFICES = 0.99;
const FEW_HEADS = 0.75;

const figure = (value: number) => value.toFixed(value < 0.1 ? 4 : 2);
const whole = (count: number, one: string, many: string) => (count === 1 ? `One ${one}` : `${count} ${many}`);

/** What is worth doing next, by what was measured alone; what speaks for nothing is not said. */
export function adviceFor(run: Measured): Advice[] {
  const measured = run.metrics.flatMap((one) =>
    typeof one.evalLoss === 'number' ? [{ ...one, loss: one.evalLoss }] : [],
  );
  return [tooFast(run), heldOutLoss(run, measured), wrongAnswers(run, measured), few(measured), spareHeads(run)].filter(
    (advice) => advice !== undefined,
  );
}

interface Evaluated {
  step: number;
  loss: number;
  evalError?: number | null;
  evalExamples?: number | null;
}

function few(measured: Evaluated[]): Advice | undefined {
  const last = measured.at(-1);
  const { evalExamples: examples, evalError: error } = last ?? {};
  if (!last || typeof examples !== 'number' || examples >= FEW) return undefined;
  const range = typeof error === 'number' && Number.isFinite(error) ? ` ± ${figure(error)}` : '';
  return {
    kind: 'few',
    text: `The held-out loss of ${figure(last.loss)}${range} is measured on ${whole(examples, 'example', 'examples')}.`,
    certainty: range
      ? 'The ± is the standard error: with other examples held out it would lie within it in two cases of three.'
      : 'On one example there is no telling how uncertain it is.',
    action: { label: 'Train again with 30 % held out', change: { 'training.evalSplit': 0.3 } },
  };
}

function heldOutLoss(run: Measured, measured: Evaluated[]): Advice | undefined {
  const [first, last] = [measured[0], measured.at(-1)];
  if (!first || !last || measured.length < 3) return undefined;
  const best = measured.reduce((least, one) => (one.loss < least.loss ? one : least));
  if (best.step === 0) return worse(run, first, last);
  if (last.loss > best.loss * (1 + SMALL))
    return {
      kind: 'rising',
      text: `The held-out loss was lowest at step ${best.step} (${figure(best.loss)}) and rose to ${figure(last.loss)} by step ${last.step}.`,
      certainty: certaintyOf(last.loss - best.loss, last),
      action: { label: `Train again, to step ${best.step}`, change: { 'training.steps': best.step } },
    };
  const half = measured.find(({ step }) => step >= last.step / 2)!;
  const isFlat = half.step > 0 && half !== last && half.loss - last.loss < SMALL * half.loss;
  if (!isFlat) return undefined;
  return {
    kind: 'flat',
    text: `From step ${half.step} to ${last.step} the held-out loss fell by ${(half.loss - last.loss).toFixed(4)} alone (${figure(half.loss)} to ${figure(last.loss)}).`,
    certainty: 'The same examples were measured both times. A shorter run would do, if it ends in the same place.',
    action: { label: `Train again, to step ${half.step}`, change: { 'training.steps': half.step } },
  };
}

/** Never better than before the first update. */
function worse({ learningRate }: Measured, first: Evaluated, last: Evaluated): Advice | undefined {
  if (learningRate === undefined || first.step !== 0) return undefined;
  return {
    kind: 'rising',
    text: `The held-out loss was never below that before the training: ${figure(first.loss)}, at the end ${figure(last.loss)}.`,
    certainty: `${certaintyOf(last.loss - first.loss, last)} That the steps were too large is one reason among others; the data may be another.`,
    action: thirdOf(learningRate),
  };
}

function certaintyOf(change: number, { evalError }: Evaluated): string {
  if (typeof evalError !== 'number') return 'The same examples were measured both times.';
  return change > evalError
    ? `Fairly sure: the change is larger than the standard error (${figure(evalError)}).`
    : `A hint: the change is smaller than the standard error (${figure(evalError)}), though the same examples were measured.`;
}

function wrongAnswers({ answers, steps }: Measured, measured: Evaluated[]): Advice | undefined {
  const asked = answers.filter(({ expected }) => expected !== '');
  const wrong = asked.filter(({ answer, expected }) => !isExpected(answer, expected)).length;
  if (wrong === 0) return undefined;
  const [before, last] = [measured.at(-2), measured.at(-1)];
  const stillFalls = before && last && before.loss - last.loss > SMALL * before.loss;
  return {
    kind: 'answers',
    text: `${wrong} of ${asked.length} sample answers ${wrong === 1 ? 'is' : 'are'} not the expected one word for word.`,
    certainty: stillFalls
      ? `The held-out loss was still falling at the end (${figure(before.loss)} to ${figure(last.loss)}): more steps may bring more. ${FEW_ASKED}`
      : `The held-out loss no longer falls: more examples help more than more steps. ${FEW_ASKED}`,
    action: stillFalls
      ? { label: `Train again, twice as long`, change: { 'training.steps': 2 * steps } }
      : { label: 'Add examples', go: 'data' },
  };
}
const FEW_ASKED = 'So few questions are a hint; an answer in other words may be right, too.';

/** A learning rate shows itself too high in losses that jump, or that end above where they began. */
function tooFast({ metrics, learningRate }: Measured): Advice | undefined {
  const losses = metrics.flatMap(({ step, loss }) => (step > 0 && typeof loss === 'number' ? [{ step, loss }] : []));
  if (learningRate === undefined || losses.length < 2 * BEFORE) return undefined;
  const jumps = losses.flatMap(({ step, loss }, i) => {
    const from = i < BEFORE ? NaN : middle(losses.slice(i - BEFORE, i).map((one) => one.loss));
    return loss > JUMP * from ? [{ step, from, to: loss }] : [];
  });
  const [start, end] = [losses.slice(0, BEFORE), losses.slice(-BEFORE)].map((part) =>
    middle(part.map(({ loss }) => loss)),
  );
  const diverged = end! > start! * (1 + SMALL);
  if (jumps.length < JUMPS && !diverged) return undefined;
  const most = jumps.reduce((worst, one) => (one.to / one.from > worst.to / worst.from ? one : worst), jumps[0]!);
  return {
    kind: 'learning-rate',
    text: diverged
      ? `The loss ended higher than it began: ${figure(start!)} over the first ${BEFORE} steps, ${figure(end!)} over the last.`
      : `The loss jumped ${jumps.length} times, most at step ${most.step}: from ${figure(most.from)} to ${figure(most.to)}.`,
    certainty: diverged
      ? 'Fairly sure: a learning rate that suits lowers the loss on what it learns.'
      : 'Likely: single examples that are unlike the others make such jumps, too.',
    action: thirdOf(learningRate),
  };
}

const thirdOf = (learningRate: number): Advice['action'] => ({
  label: 'Train again, with smaller steps',
  change: { 'training.learningRate': Number((learningRate / 3).toPrecision(2)) },
});

function spareHeads({ importance, curve = [] }: Measured): Advice | undefined {
  const action = { label: 'Prune', go: 'prune' } as const;
  const all = curve.find(({ ratio }) => ratio === 0);
  const spared = sparedShare(curve);
  if (all && spared && spared.ratio > 0)
    return {
      kind: 'heads',
      text: `Without the ${Math.round(100 * spared.ratio)} % least important heads the held-out loss is ${figure(spared.loss)} in place of ${figure(all.loss)}.`,
      certainty: 'Measured, on the data of the drop curve.',
      action,
    };
  const total = importance.reduce((sum, value) => sum + value, 0);
  if (curve.length > 0 || !(total > 0)) return undefined;
  let [held, heads] = [0, 0];
  for (const value of [...importance].sort((a, b) => b - a)) {
    if (held >= SUFFICES * total) break;
    held += value;
    heads += 1;
  }
  if (heads > FEW_HEADS * importance.length) return undefined;
  return {
    kind: 'heads',
    text: `${heads} of ${importance.length} heads carry ${Math.round(100 * SUFFICES)} % of the importance that was measured: these may have sufficed.`,
    certainty: 'An estimate from the training steps; the drop curve there measures it.',
    action,
  };
}

const middle = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Whether an answer is the expected one, but for space and case. */
export const isExpected = (answer: string, expected: string): boolean =>
  expected !== '' && plain(answer) === plain(expected);
const plain = (text: string) => text.trim().replace(/\s+/g, ' ').toLowerCase();

import { evaluationTokens, mostTokens } from './length-facts.ts';
import {
  bestRecomputation,
  flopsPerToken,
  frozenBytes,
  memoryPlan,
  numbersBesideHeads,
  PRECISIONS,
  trainedNumbers,
} from './memory-plan.ts';
import type { EngineFacts, ModelFacts, Precision, RunShape } from './memory-plan.ts';
import type { Budget, Candidate, DataFacts, Proposal, TimePlan } from './proposal.ts';
import { backwardShare } from './prefix.ts';
import { lengthWarnings, memoryWarnings, reasonsFor, timeWarnings, tooFewNumbers } from './proposal-words.ts';
import { seenShape } from './seen.ts';
import * as rules from './structure-rules.ts';
import type { AdapterOptions } from './types.ts';

const { EXAMPLES_A_STEP, RANKS } = rules;
const BATCHES = [8, 4, 2, 1];

/**
 * The best run that fits a budget (docs/method.md, Configurator). What matters most is settled first: sequence length, rank,
 * precision, targets, micro-batch; so the micro-batch gives way first and the sequence length last. Recomputation costs only
 * time and comes before anything is given up.
 */
export function propose(model: ModelFacts, data: DataFacts, budget: Budget, engine: EngineFacts): Proposal {
  const leaves = (run: Candidate) => leavesHeads(model, run, budget);
  const isTooNarrow = !firstOf(candidatesOf(model, data, engine), leaves);
  const candidates = () => only(candidatesOf(model, data, engine), (run) => isTooNarrow || leaves(run));
  const first = firstOf(candidates(), () => true)!;
  /** the least memory in which nothing is given up but time */
  const whole = firstOf(candidates(), ({ batch, recompute }) => batch === 1 && recompute !== false)!;
  const found = firstOf(candidates(), (run) => memoryPlan(model, engine, run).total <= budget.memoryBytes);
  const run = found ?? [...candidates()].at(-1)!;
  const memory = memoryPlan(model, engine, run);
  const time = timeOf(model, data, engine, run, budget);
  const warnings = [
    ...memoryWarnings(found !== undefined, memory, run, whole, model, engine, budget),
    ...lengthWarnings(data, run),
    ...time.warnings,
    ...(isTooNarrow ? [tooFewNumbers(budget.parameters!, numbersBesideHeads(model, leastOf(model)))] : []),
  ];
  return {
    method: { ...run.method, reducer: rules.reducerFor(time.steps, time.freezesLayers) },
    training: {
      steps: time.steps,
      learningRate: rules.learningRateFor(model.parameters, data.examples),
      schedule: 'cosine',
      patience: rules.patienceFor(data.examples),
      batch: run.batch,
      accumulate: EXAMPLES_A_STEP / run.batch,
      sequenceLength: run.sequenceLength,
      precision: run.precision,
      recompute: Number(run.recompute) || false,
    },
    reasons: reasonsFor(model, run, first, data, time, budget),
    warnings,
    fits: found !== undefined && time.fits && !isTooNarrow,
    memory,
    seconds: time.seconds,
    parameters: trainedNumbers(model, run.method),
  };
}

/** Whether a budget of numbers has room for heads that train beside A and the routers, which never freeze: half of it. */
const leavesHeads = (model: ModelFacts, { method }: RunShape, { parameters = Infinity }: Budget): boolean =>
  numbersBesideHeads(model, method) <= parameters / 2;

/** The method that trains least. */
const leastOf = (model: ModelFacts): AdapterOptions => adapterOf(RANKS.at(-1)!, targetsOf(model).at(-1)!);

function* only(candidates: Iterable<Candidate>, isIt: (run: Candidate) => boolean): Generator<Candidate> {
  for (const run of candidates) if (isIt(run)) yield run;
}

/** Of hundreds, most are never made. */
function firstOf(candidates: Iterable<Candidate>, isIt: (run: Candidate) => boolean): Candidate | undefined {
  for (const run of candidates) if (isIt(run)) return run;
  return undefined;
}

/** Every run worth trying, best first. */
function* candidatesOf(model: ModelFacts, data: DataFacts, engine: EngineFacts): Generator<Candidate> {
  const able = PRECISIONS.filter((precision) => engine.precisions.includes(precision));
  // a form that is no smaller than one before it gains nothing
  const precisions = able.filter((precision, i) =>
    able.slice(0, i).every((better) => frozenBytes(model, precision) < frozenBytes(model, better)),
  );
  const targetSets = targetsOf(model);
  const run = (
    sequenceLength: number,
    rank: number,
    precision: Precision,
    targets: string[],
    batch: number,
    recompute: boolean,
  ): Candidate => {
    const tokens = mostTokens(data, engine.endToEnd, sequenceLength, batch);
    const method = adapterOf(rank, targets);
    const shape = {
      ...{ method, precision, products: 'f32' as const, sequenceLength, batch, tokens, recompute },
      evaluationTokens: evaluationTokens(sequenceLength),
      seen: seenShape(data.seen, method, batch, data.meanTokens, evaluationTokens(sequenceLength)),
    };
    return recompute ? { ...shape, recompute: bestRecomputation(model, engine, shape) } : shape;
  };
  const lengths = lengthsOf(model, data);
  yield run(lengths[0]!, RANKS[0]!, precisions[0]!, targetSets[0]!, BATCHES[0]!, false);
  for (const length of lengths)
    for (const rank of RANKS)
      for (const precision of precisions)
        for (const targets of targetSets)
          for (const batch of BATCHES) yield run(length, rank, precision, targets, batch, true);
}

function adapterOf(rank: number, targets: string[]): AdapterOptions {
  const structure = {
    name: 'effilora',
    share: 'global',
    router: 'site',
    dropout: 0,
    rsLora: false,
    dora: false,
  } as const;
  return { ...structure, rank, heads: rules.HEADS, alpha: 2 * rank, targets };
}

/**
 * Covers the 95th percentile, in steps of 64 tokens, within the model's context; then shorter by halves, down to 64. What is seen is
 * never cut: there all examples have to fit.
 */
function lengthsOf({ contextLength }: ModelFacts, { p95Tokens, maxTokens, seen }: DataFacts): number[] {
  const rounded = (tokens: number) => Math.min(contextLength, Math.max(64, Math.ceil(tokens / 64) * 64));
  if (seen) return [rounded(maxTokens)];
  const lengths = [rounded(p95Tokens)];
  while (lengths.at(-1)! > 64) lengths.push(rounded(lengths.at(-1)! / 2));
  return [...new Set(lengths)];
}

/** All sites; the attention's; its queries and values. */
function targetsOf({ sites }: ModelFacts): string[][] {
  const all = [...new Set(sites.map(({ site }) => site))];
  const attention = all.filter((site) => ['q_proj', 'k_proj', 'v_proj', 'o_proj'].includes(site));
  const least = all.filter((site) => ['q_proj', 'v_proj'].includes(site));
  return [all, attention, least].filter((set) => set.length > 0);
}

/** Three passes, or as many steps as the time allows: then whole layers freeze, whose way back is saved. */
function timeOf(model: ModelFacts, data: DataFacts, engine: EngineFacts, run: RunShape, budget: Budget): TimePlan {
  const stepsAPass = (data.learned ?? data.examples) / EXAMPLES_A_STEP;
  const exampleTokens = Math.min(data.meanTokens, run.sequenceLength);
  const secondsAStep = (backward = 1) =>
    (flopsPerToken(model, run, exampleTokens, backward) * EXAMPLES_A_STEP * exampleTokens) / engine.flopsPerSecond;
  const wanted = Math.max(1, Math.round(rules.PASSES * stepsAPass));
  const { seconds = Infinity } = budget;
  const freezesLayers = budget.mayFreezeLayers === true && wanted * secondsAStep() > seconds;
  const shareOf = (steps: number) =>
    backwardShare({ policy: 'topk', probe: true, ...rules.reducerFor(steps, freezesLayers) }, steps, model.layers);
  const secondsFor = (steps: number) => steps * secondsAStep(shareOf(steps));
  let affordable = Math.min(wanted, Math.floor(seconds / secondsAStep(freezesLayers ? 0 : 1)));
  while (affordable > 0 && secondsFor(affordable) > seconds) affordable--;
  const steps = Math.max(1, affordable);
  const onePass = Math.ceil(stepsAPass);
  return {
    steps,
    seconds: secondsFor(steps),
    secondsAStep: secondsFor(steps) / steps,
    passes: steps / stepsAPass,
    freezesLayers,
    fits: affordable >= 1,
    warnings: timeWarnings(affordable, { steps: onePass, seconds: secondsFor(onePass) }, secondsAStep()),
  };
}

import { evaluationTokens, mostTokens, type LengthFacts } from './length-facts.ts';
import {
  bestRecomputation,
  flopsPerToken,
  frozenBytes,
  memoryPlan,
  PRECISIONS,
  trainedNumbers,
} from './memory-plan.ts';
import type { EngineFacts, MemoryPlan, ModelFacts, Precision, RunShape } from './memory-plan.ts';
import { seenShape, type SeenFacts } from './seen.ts';
import type { AdapterOptions, ReducerOptions } from './types.ts';

export interface DataFacts extends LengthFacts {
  examples: number;
  /** how many of them `clusters` is told from */
  sampled: number;
  /** kinds of task: the elbow of k-means over the examples' TF-IDF (HydraLoRA's procedure) */
  clusters: number;
  /** what they bring to be seen before the blocks */
  seen?: SeenFacts;
}

/** What the user gives. */
export interface Budget {
  memoryBytes: number;
  /** undefined: as long as it takes */
  seconds?: number;
}

export interface Reason {
  /** the choice explained, by its name in the recipe */
  choice: string;
  text: string;
}

/** A plan in a recipe's terms. */
export interface Proposal {
  method: AdapterOptions & { reducer: Pick<ReducerOptions, 'ratio' | 'warmup' | 'interval'> };
  training: {
    steps: number;
    /** examples a micro-batch */
    batch: number;
    accumulate: number;
    sequenceLength: number;
    precision: Precision;
    /** blocks that backward computes again together; false: none */
    recompute: number | false;
  };
  reasons: Reason[];
  /** what to change where something had to give or does not fit */
  warnings: string[];
  fits: boolean;
  memory: MemoryPlan;
  seconds: number;
  /** steps in which every example is seen once */
  stepsAPass: number;
  parameters: number;
}

/** Examples a step, whatever fits at a time. */
const EXAMPLES_A_STEP = 8;
const EPOCHS = 3;
const RANKS = [16, 8, 4, 2];
const BATCHES = [8, 4, 2, 1];
const REDUCER_RATIO = 0.6;

/**
 * The best run that fits a budget (docs/method.md, Configurator). What matters most is settled first: sequence length, rank,
 * precision, targets, micro-batch; so the micro-batch gives way first and the sequence length last. Recomputation costs only
 * time and comes before anything is given up.
 */
export function propose(model: ModelFacts, data: DataFacts, budget: Budget, engine: EngineFacts): Proposal {
  const candidates = () => candidatesOf(model, data, engine);
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
  ];
  const warmup = Math.max(1, Math.round(0.2 * time.steps));
  const interval = Math.max(1, Math.round(0.1 * time.steps));
  return {
    method: { ...run.method, reducer: { ratio: REDUCER_RATIO, warmup, interval } },
    training: {
      steps: time.steps,
      batch: run.batch,
      accumulate: EXAMPLES_A_STEP / run.batch,
      sequenceLength: run.sequenceLength,
      precision: run.precision,
      recompute: Number(run.recompute) || false,
    },
    reasons: reasonsFor(run, first, data, time, warmup),
    warnings,
    fits: found !== undefined && time.fits,
    memory,
    seconds: time.seconds,
    stepsAPass: time.stepsAPass,
    parameters: trainedNumbers(model, run.method),
  };
}

/** A run with its examples a micro-batch. */
type Candidate = RunShape & { batch: number };

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
  const heads = Math.min(8, Math.max(2, data.clusters));
  const run = (
    sequenceLength: number,
    rank: number,
    precision: Precision,
    targets: string[],
    batch: number,
    recompute: boolean,
  ): Candidate => {
    const tokens = mostTokens(data, engine.endToEnd, sequenceLength, batch);
    const method = adapterOf(rank, heads, targets);
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

function adapterOf(rank: number, heads: number, targets: string[]): AdapterOptions {
  const structure = {
    name: 'effilora',
    share: 'global',
    router: 'site',
    dropout: 0,
    rsLora: false,
    dora: false,
  } as const;
  return { ...structure, rank, heads, alpha: 2 * rank, targets };
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

interface TimePlan {
  steps: number;
  seconds: number;
  secondsAStep: number;
  stepsAPass: number;
  epochs: number;
  fits: boolean;
  warnings: string[];
}

function timeOf(model: ModelFacts, data: DataFacts, engine: EngineFacts, run: RunShape, { seconds }: Budget): TimePlan {
  const stepsAPass = Math.max(1, Math.ceil(data.examples / EXAMPLES_A_STEP));
  const exampleTokens = Math.min(data.meanTokens, run.sequenceLength);
  const flops = flopsPerToken(model, run, exampleTokens) * EXAMPLES_A_STEP * exampleTokens;
  const secondsAStep = flops / engine.flopsPerSecond;
  const wanted = EPOCHS * stepsAPass;
  const affordable = seconds === undefined ? wanted : Math.floor(seconds / secondsAStep);
  const steps = Math.max(1, Math.min(wanted, affordable));
  const warnings: string[] = [];
  if (affordable < 1) {
    warnings.push(
      `One step takes about ${duration(secondsAStep)}: raise the time to that at least, or take a smaller model.`,
    );
  } else if (steps < stepsAPass) {
    const share = Math.round((100 * steps) / stepsAPass);
    warnings.push(
      `The time reaches for ${share} % of the examples: raise it to ${duration(stepsAPass * secondsAStep)} to see each once.`,
    );
  }
  return {
    steps,
    seconds: steps * secondsAStep,
    secondsAStep,
    stepsAPass,
    epochs: steps / stepsAPass,
    fits: affordable >= 1,
    warnings,
  };
}

function memoryWarnings(
  fits: boolean,
  memory: MemoryPlan,
  run: Candidate,
  whole: Candidate,
  model: ModelFacts,
  engine: EngineFacts,
  budget: Budget,
): string[] {
  if (!fits) {
    return [
      `The least that ${model.name} needs is ${size(memory.total)}, the budget is ${size(budget.memoryBytes)}: raise the memory by ${size(memory.total - budget.memoryBytes)}, or choose a smaller or quantized model.`,
    ];
  }
  const given = [
    run.method.targets.length < whole.method.targets.length && 'targets',
    run.precision !== whole.precision && 'precision',
    run.method.rank < whole.method.rank && 'rank',
    run.sequenceLength < whole.sequenceLength && 'sequence length',
  ].filter((what) => what !== false);
  if (given.length === 0) return [];
  const bytes = memoryPlan(model, engine, whole).total;
  return [`The memory took its toll on ${given.join(', ')}: with ${size(bytes)} nothing is given up.`];
}

function lengthWarnings(data: DataFacts, run: RunShape): string[] {
  if (data.seen && data.maxTokens > run.sequenceLength)
    return [
      `Examples longer than ${run.sequenceLength} tokens, which is all that the model reads, are left out, as their ${data.seen.name} are never cut (the longest has ${data.maxTokens}): make the ${data.seen.name} smaller, or split the examples.`,
    ];
  if (data.seen || data.p95Tokens <= run.sequenceLength) return [];
  return [
    `Examples longer than ${run.sequenceLength} tokens are cut (the 95th percentile is ${data.p95Tokens}): raise the memory, or split the long examples.`,
  ];
}

const sampledExamples = ({ examples, sampled }: DataFacts) =>
  sampled < examples ? `${sampled} examples drawn from all` : 'the examples';

/** A sentence for each choice. */
function reasonsFor(run: Candidate, first: Candidate, data: DataFacts, time: TimePlan, warmup: number): Reason[] {
  const { method, precision, sequenceLength, batch, recompute } = run;
  const kept = (same: boolean, otherwise: string) => (same ? 'It fits as it is.' : otherwise);
  const forMemory = 'The memory allows no more.';
  return [
    {
      choice: 'heads',
      text: `${method.heads} heads a site: ${sampledExamples(data)} fall into ${data.clusters} ${data.clusters === 1 ? 'kind' : 'kinds'} by their words.`,
    },
    {
      choice: 'sequenceLength',
      text: `${sequenceLength} tokens: ${data.seen ? `the longest example has ${data.maxTokens} with its ${data.seen.name}` : `the 95th percentile of the examples is ${data.p95Tokens}`}. ${kept(sequenceLength === first.sequenceLength, forMemory)}`,
    },
    ...(data.seen ? [{ choice: data.seen.name, text: data.seen.said }] : []),
    {
      choice: 'rank',
      text: `Rank ${method.rank}, shared A for every layer. ${kept(method.rank === first.method.rank, forMemory)}`,
    },
    {
      choice: 'precision',
      text: `Frozen weights ${precision === 'file' ? 'as they lie in the file' : `in ${precision}`}. ${kept(precision === first.precision, 'A more exact form does not fit.')}`,
    },
    {
      choice: 'targets',
      text: `Adapts ${method.targets.map((site) => site.replace('_proj', '')).join(', ')}. ${kept(method.targets.length === first.method.targets.length, 'More sites do not fit.')}`,
    },
    {
      choice: 'batch',
      text: `${batch} examples at a time, ${EXAMPLES_A_STEP} a step: ${batch === EXAMPLES_A_STEP ? 'all at once fit.' : `gradients of ${EXAMPLES_A_STEP / batch} micro-batches are added up, which changes nothing but the time.`}`,
    },
    {
      choice: 'recompute',
      text: recompute
        ? `Blocks are computed again in backward${Number(recompute) > 1 ? `, ${Number(recompute)} at a time` : ''}: half as much time again for the products, and much less memory.`
        : 'The memory holds every block, so none is computed twice.',
    },
    {
      choice: 'steps',
      text: `${time.steps} steps of about ${duration(time.secondsAStep)}: the examples are seen ${time.epochs.toFixed(1)} times.`,
    },
    { choice: 'reducer', text: reducerReason(REDUCER_RATIO, warmup) },
  ];
}

/** What the Reducer does in a run, as a sentence. */
export function reducerReason(ratio: number, warmup: number, policy?: string): string {
  if (ratio === 0) return 'No heads are frozen: all of them train to the end.';
  const frozen = `From step ${warmup} the ${Math.round(100 * ratio)} % least important heads are frozen: fewer numbers go on learning.`;
  if (policy === 'prefix')
    return `${frozen} Layers freeze whole from the bottom up as far as their importance allows, and their way back is saved.`;
  return `${frozen} A step is hardly faster for it (1 to 2 %).`;
}

function size(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

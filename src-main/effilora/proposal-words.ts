import { counted, howOften } from '../../src-preload/counted.ts';
import {
  memoryPlan,
  trainedNumbers,
  type EngineFacts,
  type MemoryPlan,
  type ModelFacts,
  type RunShape,
} from './memory-plan.ts';
import type { Budget, Candidate, DataFacts, Reason, TimePlan } from './proposal.ts';
import { areFew, EXAMPLES_A_STEP, learningRateFor, loraLike, RANKS, reducerFor } from './structure-rules.ts'; // prettier-ignore
import type { AdapterOptions, ReducerOptions } from './types.ts';

// The Configurator's sentences.

export function memoryWarnings(
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

export function lengthWarnings(data: DataFacts, run: RunShape): string[] {
  if (data.seen && data.maxTokens > run.sequenceLength)
    return [
      `Examples longer than ${run.sequenceLength} tokens, which is all that the model reads, are left out, as their ${data.seen.name} are never cut (the longest has ${data.maxTokens}): make the ${data.seen.name} smaller, or split the examples.`,
    ];
  if (data.seen || data.p95Tokens <= run.sequenceLength) return [];
  return [
    `Examples longer than ${run.sequenceLength} tokens are cut (the 95th percentile is ${data.p95Tokens}): raise the memory, or split the long examples.`,
  ];
}

/** @param pass steps in which every example is seen once, and how long they take */
export function timeWarnings(
  affordable: number,
  pass: { steps: number; seconds: number },
  secondsAStep: number,
): string[] {
  if (affordable < 1)
    return [
      `One step takes about ${duration(secondsAStep)}: raise the time to that at least, or take a smaller model.`,
    ];
  if (affordable >= pass.steps) return [];
  const share = Math.round((100 * affordable) / pass.steps);
  return [`The time reaches for ${share} % of the examples: raise it to ${duration(pass.seconds)} to see each once.`];
}

const sampledExamples = ({ examples, sampled }: DataFacts) =>
  sampled < examples ? `${sampled} examples drawn from all` : 'these';

/**
 * What is to be said where so few examples are learned from that they may be learned by heart.
 * @param passes how often each is seen
 * @param stops whether the run ends where held-out examples gain no more
 */
export function fewExamples(examples: number, passes: number, stops: boolean): string | undefined {
  if (!areFew(examples)) return undefined;
  const seen = passes < 0.95 ? 'even where not all are seen' : `seen ${howOften(passes)}`;
  const then = stops
    ? 'So the run ends where held-out examples gain no more, and keeps its best state.'
    : 'Hold some of them out and set patience, and the run ends where those gain no more.';
  return `${examples} examples are few: ${seen}, they may be learned by heart rather than what they have in common. ${then} More examples help more than any setting.`;
}

/** A sentence for each choice. */
export function reasonsFor(
  model: ModelFacts,
  run: Candidate,
  first: Candidate,
  data: DataFacts,
  time: TimePlan,
  budget: Budget,
): Reason[] {
  const { method, precision, sequenceLength, batch, recompute } = run;
  const kept = (same: boolean, otherwise: string) => (same ? 'It fits as it is.' : otherwise);
  const forMemory = 'The memory allows no more.';
  const sites = new Set(model.sites.map(({ site }) => site)).size;
  const forNumbers = `With more, A and the routers, which never freeze, would be over half of the ${inFull(budget.parameters ?? 0)} numbers that may train.`;
  return [
    {
      choice: 'heads',
      text: `${method.heads === 1 ? 'One head' : `${method.heads} heads`} a site, whether examples are alike or mixed (${sampledExamples(data)} fall into ${counted(data.clusters, 'kind')} by their words): in our trials one head of a larger rank learned more than several of smaller ones.`,
    },
    {
      choice: 'sequenceLength',
      text: `${sequenceLength} tokens: ${data.seen ? `the longest example has ${data.maxTokens} with its ${data.seen.name}` : `the 95th percentile of the examples is ${data.p95Tokens}`}. ${kept(sequenceLength === first.sequenceLength, forMemory)}`,
    },
    ...(data.seen ? [{ choice: data.seen.name, text: data.seen.said }] : []),
    {
      choice: 'rank',
      text: `Rank ${method.rank}, shared A for every layer. ${first.method.rank < RANKS[0]! ? forNumbers : kept(method.rank === first.method.rank, forMemory)}`,
    },
    { choice: 'parameters', text: parametersReason(model, method) },
    {
      choice: 'precision',
      text: `Frozen weights ${precision === 'file' ? 'as they lie in the file' : `in ${precision}`}. ${kept(precision === first.precision, 'A more exact form does not fit.')}`,
    },
    {
      choice: 'targets',
      text: `Adapts ${method.targets.map((site) => site.replace('_proj', '')).join(', ')}. ${first.method.targets.length < sites ? forNumbers : kept(method.targets.length === first.method.targets.length, 'More sites do not fit.')}`,
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
      text: stepsReason(time),
    },
    {
      choice: 'learningRate',
      text: rateReason(
        { learningRate: learningRateFor(model.parameters, data.examples), schedule: 'cosine' },
        model,
        data.examples,
      ),
    },
    { choice: 'reducer', text: reducerReason(reducerFor(time.steps, time.freezesLayers)) },
  ];
}

/** How many steps, how long, and how often what is learned from is seen, as a sentence. */
export function stepsReason(time: Pick<TimePlan, 'steps' | 'secondsAStep' | 'passes' | 'freezesLayers'>): string {
  const told = `${time.steps} steps of about ${duration(time.secondsAStep)}: the examples are seen ${time.passes.toFixed(1)} times.`;
  return time.freezesLayers
    ? `${told} As the time is short, whole layers freeze in the last third, which makes room for more of them.`
    : told;
}

/** The rate along the steps, as a sentence. */
export function rateReason(
  { learningRate, schedule }: { learningRate: number; schedule: 'constant' | 'linear' | 'cosine' },
  { parameters }: Pick<ModelFacts, 'parameters'>,
  examples: number,
): string {
  const along = schedule === 'constant' ? 'at every step' : 'at first, falling to nothing by the last step';
  const isProposed = learningRate === learningRateFor(parameters, examples);
  const isHalved = isProposed && areFew(examples);
  const isOfSize = isProposed && learningRateFor(parameters, Infinity) < learningRateFor(0, Infinity);
  const why = [
    ...(isHalved ? ['half of what many examples get, as few are learned by heart sooner'] : []),
    ...(isOfSize ? ['the larger a model, the smaller its steps'] : []),
  ].join('; ');
  return `${learningRate} ${along}${why && `: ${why}`}.`;
}

/** How many numbers a method trains, and what share that is of LoRA's of its rank, as a sentence. */
export const parametersReason = (model: ModelFacts, method: AdapterOptions): string =>
  parametersSentence(trainedNumbers(model, method), trainedNumbers(model, loraLike(method)), method.rank);

export const parametersSentence = (numbers: number, ofLora: number, rank: number): string =>
  `Trains ${inFull(numbers)} numbers, ${Math.round((100 * numbers) / ofLora)} % of what LoRA of rank ${rank} would on the same sites.`;

/** What a budget of numbers that train is too narrow for, as a sentence. */
export const tooFewNumbers = (most: number, beside: number): string =>
  `Of the ${inFull(most)} numbers that may train, A and the routers, which never freeze, take ${inFull(beside)} at the least, so that hardly a head can learn: raise method.reducer.maxParameters to ${inFull(2 * beside)}, or leave it out.`;

/** What the user's own structure is too large for, as a sentence. */
export const tooManyNumbers = (most: number, least: number): string =>
  `${inFull(least)} numbers of this structure train even with every head frozen that may be, and at most ${inFull(most)} may: lower the rank, adapt fewer sites, or raise method.reducer.maxParameters.`;

interface ToldReducer extends Pick<ReducerOptions, 'ratio' | 'warmup'> {
  policy?: ReducerOptions['policy'];
  maxParameters?: number;
  maxStepSeconds?: number;
  tolerance?: number;
}

/** What the Reducer does in a run, its constraints included, in sentences. */
export function reducerReason({
  ratio,
  warmup,
  policy,
  maxParameters,
  maxStepSeconds,
  tolerance,
}: ToldReducer): string {
  const share = ratio === 0 ? 'the' : `the ${Math.round(100 * ratio)} %`;
  const frozen = `From step ${warmup} ${share} least important heads are frozen: fewer numbers go on learning.`;
  const saved =
    policy === 'prefix'
      ? 'Layers freeze whole from the bottom up as far as their importance allows, and their way back is saved.'
      : 'A step is hardly faster for it (1 to 2 %).';
  const kept = [
    maxParameters !== undefined && `So many freeze that at most ${inFull(maxParameters)} numbers train from then on.`,
    maxStepSeconds !== undefined && `So many layers freeze that a step takes about ${maxStepSeconds} s at most.`,
    tolerance !== undefined &&
      `Where the held-out loss rises by more than ${tolerance} after that, they train again, and the run ends no further above its best.`,
  ].filter((sentence) => sentence !== false);
  if (ratio === 0 && kept.length === 0) return 'No heads are frozen: all of them train to the end.';
  return [frozen, saved, ...kept].join(' ');
}

const inFull = (numbers: number) => numbers.toLocaleString('en');

function size(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

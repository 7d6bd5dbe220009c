import { totalmem } from 'node:os';
import type { Plan, PlanRequest } from '../../../src-preload/contract/index.ts';
import { readDataset } from '../../data/dataset.ts';
import { heterogeneity } from '../../data/heterogeneity.ts';
import { DECODER_SITES } from '../../models/types.ts';
import type { ModelConfig, ModelFile } from '../../models/types.ts';
import { predictMemory, siteWidths } from './memory.ts';

const RANKS = [16, 8, 4, 2];
const BATCHES = [8, 4, 2, 1];
const SHORTEST_TOKENS = 64;
const LONGEST_TOKENS = 2_048;
/** Examples a step is meant to see, whatever fits at once. */
const EXAMPLES_A_STEP = 8;

interface Settings {
  heads: number;
  rank: number;
  sequenceLength: number;
  batch: number;
  ratio: number;
  steps: number;
}

/**
 * METHOD.md's Configurator: heads from the data's heterogeneity, then the best of sequence length, rank and micro-batch
 * that fits the memory, in this order; what the user fixed stays.
 * @throws UserError when a dataset can't be read
 */
export async function proposePlan(model: ModelFile, request: PlanRequest): Promise<Plan> {
  const data = await measureData(model, request);
  const limitBytes = Math.min(request.memoryBytes, totalmem());
  const fixed = (key: string) => (typeof request.fixed[key] === 'number' ? (request.fixed[key] as number) : undefined);
  const length = Math.min(model.config.contextLength, LONGEST_TOKENS, Math.max(SHORTEST_TOKENS, round(data.p95)));
  const wanted: Settings = {
    heads: fixed('method.heads') ?? data.heads,
    rank: fixed('method.rank') ?? RANKS[1]!,
    sequenceLength: fixed('training.sequenceLength') ?? length,
    batch: fixed('training.batch') ?? BATCHES[0]!,
    ratio: fixed('method.reducer.ratio') ?? 0.5,
    steps: fixed('training.steps') ?? Math.max(50, Math.min(2_000, Math.round((3 * data.kept) / EXAMPLES_A_STEP))),
  };
  const settings = shrink(model, wanted, limitBytes, (key) => fixed(key) !== undefined);
  const memory = predictMemory(model, settings);
  const peakBytes = memory.reduce((sum, part) => sum + part.bytes, 0);
  const fits = peakBytes <= limitBytes;
  return {
    recipe: recipeOf(request, settings),
    fits,
    limitBytes,
    memory,
    seconds: null,
    choices: explain(settings, wanted, data),
    warnings: fits ? [] : [warning(peakBytes, limitBytes, settings)],
    structure: structureOf(model.config, settings),
  };
}

const round = (tokens: number) => Math.ceil(tokens / 32) * 32;

async function measureData(model: ModelFile, request: PlanRequest) {
  const { tokenizer, chatTemplate: template, config } = model;
  const sequenceLength = Math.min(config.contextLength, LONGEST_TOKENS);
  const options = {
    tokenizer,
    template,
    loss: 'answer' as const,
    sequenceLength,
    vocabularySize: config.vocabularySize,
  };
  const datasets = await Promise.all(request.mix.map((part, index) => readDataset(part, index, options)));
  const examples = datasets.flatMap((dataset) => dataset.examples);
  const texts = examples.slice(0, 1_000).map(({ inputIds }) => tokenizer?.decode(inputIds) ?? [...inputIds].join(' '));
  const lengths = examples.map(({ inputIds }) => inputIds.length).sort((a, b) => a - b);
  const { clusters: heads } = heterogeneity(texts);
  return { heads, kept: examples.length, p95: lengths[Math.floor(0.95 * (lengths.length - 1))] ?? SHORTEST_TOKENS };
}

/** Gives things up one after the other, the cheapest loss first, until the rest fits or nothing is left to give. */
function shrink(model: ModelFile, wanted: Settings, limitBytes: number, isFixed: (key: string) => boolean): Settings {
  let settings = wanted;
  const fits = () => predictMemory(model, settings).reduce((sum, part) => sum + part.bytes, 0) <= limitBytes;
  const give = (key: string, name: 'batch' | 'rank' | 'sequenceLength', values: number[]) => {
    if (isFixed(key)) return;
    for (const value of values.filter((candidate) => candidate < settings[name])) {
      if (fits()) return;
      settings = { ...settings, [name]: value };
    }
  };
  give('training.batch', 'batch', BATCHES);
  give('method.rank', 'rank', RANKS);
  give('training.sequenceLength', 'sequenceLength', [1_024, 512, 256, 128, SHORTEST_TOKENS]);
  return settings;
}

function recipeOf(request: PlanRequest, settings: Settings): Plan['recipe'] {
  const { heads, rank, ratio, steps, batch, sequenceLength } = settings;
  const other = (key: string) => request.fixed[key];
  const rate = other('training.learningRate');
  const name = other('method.name') ?? 'effilora';
  const warmup = Math.max(1, Math.round(steps * 0.2));
  return {
    model: request.model,
    dataset: request.mix,
    method: {
      name: String(name),
      rank,
      heads: name === 'lora' ? 1 : heads,
      targets: [...DECODER_SITES],
      ...(name === 'effilora' ? { reducer: { ratio, warmup, interval: Math.max(1, Math.round(steps / 20)) } } : {}),
    },
    training: {
      steps,
      batch,
      accumulate: Math.max(1, Math.round(EXAMPLES_A_STEP / batch)),
      sequenceLength,
      learningRate: typeof rate === 'number' ? rate : 1e-3,
      evalEvery: Math.max(5, Math.round(steps / 10)),
      checkpointEvery: Math.max(5, Math.round(steps / 20)),
      headsEvery: Math.max(1, Math.round(steps / 1_000)),
    },
    budget: { memoryBytes: Math.round(request.memoryBytes), ...(request.seconds ? { seconds: request.seconds } : {}) },
  };
}

function explain(
  settings: Settings,
  wanted: Settings,
  data: { heads: number; kept: number; p95: number },
): Plan['choices'] {
  const given = (name: 'batch' | 'rank' | 'sequenceLength') =>
    settings[name] < wanted[name] ? ` Lowered from ${wanted[name]} to fit the memory.` : '';
  return [
    {
      name: 'Heads',
      value: String(settings.heads),
      reason: `The examples fall into about ${data.heads} kinds (k-means over their words); a head can serve each.`,
    },
    { name: 'Rank', value: String(settings.rank), reason: `Width of the shared A.${given('rank')}` },
    {
      name: 'Sequence length',
      value: `${settings.sequenceLength} tokens`,
      reason: `95 % of the examples have at most ${data.p95} tokens.${given('sequenceLength')}`,
    },
    {
      name: 'Examples at once',
      value: String(settings.batch),
      reason: `A step sees ${EXAMPLES_A_STEP} examples, this many at a time.${given('batch')}`,
    },
    {
      name: 'Frozen heads',
      value: `${Math.round(settings.ratio * 100)} %`,
      reason: 'The least important heads stop training after the warm-up, which saves time and memory.',
    },
    {
      name: 'Steps',
      value: String(settings.steps),
      reason: `About three passes over ${data.kept} examples, between 50 and 2,000.`,
    },
  ];
}

function warning(peakBytes: number, limitBytes: number, { sequenceLength }: Settings): string {
  const [need, have] = [peakBytes, limitBytes].map((bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`);
  return (
    `This needs ${need}, and the budget is ${have}, even with one example of ${sequenceLength} tokens at a time. ` +
    'Raise the memory budget, or choose a smaller base model.'
  );
}

function structureOf(config: ModelConfig, { heads, rank, ratio }: Settings): Plan['structure'] {
  const widths = siteWidths(config);
  const perLayer = widths.reduce((sum, [inputs, outputs]) => sum + heads * (outputs * rank + inputs), 0);
  const shared = [...new Set(widths.map(([inputs]) => inputs))].reduce((sum, inputs) => sum + inputs * rank, 0);
  return {
    layers: config.layers,
    sites: [...DECODER_SITES],
    heads,
    rank,
    trainableParameters: perLayer * config.layers + shared,
    frozenShare: ratio,
  };
}

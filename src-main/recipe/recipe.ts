import path from 'node:path';
import { z } from 'zod';
import { parseDocument, stringify } from 'yaml';
import { METHOD_NAMES } from '../../src-preload/contract/choices.ts';
import { EXAMPLE_FORMATS } from '../data/types.ts';
import { DEFAULT_RANKS, defaultAlpha } from '../effilora/methods/defaults.ts';
import { DEFAULT_LEARNING_RATES } from '../effilora/methods/learning-rates.ts';
import { isRouted } from '../effilora/methods/registry.ts';
import { checkPlainKeys } from '../engine/plain-keys.ts';
import { PRODUCTS } from '../engine/products.ts';
import { UserError } from '../engine/types.ts';
import { DECODER_SITES } from '../models/types.ts';
import { WEIGHT_FORMATS } from '../models/weight-format.ts';
import { diffusionMethodSchema, diffusionTrainingSchema } from './diffusion.ts';
import { explainIssue } from './errors.ts';
import { adaloraSchema, checkMethod, ownOptions, veraSchema } from './of-methods.ts';
import { rememberWritten, toWrite } from './written.ts';

const count = z.number().int().positive();
const share = z.number().min(0).max(1);

const datasetSchema = z.strictObject({
  path: z.string().min(1),
  /** how often each of its examples is seen in an epoch */
  weight: z.number().positive().max(1000).default(1),
  mapping: z.record(z.string(), z.string()).optional(),
  format: z.enum(EXAMPLE_FORMATS).optional(),
  /** of a folder whose files name splits; default train */
  split: z.string().min(1).optional(),
  /** of a folder whose README.md names several configurations; default its default one */
  config: z.string().min(1).optional(),
  /** held out: a split that came with it, or part: of the rows that are trained on. Default validation, else test, else part */
  heldOut: z.string().min(1).optional(),
  /** of an Excel workbook; default the first that is not hidden and has rows */
  sheet: z.string().min(1).optional(),
  /** train although more than 5 % of its rows can't be used */
  acceptDropped: z.boolean().optional(),
});

const reducerSchema = z.strictObject({
  ratio: share.default(0),
  warmup: count.default(100),
  interval: count.default(50),
  beta: share.default(0.85),
  policy: z.enum(['topk', 'sample', 'prefix']).default('topk'),
  /** prefix: most of the summed importance that layers frozen whole may have */
  importanceAtMost: share.default(0.5),
  temperature: z.number().positive().default(1),
  schedule: z.enum(['step', 'cubic']).default('step'),
  finalStep: count.optional(),
  probe: z.boolean().default(true),
  minActivePerSite: z.number().int().nonnegative().default(0),
  tolerance: z.number().positive().optional(),
  /** resource constraints: numbers that train at most, and seconds that a step takes at most; the ratio is raised for them */
  maxParameters: count.optional(),
  maxStepSeconds: z.number().positive().optional(),
});

const methodSchema = z.strictObject({
  name: z.enum(METHOD_NAMES).default('effilora'),
  /** default by method: DEFAULT_RANKS */
  rank: count.max(1024).optional(),
  heads: count.max(64).default(3),
  /** scale = alpha / rank; default by method: defaultAlpha */
  alpha: z.number().positive().optional(),
  targets: z
    .array(z.enum(DECODER_SITES))
    .min(1)
    .default([...DECODER_SITES]),
  /** of a model that takes pictures: what of that which sees them learns, too */
  vision: z
    .strictObject({
      tower: z.enum(['frozen', 'adapted']).default('frozen'),
      connector: z.enum(['frozen', 'adapted', 'whole']).default('frozen'),
    })
    .optional(),
  /** of a model that makes pictures: what of it learns */
  diffusion: diffusionMethodSchema.optional(),
  share: z.enum(['global', 'module']).default('global'),
  router: z.enum(['site', 'layer']).default('site'),
  dropout: z.number().min(0).max(0.95).default(0),
  rsLora: z.boolean().default(false),
  dora: z.boolean().default(false),
  vera: veraSchema.optional(),
  adalora: adaloraSchema.optional(),
  reducer: reducerSchema.prefault({}),
});

/** Share of the examples that is held out where a recipe says nothing of it. */
export const EVAL_SPLIT = 0.05;

const trainingSchema = z.strictObject({
  steps: count.optional(),
  epochs: z.number().positive().optional(),
  /** examples a micro-batch; a step takes batch * accumulate */
  batch: count.default(8),
  accumulate: count.default(1),
  sequenceLength: count.default(512),
  packing: z.boolean().default(true),
  loss: z.enum(['answer', 'all']).default('answer'),
  /** what becomes of examples longer than sequenceLength */
  long: z.enum(['truncate', 'cut', 'drop']).default('truncate'),
  /** default by method: DEFAULT_LEARNING_RATES */
  learningRate: z.number().positive().max(1).optional(),
  /** learning rate of B over that of the rest */
  rateOfB: z.number().positive().default(1),
  /** learning rate of a connector that is trained whole over that of the rest */
  rateOfConnector: z.number().positive().default(0.1),
  schedule: z.enum(['constant', 'linear', 'cosine']).default('cosine'),
  warmupSteps: z.number().int().nonnegative().default(0),
  weightDecay: z.number().nonnegative().default(0),
  clipNorm: z.number().nonnegative().default(1),
  seed: z.number().int().nonnegative().default(0),
  /** of the products; int8: those with frozen linears in integers */
  precision: z.enum(PRODUCTS).default('f32'),
  /** how frozen weights are held: as they lie in the file (auto), or in at most so many bits */
  weights: z.enum(WEIGHT_FORMATS).default('auto'),
  // keep only the input of every so many blocks for backward (true: of each); auto: of each where steps are not compiled
  recompute: z.union([z.boolean(), z.number().int().min(1), z.literal('auto')]).default('auto'),
  /** held-out share (below 1) or number of examples */
  evalSplit: z.number().nonnegative().default(EVAL_SPLIT),
  evalEvery: count.default(50),
  /** held-out examples that an evaluation is of, at most: by seed always the same ones */
  evalExamples: z.union([count, z.literal('all')]).default(200),
  /** held-out prompts that are answered at every evaluation, into samples.jsonl */
  samples: z.number().int().min(0).max(32).default(2),
  /** evaluations without a better held-out loss before the run stops; 0 = off */
  patience: z.number().int().nonnegative().default(0),
  shuffle: z.boolean().default(true),
  checkpointEvery: count.default(50),
  /** a checkpoint also after so many minutes without one */
  checkpointMinutes: z.number().positive().max(1440).default(10),
  keepCheckpoints: count.default(2),
  /** steps between two lines of heads.jsonl; default 1 for runs under 1,000 steps, else 10 */
  headsEvery: count.optional(),
  /** of a model that makes pictures: how they are learned, and what is painted meanwhile */
  diffusion: diffusionTrainingSchema.optional(),
  /** also write tensorboard/ in the run's folder */
  tensorboard: z.boolean().default(false),
});

export const recipeSchema = z.strictObject({
  model: z.string().min(1),
  dataset: z.union([z.string().min(1), z.array(datasetSchema).min(1)]),
  method: methodSchema.prefault({}),
  training: trainingSchema.prefault({}),
  engine: z.enum(['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu']).default('auto'),
  /** what the Configurator planned for: bytes and seconds */
  budget: z.strictObject({ memoryBytes: count.optional(), seconds: z.number().positive().optional() }).optional(),
  /** an adapter to start from: folder or adapter.safetensors */
  init: z.string().min(1).optional(),
});

type ParsedRecipe = z.infer<typeof recipeSchema>;

/** A recipe with every default filled in. */
export type Recipe = Omit<ParsedRecipe, 'dataset' | 'method' | 'training'> & {
  dataset: z.infer<typeof datasetSchema>[];
  method: Omit<ParsedRecipe['method'], 'alpha' | 'rank'> & { alpha: number; rank: number };
  training: Omit<ParsedRecipe['training'], 'learningRate'> & { learningRate: number };
};

/**
 * A recipe from YAML text. Paths in it are relative to `folder`.
 * @throws UserError naming the key, its line and the nearest valid one
 */
export function parseRecipe(text: string, file: string): Recipe {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error)
    throw new UserError(
      `${file}, line ${error.linePos?.[0].line ?? 1}: not valid YAML (${error.message.split('\n')[0]})`,
    );
  const written = valueOf(document, file);
  checkPlainKeys(written, file);
  const parsed = recipeSchema.safeParse(written);
  if (!parsed.success) throw new UserError(explainIssue(parsed.error.issues[0]!, document, text, file));
  const recipe = complete(parsed.data, path.dirname(path.resolve(file)), file);
  rememberWritten(recipe, written);
  return recipe;
}

/** @throws UserError for an alias of nothing, or aliases that make more of a text than it holds */
function valueOf(document: ReturnType<typeof parseDocument>, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new UserError(`${file}: not valid YAML (${(error as Error).message.slice(0, 200)})`);
  }
}

function complete(recipe: ParsedRecipe, folder: string, file: string): Recipe {
  const { training } = recipe;
  const method = completeMethod(recipe.method);
  checkMethod(method, file);
  if (training.steps !== undefined && training.epochs !== undefined)
    throw new UserError(`${file}: training.steps and training.epochs are both there; keep one of them`);
  if (training.steps === undefined && training.epochs === undefined) training.epochs = 1;
  const { reducer } = method;
  if (reducer.finalStep !== undefined && reducer.finalStep <= reducer.warmup)
    throw new UserError(
      `${file}: method.reducer.finalStep (${reducer.finalStep}) has to lie behind warmup (${reducer.warmup})`,
    );
  checkPrefix(method, file);
  if (reducer.policy === 'prefix' && reducer.minActivePerSite > 0)
    throw new UserError(
      `${file}: method.reducer.minActivePerSite can't be kept by the policy prefix, which freezes whole layers; leave it out or take topk`,
    );
  checkConstraints(method, file);
  if (training.precision === 'int8' && (training.weights === 'f32' || training.weights === 'bf16'))
    throw new UserError(
      `${file}: training.precision int8 multiplies frozen weights as integers, so that training.weights ${training.weights} would only take memory; leave weights out, or take int8 or int4`,
    );
  const resolve = (relative: string) => path.resolve(folder, relative);
  const datasets = typeof recipe.dataset === 'string' ? [{ path: recipe.dataset, weight: 1 }] : recipe.dataset;
  return {
    ...recipe,
    // A model may be a name, which is no path.
    model:
      recipe.model.includes('/') || recipe.model.includes('\\') || recipe.model.endsWith('.gguf')
        ? resolve(recipe.model)
        : recipe.model,
    dataset: datasets.map((dataset) => ({ ...dataset, path: resolve(dataset.path) })),
    method,
    training: { ...training, learningRate: training.learningRate ?? DEFAULT_LEARNING_RATES[method.name] },
    init: recipe.init && resolve(recipe.init),
  };
}

function completeMethod(method: ParsedRecipe['method']): Recipe['method'] {
  const { name, rank = DEFAULT_RANKS[name], alpha = defaultAlpha(name, rank) } = method;
  return { ...method, ...ownOptions(method), rank, alpha, heads: isRouted(method) ? method.heads : 1 };
}

/** @throws UserError where layers are to freeze whole from the bottom, and what lies below them learns */
export function checkPrefix({ reducer, vision }: Pick<Recipe['method'], 'reducer' | 'vision'>, file: string): void {
  const learns = vision !== undefined && (vision.tower !== 'frozen' || vision.connector !== 'frozen');
  if (reducer.policy === 'prefix' && learns)
    throw new UserError(
      `${file}: method.reducer.policy is prefix, which ends the backward pass above frozen layers, and what sees pictures lies below them; take topk, or leave method.vision out`,
    );
}

function checkConstraints({ name, reducer }: Pick<Recipe['method'], 'name' | 'reducer'>, file: string): void {
  const { maxParameters, maxStepSeconds, tolerance, policy } = reducer;
  const given =
    maxParameters !== undefined ? 'maxParameters' : maxStepSeconds !== undefined ? 'maxStepSeconds' : undefined;
  if (!given) return;
  if (name === 'adalora')
    throw new UserError(`${file}: method.reducer.${given} is not there for the method adalora, whose ranks have a budget of their own; leave it out`); // prettier-ignore
  if (tolerance !== undefined)
    throw new UserError(
      `${file}: method.reducer.${given} freezes heads whatever the held-out loss does, and method.reducer.tolerance lets them train again when it rises; leave one of them out`,
    );
  if (maxStepSeconds !== undefined && policy !== 'prefix')
    throw new UserError(
      `${file}: method.reducer.maxStepSeconds needs method.reducer.policy prefix, as only layers that freeze whole save time worth counting`,
    );
}

/** A complete recipe as YAML, which reproduces the run. */
export function formatRecipe(recipe: Recipe): string {
  return stringify(toWrite(recipe));
}

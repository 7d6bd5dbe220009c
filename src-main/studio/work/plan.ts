import { stringify } from 'yaml';
import type { Plan, PlanRequest } from '../../../src-preload/contract/index.ts';
import { fewHeldOut } from '../../data/order.ts';
import { propose } from '../../effilora/configurator.ts';
import { evaluationTokens, mostTokens } from '../../effilora/length-facts.ts';
import { seenShape } from '../../effilora/seen.ts';
import type { Proposal, Reason } from '../../effilora/proposal.ts';
import {
  fewExamples,
  parametersReason,
  rateReason,
  reducerReason,
  stepsReason,
} from '../../effilora/proposal-words.ts';
import { reducerFor } from '../../effilora/structure-rules.ts';
import { keepsNumbers, tooLarge, tooManyTrain } from './plan-limits.ts';
import { flopsPerToken, frozenShareOf, memoryPlan, trainedNumbers } from '../../effilora/memory-plan.ts';
import { backwardShare } from '../../effilora/prefix.ts';
import type { MemoryPlan, ModelFacts } from '../../effilora/memory-plan.ts';
import { DEFAULT_LEARNING_RATES } from '../../effilora/methods/learning-rates.ts';
import { DEFAULT_RANKS, defaultAlpha } from '../../effilora/methods/defaults.ts';
import { isRouted } from '../../effilora/methods/registry.ts';
import type { AdapterOptions, MethodName } from '../../effilora/types.ts';
import { speedFacts } from '../../trainer/machine-speed.ts';
import { taskOf } from '../../tasks/registry.ts';
import { heldBy } from '../../trainer/held.ts';
import { engineFacts } from '../../trainer/engine-facts.ts';
import { knownFacts, type MixFacts } from './data-facts.ts';
import { memoryOn } from './plan-memory.ts';
import { IN_FLOATS, productsFor, type ChosenProducts } from './plan-products.ts';
import { heldOutFacts, secondsBesideSteps } from './plan-time.ts';
import { parseRecipe, type Recipe } from '../../recipe/recipe.ts';
import { seeingOptions } from '../../recipe/vision.ts';
import { checkOption, withOptions } from '../../recipe/options.ts';
import { chooseEngine } from '../../engine/index.ts';
import type { Products } from '../../engine/products.ts';
import type { EngineStatus } from '../../engine/types.ts';
import { UserError } from '../../engine/types.ts';
import type { ModelFile } from '../../models/types.ts';
import type { WeightFormat } from '../../models/weight-format.ts';

export const PARTS: Record<Exclude<keyof MemoryPlan, 'total'>, string> = {
  frozenWeights: 'Frozen weights',
  adapter: 'Adapter',
  gradientsAndMoments: 'Gradients and moments',
  activations: 'Activations',
  transient: 'Largest transient',
  engine: 'Engine',
};

/**
 * The Configurator's proposal for a model, a mix and a budget. What the user fixed replaces the Configurator's choice,
 * and memory and time are predicted again for it.
 * @throws UserError when a dataset can't be read, or something fixed is no option of a recipe's
 */
export async function proposePlan(model: ModelFile, request: PlanRequest): Promise<Plan> {
  for (const [key, value] of Object.entries(request.fixed)) checkOption(key, value);
  const data = await knownFacts(model, request);
  const facts = taskOf(model).plan.model(model);
  const chosen = await chooseEngine(heldBy(model));
  const products = await productsFor(request.fixed, chosen, facts);
  const plan = planWith(products, { model, request, data, facts, chosen });
  // Integers take memory for weights turned round: where it is not there, they are left.
  return plan.fits || products.isOwn ? plan : planWith(IN_FLOATS, { model, request, data, facts, chosen });
}

interface Planning {
  model: ModelFile;
  request: PlanRequest;
  data: MixFacts;
  facts: ModelFacts;
  chosen: EngineStatus;
}

function planWith({ products, reason }: ChosenProducts, { model, request, data, facts, chosen }: Planning): Plan {
  const { plan } = taskOf(model);
  const engine = engineFacts(chosen, products);
  const room = memoryOn(chosen, request.memoryBytes);
  const heldOut = heldOutFacts(request.fixed['training.evalSplit'], data);
  const learned = Math.max(1, heldOut.of - heldOut.examples);
  const proposed = (seconds: number | undefined) => {
    const budget = {
      memoryBytes: room.limitBytes,
      seconds,
      parameters: request.fixed['method.reducer.maxParameters'] as number | undefined,
      mayFreezeLayers: mayFreezeLayers(request, data),
    };
    const proposal = propose(facts, { ...data, learned }, budget, engine);
    const run = withFixed(proposal, request.fixed);
    const recipe = withFixedOptions(recipeOf({ ...request, ...room }, run, products), request.fixed);
    const whole = completeRecipe(recipe);
    const { targets, ...more } = seeingOptions(whole.method.vision, facts.seeing);
    const method = { ...run.method, ...more, targets: [...run.method.targets, ...targets] };
    const shape = { ...run.training, method };
    const beside = secondsBesideSteps(whole, shape, heldOut, facts, engine, speedFacts(chosen), plan, data.seen);
    return { proposal, run: { ...run, method }, recipe, whole, beside };
  };
  const free = proposed(request.seconds);
  // The time is for steps and all else together.
  const { proposal, run, recipe, whole, beside } =
    request.seconds === undefined ? free : proposed(request.seconds - free.beside);
  const { batch, accumulate, sequenceLength } = run.training;
  const passesAStep = (batch * accumulate) / learned;
  const tokens = mostTokens(data, engine.endToEnd, sequenceLength, batch);
  const evaluates = request.fixed['training.evalSplit'] !== 0 || data.parts.some(({ separate }) => separate);
  const heldOutTokens = evaluates ? evaluationTokens(sequenceLength) : 0;
  const seen = seenShape(data.seen, run.method, batch, data.meanTokens, heldOutTokens);
  const shape = { ...run.training, products, tokens, seen, evaluationTokens: heldOutTokens, method: run.method } as const; // prettier-ignore
  const memory = memoryPlan(facts, engine, shape);
  const exampleTokens = Math.min(data.meanTokens, sequenceLength);
  const share = backwardShare(whole.method.reducer, run.training.steps, facts.layers);
  const flops = flopsPerToken(facts, shape, exampleTokens, share) * batch * accumulate * exampleTokens;
  const secondsAStep = flops / engine.flopsPerSecond;
  // Of a rate of the user's own, what was proposed is told beside it.
  const rate = ('training.learningRate' in request.fixed ? proposal : whole).training.learningRate;
  return {
    recipe,
    values: { ...flatten(whole.method, 'method'), ...flatten(whole.training, 'training'), engine: whole.engine },
    ...{ proposed: { steps: proposal.training.steps }, passesAStep },
    heldOut: { examples: heldOut.examples, of: heldOut.of },
    fits: memory.total <= room.limitBytes && keepsNumbers(facts, run.method, whole.method.reducer),
    ...room,
    memory: Object.entries(PARTS).map(([key, part]) => ({ part, bytes: memory[key as keyof typeof PARTS] })),
    seconds: run.training.steps * secondsAStep + beside,
    ...{ secondsBeside: beside, secondsMeasured: engine.isMeasured },
    choices: reasonsOf(proposal, reason, recipe, {
      facts,
      structure: run.method,
      rate: rateReason({ schedule: whole.training.schedule, learningRate: rate }, facts, data.examples),
      steps: stepsReason(proposedTime(proposal, secondsAStep, passesAStep)),
    }).map((reason) => choiceOf(reason, request.fixed)),
    warnings: [
      ...(model.warnings ?? []),
      ...proposal.warnings,
      ...fewWarnings(data.examples, run.training.steps * passesAStep, whole.training.patience, heldOut),
      ...tooManyTrain(facts, run.method, proposal.method, whole.method.reducer),
      ...tooLarge(memory.total, room.limitBytes),
    ],
    structure: structureOf(facts, run.method, whole.method.reducer),
  };
}

const structureOf = (facts: ModelFacts, method: AdapterOptions, reducer: Recipe['method']['reducer']) => ({
  layers: facts.layers,
  ...{ sites: method.targets, heads: method.heads, rank: method.rank },
  trainableParameters: trainedNumbers(facts, method),
  frozenShare: method.name === 'effilora' ? frozenShareOf(facts, method, reducer.ratio, reducer.maxParameters) : 0,
});

/**
 * Whether whole layers may freeze where the time is short: it makes room for more steps, unless the user says how many there are. What is
 * seen may learn, too, below all layers.
 */
const mayFreezeLayers = ({ fixed }: PlanRequest, { seen }: MixFacts): boolean =>
  seen === undefined && !Object.keys(fixed).some((key) => /^(method\.(name|reducer\.)|training\.steps$)/.test(key));

/** What is to be said of few examples, and of few that are held out. @param passes how often those that are learned from are seen */
function fewWarnings(examples: number, passes: number, patience: number, heldOut: { examples: number; of: number }) {
  const few = fewExamples(examples, passes, patience > 0 && heldOut.examples > 0);
  return [few, fewHeldOut(heldOut.examples, heldOut.of)].filter((told) => told !== undefined);
}

/** The recipe with every default. @throws UserError that begins with the key at fault, as there is no file to name */
function completeRecipe(recipe: Plan['recipe']): Recipe {
  try {
    return parseRecipe(stringify(recipe), 'The recipe');
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.message.replace(/^The recipe(, line \d+)?: /, ''));
  }
}

/** `{ reducer: { ratio: 0.5 } }` -> `{ 'method.reducer.ratio': 0.5 }`; lists stay whole. */
export function flatten(value: object, prefix: string): Record<string, unknown> {
  const entries = Object.entries(value).map(([key, inner]: [string, unknown]): [string, unknown][] =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.entries(flatten(inner, `${prefix}.${key}`))
      : [[`${prefix}.${key}`, inner]],
  );
  return Object.fromEntries(entries.flat());
}

function withFixed(proposal: Proposal, fixed: PlanRequest['fixed']) {
  const number = (key: string, otherwise: number) =>
    typeof fixed[key] === 'number' ? (fixed[key] as number) : otherwise;
  const { method, training } = proposal;
  const name = (fixed['method.name'] as MethodName | undefined) ?? method.name;
  // What is proposed is for an A that learns; VeRA's doesn't, and has a rank of its own.
  const rank = number('method.rank', name === 'vera' ? DEFAULT_RANKS.vera : method.rank);
  const heads = isRouted({ name }) ? number('method.heads', method.heads) : 1;
  const steps = number('training.steps', training.steps);
  const batch = number('training.batch', training.batch);
  const proposed = reducerFor(steps, method.reducer.policy === 'prefix');
  const reducer = { ...proposed, ratio: number('method.reducer.ratio', proposed.ratio) };
  const weights = fixed['training.weights'] as WeightFormat | undefined;
  const targets = Array.isArray(fixed['method.targets']) ? (fixed['method.targets'] as string[]) : method.targets;
  const wanted = fixed['training.recompute'];
  const recompute = typeof wanted === 'boolean' || typeof wanted === 'number' ? wanted : training.recompute;
  const accumulate = Math.max(1, Math.round((training.batch * training.accumulate) / batch));
  return {
    method: { ...method, name, rank, heads, alpha: defaultAlpha(name, rank), targets, reducer },
    training: {
      ...training,
      precision: weights === 'auto' ? ('file' as const) : (weights ?? training.precision),
      steps,
      batch,
      recompute,
      accumulate: number('training.accumulate', accumulate),
      sequenceLength: number('training.sequenceLength', training.sequenceLength),
      learningRate: number(
        'training.learningRate',
        name === method.name ? training.learningRate : DEFAULT_LEARNING_RATES[name],
      ),
    },
  };
}

function recipeOf(
  request: PlanRequest & Pick<Plan, 'budgetBytes'>,
  { method, training }: ReturnType<typeof withFixed>,
  products: Products,
): Plan['recipe'] {
  const { name, rank, heads, alpha, targets, reducer } = method;
  const often = (share: number) => Math.max(1, Math.round(training.steps * share));
  return {
    model: request.model,
    dataset: request.mix,
    method: { name, rank, heads, alpha, targets, ...(name === 'effilora' ? { reducer } : {}) },
    training: {
      ...training,
      precision: training.precision === 'bf16' ? 'bf16' : products,
      weights: training.precision === 'file' ? 'auto' : training.precision,
      evalEvery: often(0.1),
      checkpointEvery: often(0.1),
      headsEvery: Math.max(1, Math.floor(training.steps / 1_000)),
    },
    budget: { memoryBytes: request.budgetBytes, ...(request.seconds ? { seconds: request.seconds } : {}) },
  };
}

/** Every option that the user fixed; those that the plan weighs are in it already. The Reducer's are for a method that has one, and a method's own for that alone. */
function withFixedOptions(recipe: Plan['recipe'], fixed: PlanRequest['fixed']): Plan['recipe'] {
  const hasReducer = recipe.method.name === 'effilora';
  const isOfOther = (key: string) => {
    const [, own] = /^method\.(vera|adalora)\./.exec(key) ?? [];
    return own !== undefined && own !== recipe.method.name;
  };
  const taken = Object.entries(fixed).filter(
    ([key]) => (hasReducer || !key.startsWith('method.reducer.')) && !isOfOther(key),
  );
  return withOptions(recipe, Object.fromEntries(taken));
}

/** Keys of choices that a recipe knows by another name. */
const KEYS: Record<string, string> = { precision: 'training.weights', products: 'training.precision' };
const CHOICES: Record<string, string> = {
  precision: 'Frozen weights',
  sequenceLength: 'Sequence length',
  targets: 'Adapted sites',
  batch: 'Examples at once',
  recompute: 'Recomputation',
  reducer: 'Frozen heads',
  learningRate: 'Learning rate',
};

/** Of the steps that are proposed; the user may have fixed how many examples one has. */
const proposedTime = ({ training: { steps }, method }: Proposal, secondsAStep: number, passesAStep: number) => ({
  ...{ steps, secondsAStep, passes: steps * passesAStep },
  freezesLayers: method.reducer.policy === 'prefix',
});

/** The proposal's reasons; what is trained, and what the Reducer does, follows from what the user may have fixed. */
function reasonsOf(
  { reasons }: Proposal,
  products: string | undefined,
  { method }: Plan['recipe'],
  { facts, structure, rate, steps }: { facts: ModelFacts; structure: AdapterOptions; rate: string; steps: string },
): Reason[] {
  const reducer = method.reducer as Parameters<typeof reducerReason>[0] | undefined;
  const told: Record<string, string | undefined> = {
    parameters: parametersReason(facts, structure),
    learningRate: rate,
    steps,
    reducer: reducer && reducerReason(reducer),
  };
  const all = [...reasons, ...(products === undefined ? [] : [{ choice: 'products', text: products }])];
  return all.flatMap(({ choice, text: proposed }) => {
    const text = choice in told ? told[choice] : proposed;
    return text === undefined ? [] : [{ choice, text }];
  });
}

/** A choice with its sentence; one that the user made says so. */
export function choiceOf(
  { choice, text }: Pick<Reason, 'text'> & { choice: string },
  fixed: PlanRequest['fixed'],
): Plan['choices'][number] {
  const name = CHOICES[choice] ?? choice.charAt(0).toUpperCase() + choice.slice(1);
  const keys = KEYS[choice] ? [KEYS[choice]] : [`method.${choice}`, `training.${choice}`];
  const key = keys.find((candidate) => candidate in fixed);
  if (!key) return { name, value: '', reason: text };
  return { name, value: String(fixed[key]), reason: `You set this yourself. Proposed was: ${text}` };
}

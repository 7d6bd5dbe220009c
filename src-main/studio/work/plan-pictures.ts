import { counted } from '../../../src-preload/counted.ts';
import { stringify } from 'yaml';
import type { Plan, PlanRequest } from '../../../src-preload/contract/index.ts';
import { fewHeldOut } from '../../data/order.ts';
import { chooseEngine } from '../../engine/index.ts';
import { HEADS, loraLike, reducerFor } from '../../effilora/structure-rules.ts';
import { adaptedSites, parameterCounts } from '../../effilora/methods/structure.ts';
import { parametersSentence, reducerReason } from '../../effilora/proposal-words.ts';
import type { AdapterOptions, SiteShape } from '../../effilora/types.ts';
import { PRODUCTS } from '../../engine/products.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { diffusionSites } from '../../models/diffusion/pipeline/network.ts';
import { withOptions } from '../../recipe/options.ts';
import { parseRecipe, type Recipe } from '../../recipe/recipe.ts';
import { taskOf } from '../../tasks/registry.ts';
import type { RunCost, RunData } from '../../tasks/task.ts';
import { completeFor } from '../../trainer/complete-for.ts';
import { engineFacts } from '../../trainer/engine-facts.ts';
import { heldBy } from '../../trainer/held.ts';
import { SMALLEST_STEP_FLOPS, smallStepSpeed, speedFacts, type SpeedFacts } from '../../trainer/machine-speed.ts';
import { memoryOn } from './plan-memory.ts';
import { choiceOf, flatten, PARTS } from './plan.ts';
import { needs } from './plan-limits.ts';

/** Each picture is seen about so often, in so many steps at least and at most. */
const SEEN = 40;
const STEPS = { least: 100, most: 2_000 };
/** Pictures of a step, one micro-batch where memory holds it. */
const PICTURES = 8;
/** One head a place, as for models that write: its held-out loss on the line drawings was that of three of rank 8, in fewer numbers (docs/painting.md). */
const STRUCTURE = { rank: 16, heads: HEADS };

/**
 * A recipe for a model that makes pictures: as many pictures at once as the memory holds, and steps by how many there are and how long
 * they may take. What the user fixed replaces that.
 * @throws UserError when a dataset can't be read, or something fixed is no option of a recipe's
 */
export async function proposePicturePlan(file: DiffusionModelFile, request: PlanRequest): Promise<Plan> {
  const { fixed } = request;
  const chosen = await chooseEngine(heldBy(file));
  const room = memoryOn(chosen, request.memoryBytes);
  const products = PRODUCTS.find((each) => each === fixed['training.precision']) ?? 'f32';
  const engine = engineFacts(chosen, products, 'pictures');
  const speed = speedFacts(chosen, 'pictures');
  const written = (training: object, reducer?: object) =>
    withOptions(
      {
        ...{ model: request.model, dataset: request.mix },
        method: { ...STRUCTURE, reducer },
        training,
        budget: { memoryBytes: room.budgetBytes, ...(request.seconds && { seconds: request.seconds }) },
      },
      fixed,
    );
  const read = (training: object, reducer?: object) => completed(written(training, reducer), file);
  const task = taskOf(file);
  const first = read({ steps: 1, batch: 1 });
  const data = await task.examples(first, file);
  try {
    const sites = { sites: () => sitesOf(file) };
    const costOf = (recipe: Recipe) => task.cost(recipe, task.adapterOptions(recipe, sites), file, data.train, engine);
    const fits = (batch: number) => costOf(read({ steps: 1, batch })).memory(false).total <= room.limitBytes;
    const batch = [8, 4, 2].find(fits) ?? 1;
    const again = !fits(batch);
    const accumulate = Math.max(1, Math.round(PICTURES / batch));
    const training = { batch, accumulate, ...(again && { recompute: true }) };
    const one = read({ ...training, steps: 1 });
    const aStep = one.training.batch * one.training.accumulate;
    const cost = costOf(one);
    const flops = aStep * cost.flopsPerUnit(again);
    const reached = flops < SMALLEST_STEP_FLOPS ? smallStepSpeed(chosen, 'pictures') : engine;
    const perStep = flops / reached.flopsPerSecond;
    const besideOf = (recipe: Recipe) => secondsBeside(recipe, cost, data, engine.flopsPerSecond, speed);
    const wanted = Math.ceil((SEEN * data.train.count) / aStep);
    const within = request.seconds === undefined ? Infinity : Math.floor((request.seconds - besideOf(one)) / perStep);
    const proposed = Math.max(1, Math.min(within, Math.max(STEPS.least, Math.min(STEPS.most, wanted))));
    const steps = typeof fixed['training.steps'] === 'number' ? fixed['training.steps'] : proposed;
    const often = Math.max(1, Math.round(steps * 0.1));
    const whole = { ...training, steps, evalEvery: often, checkpointEvery: often, headsEvery: Math.max(1, Math.floor(steps / 1_000)) }; // prettier-ignore
    const reducer = reducerFor(steps, false);
    const recipe = read(whole, reducer);
    const options = task.adapterOptions(recipe, sites);
    const memory = cost.memory(recipe.training.recompute !== 'auto' && recipe.training.recompute);
    const [total, beside] = [memory.total, besideOf(recipe)];
    const isShort = request.seconds !== undefined && within < wanted;
    const said = reasons(recipe, { again, proposed, isShort, pictures: data.train.count });
    return {
      recipe: written(whole, reducer) as unknown as Plan['recipe'],
      values: { ...flatten(recipe.method, 'method'), ...flatten(recipe.training, 'training'), engine: recipe.engine },
      proposed: { steps: proposed },
      passesAStep: aStep / data.train.count,
      heldOut: { examples: data.heldOutCount, of: data.heldOutCount + data.train.count },
      ...{ fits: total <= room.limitBytes, ...room },
      memory: Object.entries(PARTS).map(([key, part]) => ({ part, bytes: memory[key as keyof typeof PARTS] })),
      seconds: steps * perStep + beside,
      ...{ secondsBeside: beside, secondsMeasured: reached.isMeasured },
      choices: [...ofStructure(recipe, options, sitesOf(file)), ...said].map(([choice, reason]) =>
        choiceOf({ choice, text: reason }, fixed),
      ),
      warnings: [...(file.warnings ?? []), ...warningsOf(data, total, room.limitBytes)],
      structure: structureOf(recipe, options, cost.blocks, memory.adapter / 4),
    };
  } finally {
    data.close();
  }
}

const structureOf = (recipe: Recipe, options: AdapterOptions, layers: number, trainableParameters: number) => ({
  layers,
  ...{ sites: options.targets, heads: options.heads, rank: options.rank, trainableParameters },
  frozenShare: options.name === 'effilora' ? recipe.method.reducer.ratio : 0,
});

/** What is trained, and what the Reducer does, of what the plan or the user chose. */
function ofStructure({ method }: Recipe, options: AdapterOptions, all: SiteShape[]): [string, string][] {
  const sites = adaptedSites(all, options);
  const [numbers, ofLora] = [options, loraLike(options)].map((one) => parameterCounts(sites, one).all);
  return [
    [
      'heads',
      'One head a place: in our trials one of a larger rank came to the held-out loss of several smaller ones, in fewer numbers.',
    ],
    ['parameters', parametersSentence(numbers!, ofLora!, options.rank)],
    ...(options.name === 'effilora' ? [['reducer', reducerReason(method.reducer)] as [string, string]] : []),
  ];
}

/** Why the plan is as it is, by what was chosen. */
function reasons(
  { training }: Recipe,
  { again, proposed, isShort, pictures }: { again: boolean; proposed: number; isShort: boolean; pictures: number },
): [string, string][] {
  const { batch, accumulate, samples, diffusion } = training;
  const { resolution, sampling } = diffusion!;
  const seen = Math.round((proposed * batch * accumulate) / pictures);
  const steps = isShort ? 'as many as the time allows' : `each of ${pictures} pictures is seen about ${seen} times`;
  return [
    ['batch', `${counted(batch, 'picture')} at once: as many as the memory holds, of ${PICTURES} at most`], // prettier-ignore
    ...(again ? [['recompute', 'Transformer blocks are computed again in backward: the memory does not hold what they all keep'] as [string, string]] : []), // prettier-ignore
    ['resolution', `Pictures are learned at about ${resolution} x ${resolution} pixels, the size that the model was made for`], // prettier-ignore
    ['steps', `${proposed} steps: ${steps}`],
    ['samples', `${samples} held-out captions are painted at every evaluation, in ${sampling.steps} steps each`],
  ];
}

const sitesOf = (file: DiffusionModelFile) => diffusionSites(file.diffusion);

/** The recipe with every default that it and its model have. */
function completed(recipe: object, file: DiffusionModelFile): Recipe {
  const whole = parseRecipe(stringify(recipe), 'The recipe');
  completeFor(whole, file);
  return whole;
}

/** What comes before the steps and between them: graphs, what is looked at once, evaluations, samples. */
function secondsBeside(
  { training }: Recipe,
  cost: RunCost,
  data: RunData,
  flopsPerSecond: number,
  speed: SpeedFacts,
): number {
  const { steps = 1, evalEvery, batch, accumulate, samples, diffusion } = training;
  const looked = Math.min(data.train.count, steps * batch * accumulate) + data.heldOut.count;
  const before = cost.blocks * speed.setUpSecondsALayer + (looked * (cost.onceFlops ?? 0)) / flopsPerSecond;
  if (data.heldOut.count === 0) return before;
  const painted = diffusion!.sampling.prompts?.length ?? Math.min(samples, data.heldOut.count);
  const loss = (data.heldOut.count * (cost.evaluationFlops ?? 0)) / flopsPerSecond;
  return (
    before + (1 + Math.ceil(steps / evalEvery)) * (loss + (painted * cost.sampleFlops) / speed.answerFlopsPerSecond)
  );
}

function warningsOf({ heldOutCount, train }: RunData, needBytes: number, limitBytes: number): string[] {
  const few = fewHeldOut(heldOutCount, train.count + heldOutCount);
  const large = `${needs(needBytes, limitBytes)} Raise the memory budget, lower training.diffusion.resolution, or hold the weights in fewer bits (training.weights: int8).`;
  return [...(few === undefined ? [] : [few]), ...(needBytes <= limitBytes ? [] : [large])];
}

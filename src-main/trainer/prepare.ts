import path from 'node:path';
import { droppedLines } from '../data/dropped.ts';
import { fewHeldOut } from '../data/order.ts';
import { Adapter } from '../effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../effilora/adamw.ts';
import { headsPerSite } from '../effilora/methods/structure.ts';
import { RankAllocator } from '../effilora/rank-allocator.ts';
import { parameterBudget, type ParameterBudget } from '../effilora/resource-constraint.ts';
import { Reducer } from '../effilora/reducer.ts';
import { stepCompiler } from '../engine/compiler.ts';
import { packedKernels } from '../engine/frozen.ts';
import { openEngine } from '../engine/index.ts';
import type { EngineStatus } from '../engine/types.ts';
import { openModelFile, resolveModel } from '../models/open.ts';
import type { BaseModelFile } from '../models/types.ts';
import type { HeldFormat } from '../models/weight-format.ts';
import { adapterOnModel, readAdapter } from './adapter-folder.ts';
import { completeFor } from './complete-for.ts';
import { engineFacts } from './engine-facts.ts';
import { heldBy } from './held.ts';
import { rankOptions, withoutOthersOptions } from '../recipe/of-methods.ts';
import { checkPrefix, type Recipe } from '../recipe/recipe.ts';
import type { Objective, RunCost, RunData, Task, TrainableModel } from '../tasks/task.ts';
import { TrainingStep } from './step.ts';

/** Everything a run works with. */
export interface Run {
  task: Task;
  engine: EngineStatus;
  file: BaseModelFile;
  data: RunData;
  model: TrainableModel;
  step: TrainingStep;
  /** optimizer steps in all */
  steps: number;
  cost: RunCost;
  /** floating-point operations of a step for each of its units */
  flopsPerUnit: number;
  /** when its opening began, as performance.now() says */
  begun: number;
}

/** Optimizer steps of a recipe over that many examples an epoch. */
export function stepsOf({ training }: Recipe, examples: number): number {
  if (training.steps !== undefined) return training.steps;
  return Math.max(1, Math.ceil((training.epochs! * examples) / (training.batch * training.accumulate)));
}

/** Opens engine, model, data and adapter for a recipe. @throws UserError in one sentence for whatever does not fit */
export async function openRun(recipe: Recipe, log: (line: string) => void): Promise<Run> {
  const begun = performance.now();
  const file = await openModelFile(await resolveModel(recipe.model, log), log);
  const engine = await openEngine(recipe.engine, heldBy(file));
  log(`Engine: ${engine.name} on ${engine.device}`);
  const { weights } = recipe.training;
  if (!packedKernels() && weights !== 'f32' && weights !== 'auto')
    log(`Frozen weights are unpacked to f32: the engine ${engine.name} has no products with ${weights} weights`);
  const task = completeFor(recipe, file);
  const { data, model } = await dataAndModel(task, recipe, file);
  if (data.growing) log('Training begins with the first rows while the others are read');
  else logData(data, log);
  const adapter = await openStart(recipe, task, model);
  const perEpoch = data.sizes.reduce((sum, size, i) => sum + Math.round(size * recipe.dataset[i]!.weight), 0);
  const steps = stepsOf(recipe, perEpoch);
  const cost = task.cost(
    recipe,
    adapter.options,
    file,
    data.train,
    engineFacts(engine, recipe.training.precision, task.unit),
  );
  const { recompute, flopsPerUnit } = planned(recipe, cost, engine, log);
  const planning = { ...recipe, training: { ...recipe.training, recompute } };
  const step = trainingStep(planning, task.objective(model), adapter, steps, log);
  return { task, engine, file, data, model, steps, cost, flopsPerUnit, step, begun };
}

/** What products in integers would round at every use is held rounded, where the recipe leaves that open. */
const heldFormat = ({ precision, weights }: Recipe['training']): HeldFormat =>
  precision === 'int8' && weights === 'auto' ? 'integers' : weights;

/** Reading takes threads, and loading mostly the disk: neither waits for the other. */
async function dataAndModel(task: Task, recipe: Recipe, file: BaseModelFile) {
  const [data, model] = await Promise.allSettled([
    task.examples(recipe, file),
    task.load(file, heldFormat(recipe.training)),
  ]);
  if (data.status === 'fulfilled' && model.status === 'fulfilled') return { data: data.value, model: model.value };
  if (data.status === 'fulfilled') data.value.close();
  if (model.status === 'fulfilled') model.value.dispose();
  throw data.status === 'rejected' ? data.reason : (model as PromiseRejectedResult).reason;
}

/** Says what is trained on, what is held out, and what was dropped. */
export function logData(
  { datasets, separate, train, heldOut, heldOutCount }: RunData,
  log: (line: string) => void,
): void {
  const some = heldOut.count < heldOutCount ? `, ${heldOut.count} of them evaluated (training.evalExamples)` : '';
  log(`Data: ${train.count} examples to train on, ${heldOutCount} held out${some}`);
  const few = fewHeldOut(heldOutCount, train.count + heldOutCount);
  if (few !== undefined) log(few);
  for (const split of separate) if (split) log(`${split.source.path}: its split ${split.split} is held out`);
  for (const { source, notes, report } of [...datasets, ...separate.filter((split) => split !== undefined)]) {
    for (const note of notes) log(note);
    for (const line of droppedLines(report)) log(`${path.basename(source.path)}: rows dropped, ${line}`);
  }
}

/** Which blocks to compute again, where the recipe leaves that to its budget, and the operations that follow. */
function planned(recipe: Recipe, cost: RunCost, engine: EngineStatus, log: (line: string) => void) {
  const { recompute } = recipe.training;
  const budgetBytes = recipe.budget?.memoryBytes;
  const chose = (recompute: boolean | number) => ({ recompute, flopsPerUnit: cost.flopsPerUnit(recompute) });
  if (recompute !== 'auto') return chose(recompute);
  const isCounted = stepCompiler() !== undefined || engine.name === 'webgpu';
  if (budgetBytes === undefined || !isCounted) return { ...chose(!stepCompiler()), recompute };
  const chosen = cost.recomputationFor(budgetBytes);
  if (chosen)
    log(`Blocks are computed again in backward, ${chosen} at a time: the memory does not hold what they all keep`);
  return chose(chosen);
}

/** A fresh adapter of the recipe's method, or the one of `init`, whose structure then is the run's. */
async function openStart(recipe: Recipe, task: Task, model: TrainableModel): Promise<Adapter> {
  if (recipe.init !== undefined) {
    const adapter = adapterOnModel(await readAdapter(recipe.init), model, recipe.init);
    Object.assign(recipe.method, task.methodOf(adapter.options));
    withoutOthersOptions(recipe.method);
    checkPrefix(recipe.method, recipe.init);
    return adapter;
  }
  const options = task.adapterOptions(recipe, model);
  const adapter = new Adapter(model.sites(), options, recipe.training.seed);
  adapter.initialiseWhole((name) => model.wholeTensor!(name));
  adapter.initialiseMagnitudes((site) => model.siteWeight(site));
  return adapter;
}

function trainingStep(
  recipe: Recipe,
  objective: Objective,
  adapter: Adapter,
  steps: number,
  log: (line: string) => void,
): TrainingStep {
  const { weightDecay, clipNorm, rateOfB, rateOfConnector, seed, recompute, precision } = recipe.training;
  const { reducer } = recipe.method;
  const optimizer = new AdamW(adapter.trainables, {
    ...ADAMW_DEFAULTS,
    ...{ weightDecay, clipNorm, rateOfB, rateOfWhole: rateOfConnector },
  });
  const options = { ...reducer, finalStep: reducer.finalStep ?? steps, seed };
  return new TrainingStep(
    objective,
    adapter,
    optimizer,
    new Reducer(adapter.heads, headsPerSite(adapter.options), options, budgetOf(recipe, adapter)),
    { routerShare: true, recompute, seed, precision, warn: log },
    adapter.options.name === 'adalora' ? new RankAllocator(adapter, rankOptions(recipe.method, steps)) : undefined,
  );
}

/** Of numbers that train, where the recipe has one. @throws UserError where it can't be kept */
function budgetOf({ method: { reducer } }: Recipe, { trainables, options }: Adapter): ParameterBudget | undefined {
  const { maxParameters, minActivePerSite } = reducer;
  if (maxParameters === undefined) return undefined;
  const sizes = trainables.map(({ variable: { size }, blocks, firstHead }) => ({ size, blocks, firstHead }));
  return parameterBudget(sizes, maxParameters, { headsPerSite: headsPerSite(options), minActivePerSite });
}

/** Frees everything a run holds on the engine. */
export async function closeRun(run: Run): Promise<void> {
  run.step.dispose();
  run.step.optimizer.dispose();
  run.step.allocator?.dispose();
  run.step.adapter.dispose();
  run.model.dispose();
  run.data.close();
  await run.file.close();
}

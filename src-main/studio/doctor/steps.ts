import { Adapter } from '../../effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../effilora/adamw.ts';
import { memoryPlan } from '../../effilora/memory-plan.ts';
import { headsPerSite } from '../../effilora/methods/structure.ts';
import { Reducer } from '../../effilora/reducer.ts';
import type { AdapterOptions } from '../../effilora/types.ts';
import { packedKernels } from '../../engine/frozen.ts';
import { enginePeakBytes } from '../../engine/memory.ts';
import { stepCompiler } from '../../engine/compiler.ts';
import { openTextModel } from '../../models/open.ts';
import { DECODER_SITES, type ModelFile, type TokenBatch } from '../../models/types.ts';
import { taskOf } from '../../tasks/registry.ts';
import { engineFacts } from '../../trainer/engine-facts.ts';
import { TrainingStep } from '../../trainer/step.ts';
import { STEPS, type StepsSoFar } from './steps-so-far.ts';
import type { TrialAsked } from './trial.ts';

/** What a recipe that names nothing trains (docs/recipes.md): EffiLoRA on every linear. */
const METHOD: AdapterOptions = {
  ...{ name: 'effilora', rank: 16, heads: 3, alpha: 32, targets: [...DECODER_SITES] },
  ...{ share: 'global', router: 'site', dropout: 0, rsLora: false, dora: false },
};

/**
 * Trains a few steps of random tokens with the engine in use, and tells after each; of the memory they take, what the plan predicts of
 * just these steps. @throws UserError when the model can't be read or the memory runs out
 */
export async function measureSteps(
  { on, model: place, rows, length, blocks }: Extract<TrialAsked, { what: 'steps' }>,
  tell: (steps: StepsSoFar) => void,
): Promise<void> {
  const whole = await openTextModel(place);
  const file = blocks === undefined ? whole : firstBlocks(whole, blocks);
  const steps: StepsSoFar = { seconds: [], predictedBytes: predicted(file, on, rows, length) };
  tell(steps);
  const step = await stepOf(file);
  const batch = batchOf(file, rows, length);
  for (let n = 1; n <= STEPS; n++) {
    const begun = performance.now();
    await step.run(n, [batch], 1e-4);
    const seconds = (performance.now() - begun) / 1000;
    steps.seconds.push(seconds);
    steps.measuredBytes = await enginePeakBytes();
    tell(steps);
  }
  await whole.close();
}

/** A model of the first blocks, as they lie in the file. */
function firstBlocks(file: ModelFile, blocks: number): ModelFile {
  const isOfThem = ({ name }: { name: string }) => Number(/^model\.layers\.(\d+)\./.exec(name)?.[1] ?? 0) < blocks;
  return { ...file, config: { ...file.config, layers: blocks }, tensors: file.tensors.filter(isOfThem) };
}

/** As a run without a budget takes them: blocks are computed again where steps are not compiled. */
function predicted(
  file: ModelFile,
  { engine, gpu }: { engine: 'tensorflow' | 'webgpu' | 'wasm' | 'cpu'; gpu: boolean },
  rows: number,
  length: number,
): number {
  const facts = engineFacts({ name: engine, kind: gpu ? 'gpu' : 'cpu' });
  const { total } = memoryPlan(taskOf(file).plan.model(file), facts, {
    ...{ method: METHOD, precision: packedKernels() ? 'file' : 'f32', products: 'f32' },
    ...{ sequenceLength: length, tokens: rows * length, recompute: !stepCompiler(), evaluationTokens: 0 },
  });
  return Math.round(total);
}

async function stepOf(file: ModelFile): Promise<TrainingStep> {
  const task = taskOf(file);
  const model = await task.load(file);
  const adapter = new Adapter(model.sites(), METHOD, 1);
  const reducer = new Reducer(adapter.heads, headsPerSite(METHOD), {
    ...{ ratio: 0, warmup: 1, interval: 1_000_000, beta: 0.85, policy: 'topk', importanceAtMost: 1 },
    ...{ temperature: 1, schedule: 'step', probe: false, minActivePerSite: 0, seed: 1 },
  });
  return new TrainingStep(task.objective(model), adapter, new AdamW(adapter.trainables, ADAMW_DEFAULTS), reducer, {
    ...{ routerShare: true, recompute: 'auto', seed: 1 },
  });
}

/** Any tokens of the vocabulary, a label at each. */
function batchOf({ config }: ModelFile, rows: number, length: number): TokenBatch {
  const inputIds = Int32Array.from({ length: rows * length }, (_, t) => (t * 7919 + 13) % config.vocabularySize);
  const positions = inputIds.map((_, t) => t % length);
  return { rows, length, inputIds, labels: inputIds, positions, segments: new Int32Array(rows * length) };
}

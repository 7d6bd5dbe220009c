import { setImmediate } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { PreparedExample } from '../data/dataset.ts';
import type { ExampleSource } from '../data/example-source.ts';
import { shuffled, randomStream } from '../engine/random.ts';
import type { Adapter } from '../effilora/adapter.ts';
import { Calibration, inputMomentBytes } from '../effilora/exports/moments.ts';
import { headsPerSite, LANGUAGE } from '../effilora/methods/structure.ts';
import type { SiteShape } from '../effilora/types.ts';
import type { AnyModelFile } from '../models/open.ts';
import type { Recipe } from '../recipe/recipe.ts';
import { taskOf } from '../tasks/registry.ts';
import type { Task, TrainableModel } from '../tasks/task.ts';
import { partsOf, partUnits } from '../trainer/parts.ts';
import type { Progress } from './progress.ts';

/** Calibration runs over this many tokens at most, in batches of so many. */
const CALIBRATION_TOKENS = 4_096;
const TOKENS_A_BATCH = 2_048;
/** What the input moments of the layers of one pass may take on the engine, bytes; more layers take more passes. */
const INPUT_MOMENT_BYTES = 2 ** 30;

/** An adapter on its model, and what it is calibrated on. */
export interface Fitting {
  file: AnyModelFile;
  model: TrainableModel;
  adapter: Adapter;
  batches: unknown[][];
  /** of pictures: how they were learned */
  diffusion?: Recipe['training']['diffusion'];
  progress: Progress;
}

/** The examples of a calibration: drawn with a fixed seed until there are CALIBRATION_TOKENS tokens. */
export function calibrationExamples(examples: ExampleSource<PreparedExample>): PreparedExample[] {
  const drawn: PreparedExample[] = [];
  let all = 0;
  const indices = Array.from({ length: examples.count }, (_, i) => i);
  for (const index of shuffled(indices, randomStream(0, 'calibration'))) {
    if (all > 0 && all + examples.size(index) > CALIBRATION_TOKENS) break;
    drawn.push(examples.read(index));
    all += examples.size(index);
  }
  return drawn;
}

/** Examples in batches of at most TOKENS_A_BATCH tokens, those of a length together, so that hardly any padding is computed. */
export function calibrationBatches(drawn: PreparedExample[]): PreparedExample[][] {
  const examples = drawn.toSorted((a, b) => a.inputIds.length - b.inputIds.length);
  const batches: PreparedExample[][] = [[]];
  let inBatch = 0;
  for (const example of examples) {
    const tokens = example.inputIds.length;
    if (inBatch > 0 && inBatch + tokens > TOKENS_A_BATCH) {
      batches.push([]);
      inBatch = 0;
    }
    batches.at(-1)!.push(example);
    inBatch += tokens;
  }
  return batches;
}

/** Runs the adapted model over the batches once, the adapter being observed. */
export async function observe(
  { file, model, adapter, batches, diffusion }: Fitting,
  calibration: Calibration,
  onBatch: () => void,
): Promise<void> {
  const task: Task = taskOf(file);
  const objective = task.objective(model);
  for (const [i, examples] of batches.entries()) {
    const longest = Math.max(
      1,
      ...examples.map((example) => (example as Partial<PreparedExample>).inputIds?.length ?? 0),
    );
    const at = { seed: 0, step: i + 1, micro: 0 };
    const read = await task.batch(examples, { packing: true, sequenceLength: longest, diffusion }, at);
    const batch = (await objective.ready?.(read, adapter)) ?? read;
    const tensors = objective.tensors(batch);
    const rows = Object.entries({ [LANGUAGE]: objective.units(batch), ...partsOf(objective, adapter, batch) });
    const masks = rows.map(([part, own]) => [part, tf.tensor2d(Float32Array.from(own), [own.length, 1])] as const);
    calibration.begin(Object.fromEntries(masks));
    try {
      tf.tidy(() => void objective.forward(tensors, { adaptation: adapter, recompute: false }));
    } finally {
      await calibration.end(partUnits([Object.fromEntries(rows)]));
      tf.dispose(tensors as tf.TensorContainer);
      tf.dispose(masks.map(([, mask]) => mask));
    }
    // The engine answers without a turn of the event loop: a wish to stop has to get in.
    await setImmediate();
    onBatch();
  }
}

/** The layers an adapter adapts, in groups whose input moments fit in INPUT_MOMENT_BYTES together. */
export function layerGroups(adapter: Adapter): ReadonlySet<number>[] {
  const groups: Set<number>[] = [];
  let left = 0;
  for (const layer of new Set(adapter.sites.map((site) => site.block))) {
    const bytes = layerBytes(adapter, layer);
    if (groups.length === 0 || bytes > left) {
      groups.push(new Set());
      left = INPUT_MOMENT_BYTES - successorBytes(adapter);
    }
    groups.at(-1)!.add(layer);
    left -= bytes;
  }
  return groups;
}

function layerBytes({ sites, options }: Adapter, layer: number): number {
  const zWidth = headsPerSite(options) * options.rank;
  return sites
    .filter((site: SiteShape) => site.block === layer)
    .reduce((sum, site) => sum + inputMomentBytes(site, zWidth), 0);
}

/** A sum and the one that takes its place are there at once, of one site after the other: the largest of them. */
function successorBytes({ sites }: Adapter): number {
  return 4 * Math.max(...sites.map(({ inFeatures }) => inFeatures ** 2));
}

/** Runs over the layers' input moments group by group; each group is freed after its `use`. */
export async function eachLayerGroup(
  fitting: Fitting,
  use: (calibration: Calibration, sites: SiteShape[]) => Promise<void>,
): Promise<void> {
  const { adapter, batches, progress } = fitting;
  const groups = layerGroups(adapter);
  const total = groups.length * batches.length;
  let done = 0;
  progress.at('calibrating', done, total);
  for (const layers of groups) {
    const calibration = new Calibration(adapter, layers);
    try {
      await observe(fitting, calibration, () => progress.at('calibrating', ++done, total));
      await use(
        calibration,
        adapter.sites.filter(({ block }) => layers.has(block)),
      );
    } finally {
      calibration.dispose();
    }
  }
}

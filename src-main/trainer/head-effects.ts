import { setImmediate } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs-core';
import type { Adapter } from '../effilora/adapter.ts';
import { droppedHeads } from '../effilora/adapter-file.ts';
import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import { isRouted } from '../effilora/methods/registry.ts';
import { headsPerSite, LANGUAGE } from '../effilora/methods/structure.ts';
import { rowsOf } from '../effilora/names.ts';
import type { HeadName, RowInputs } from '../effilora/types.ts';
import type { Evaluation, Objective, Watched } from '../tasks/task.ts';
import { microBatchGradients, shareWeights } from './gradients.ts';
import { partsOf, partUnits } from './parts.ts';

/** What each head of an adapter does on some examples. */
export interface HeadEffects {
  /** mean over the examples' terms, with all heads */
  loss: number;
  /** by head: how much the loss would rise without it, to first order */
  rises: Float64Array;
  /** by head: mean omega over the rows that its site sees; null without a router, or where it saw none */
  shares: (number | null)[];
}

/**
 * What leaving out each head would do to the loss, of all heads at once by one backward pass: B_j scaled by s gives L(s), and
 *
 *     L(0) - L(1)  ~  -dL/ds at 1  =  -sum of the entries of B_j * dL/dB_j
 *
 * the signed sum of what the Reducer smooths the size of (Taylor's first order: exact for small heads, a hint for large ones).
 */
export async function headEffects<Batch, Tensors extends object>(
  objective: Objective<Batch, Tensors>,
  adapter: Adapter,
  batches: (() => Batch | Promise<Batch>)[],
  { told }: Watched = {},
): Promise<HeadEffects> {
  const heads = adapter.heads.length;
  const rises = new Float64Array(heads);
  const omega = new Float64Array(heads);
  const rows: Record<string, Uint8Array>[] = [];
  let [loss, terms, done] = [0, 0, 0];
  for (const make of batches) {
    const read = await make();
    const batch = (await objective.ready?.(read, adapter)) ?? read;
    const numbers = await ofBatch(objective, adapter, batch);
    loss += numbers[0]!;
    terms += objective.terms(batch);
    for (let head = 0; head < heads; head++) {
      rises[head]! -= numbers[1 + head]!;
      omega[head]! += numbers[1 + heads + head] ?? 0;
    }
    rows.push({ ...partsOf(objective, adapter, batch), [LANGUAGE]: objective.units(batch) });
    // The engine answers without a turn of the event loop: a wish to stop has to get in.
    await setImmediate();
    await told?.(++done, batches.length);
  }
  const units = partUnits(rows);
  const shares = Array.from(omega, (sum, head) => {
    const seen = units[rowsOf(adapter.sites[Math.floor(head / headsPerSite(adapter.options))]!)] ?? 0;
    return isRouted(adapter.options) && seen > 0 ? sum / seen : null;
  });
  return { loss: loss / terms, rises: rises.map((rise) => rise / terms), shares };
}

/** Of a batch, summed over its terms: the loss, the sum of B_j * dL/dB_j of every head, and omega of every head over its rows. */
async function ofBatch<Batch, Tensors extends object>(
  objective: Objective<Batch, Tensors>,
  adapter: Adapter,
  batch: Batch,
): Promise<Float32Array> {
  const tensors = objective.tensors(batch);
  const inputsOf = (units: Uint8Array): RowInputs => ({ shareWeight: tf.tensor2d(shareWeights(units, 1), [units.length, 1]) }); // prettier-ignore
  const parts = Object.entries(partsOf(objective, adapter, batch));
  const step = {
    active: [],
    ...inputsOf(objective.units(batch)),
    parts: Object.fromEntries(parts.map(([part, units]) => [part, inputsOf(units)])),
  };
  adapter.step = step;
  try {
    const numbers = tf.tidy(() => {
      const found = microBatchGradients(objective, adapter, tensors, tf.scalar(1), { recompute: true });
      const sums = adapter.trainables.flatMap(({ firstHead, variable, blocks }, k) =>
        firstHead === undefined ? [] : [sumsByBlock(variable, found.gradients[k]!, blocks)],
      );
      const shares = found.gradients
        .slice(adapter.trainables.length)
        .map((share) => tf.reshape<tf.Rank.R1>(share, [share.size]));
      return tf.concat([tf.reshape<tf.Rank.R1>(found.loss as Scalar, [1]), ...sums, ...shares]);
    });
    const values = (await numbers.data()) as Float32Array;
    numbers.dispose();
    return values;
  } finally {
    adapter.step = undefined;
    tf.dispose(tensors as tf.TensorContainer);
    tf.dispose(step as unknown as tf.TensorContainer);
  }
}

const sumsByBlock = (b: Tensor2D, gradient: Tensor2D, blocks: number) =>
  tf.sum(tf.reshape(tf.mul(b, gradient), [blocks, -1]), 1) as tf.Tensor1D;

/** The loss with one more head left out, as `evaluate` measures the adapter. Leaves it as it was opened. */
export async function lossWithout(
  head: HeadName,
  evaluate: () => Promise<Evaluation>,
  adapter: Adapter,
  description: AdapterDescription,
): Promise<number> {
  const { renormalize } = description;
  const before = droppedHeads(description);
  adapter.drop({ heads: new Set([...before, head]), renormalize });
  try {
    return (await evaluate()).loss;
  } finally {
    adapter.drop({ heads: before, renormalize });
  }
}

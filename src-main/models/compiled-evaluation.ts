import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { NotRecordable } from '../engine/compiler.ts';
import { takesAnyLength } from '../engine/fused-kernels.ts';
import { PackedMatrix } from '../engine/packed.ts';
import { VARYING } from '../engine/varying-size.ts';
import {
  flatBatch,
  labelArrays,
  nextLabels,
  padBatch,
  paddedLength,
  shiftedLabels,
  type BatchTensors,
} from './batch.ts';
import { CompiledForward } from './compiled-forward.ts';
import { ropeInputs, tokenFeeds, type Feeds } from './feeds.ts';
import type { Adaptation, ModelConfig, TokenBatch } from './types.ts';
import type { ModelWeights } from './weights.ts';

const powerOfTwo = (least: number, count: number) => 2 ** Math.ceil(Math.log2(Math.max(least, count)));

/** A model, and its log p of the labels of `labelRows`. */
interface Model {
  config: ModelConfig;
  weights: ModelWeights;
  pickedLogProbabilities(batch: BatchTensors, options: { adaptation?: Adaptation }): Tensor1D;
}

/**
 * log p of a batch's labels in their order, by a compiled pass: one graph for batches of any size where the engine takes those and the head is packed, else
 * rows, lengths and labels are rounded up, so that few graphs serve all batches. Undefined where the engine can't compile it.
 */
export async function compiledLogProbabilities(
  model: Model,
  batch: TokenBatch,
  adaptation: Adaptation | undefined,
): Promise<Float32Array | undefined> {
  const forward = CompiledForward.of(model.weights, adaptation);
  if (!forward) return undefined;
  const isOpen = takesAnyLength() && model.weights.head instanceof PackedMatrix;
  const laidOut = isOpen ? flatBatch(batch) : padBatch(batch, powerOfTwo(1, batch.rows), paddedLength(batch.length));
  const length = isOpen ? 0 : laidOut.length;
  const feeds = {
    ...tokenFeeds(model.config, laidOut, isOpen),
    ...(isOpen ? openLabels(laidOut) : fewLabels(laidOut)),
  };
  const pass = (inputs: Record<string, Tensor>, slots: Adaptation | undefined) => {
    const { ids, segments, labelRows, labels } = inputs as Record<string, Tensor1D>;
    const tensors = { length, ids, segments, labelRows, labels, ...ropeInputs(inputs) };
    return model.pickedLogProbabilities(tensors as BatchTensors, { adaptation: slots });
  };
  try {
    const values = await forward.run(`evaluate ${length}`, feeds, adaptation, pass, true);
    return isOpen ? values.filter((_, t) => feeds.labels!.values[t]! >= 0) : values;
  } catch (error) {
    if (error instanceof NotRecordable) return undefined;
    throw error;
  }
}

/** A label or -1 for each token: the packed head's product is only with those that have one. */
const openLabels = (batch: TokenBatch): Feeds => ({ labels: { values: nextLabels(batch), shape: [VARYING] } });

/** The tokens that have a label, and their labels. */
function fewLabels(batch: TokenBatch): Feeds {
  const shifted = shiftedLabels(batch);
  const { labelRows, labels } = labelArrays(shifted, powerOfTwo(64, shifted.length));
  return {
    labelRows: { values: labelRows, shape: [labelRows.length] },
    labels: { values: labels, shape: [labels.length] },
  };
}

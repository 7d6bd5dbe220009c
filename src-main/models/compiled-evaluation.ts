import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { NotRecordable } from '../engine/tensorflow/recorder.ts';
import { labelArrays, padBatch, paddedLength, shiftedLabels, type BatchTensors } from './batch.ts';
import { CompiledForward, ropeFeeds, ropeInputs, type Feeds } from './compiled-forward.ts';
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
 * log p of a batch's labels in their order, by a compiled pass; rows, lengths and labels are rounded up, so that few graphs serve all
 * batches. Undefined where the engine can't compile it.
 */
export async function compiledLogProbabilities(
  model: Model,
  batch: TokenBatch,
  adaptation: Adaptation | undefined,
): Promise<Float32Array | undefined> {
  const forward = CompiledForward.of(model.weights, adaptation);
  if (!forward) return undefined;
  const padded = padBatch(batch, powerOfTwo(1, batch.rows), paddedLength(batch.length));
  const { length } = padded;
  const shifted = shiftedLabels(padded);
  const { labelRows, labels } = labelArrays(shifted, powerOfTwo(64, shifted.length));
  const feeds: Feeds = {
    ids: { values: padded.inputIds, shape: [padded.inputIds.length] },
    segments: { values: padded.segments, shape: [padded.segments.length] },
    labelRows: { values: labelRows, shape: [labelRows.length] },
    labels: { values: labels, shape: [labels.length] },
    ...ropeFeeds(model.config, padded.positions),
  };
  const pass = (inputs: Record<string, Tensor>, slots: Adaptation | undefined) => {
    const { ids, segments, labelRows: rows, labels: wanted } = inputs as Record<string, Tensor1D>;
    const tensors = { length, ids, segments, labelRows: rows, labels: wanted, ...ropeInputs(inputs) };
    return model.pickedLogProbabilities(tensors as BatchTensors, { adaptation: slots });
  };
  try {
    return await forward.run(`evaluate ${length}`, feeds, adaptation, pass, true);
  } catch (error) {
    if (error instanceof NotRecordable) return undefined;
    throw error;
  }
}

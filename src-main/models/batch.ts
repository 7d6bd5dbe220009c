import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { RopeTables } from './block.ts';
import { ropeTables } from './rope.ts';
import type { ModelConfig, TokenBatch } from './types.ts';

/** What a model sees, among the tokens of a batch. */
export interface Seen {
  /** [features, hidden] */
  features: Tensor2D;
  /** which feature each token is, [tokens] int32; -1: it is text */
  places: Tensor1D;
}

/** A batch as the forward pass takes it. Dispose it after the step. */
export interface BatchTensors {
  /** tokens a row; 0: all tokens are one row */
  length: number;
  /** [tokens] int32 */
  ids: Tensor1D;
  segments: Tensor1D;
  /** the last token of its row that each sees, [tokens] int32; undefined: itself */
  reach?: Tensor1D;
  rope: RopeTables;
  /** gemma3's sliding-window layers */
  localRope?: RopeTables;
  /** what some of the tokens are in place of their embeddings */
  seen?: Seen;
  /** tokens whose next token is a label, [labelled] int32, padded to a multiple of `LABEL_ROUNDING`; undefined: all tokens */
  labelRows?: Tensor1D;
  /** their next tokens, [labelled] int32; -1 at padding, or where that is no label */
  labels: Tensor1D;
  /** labels without padding */
  labelCount: number;
}

/** Only tokens with a label go through the head; their number is rounded up so that few shapes occur. */
const LABEL_ROUNDING = 64;

/** Which token predicts which label: the label after it, in the same row and the same packed example. */
export function shiftedLabels({ rows, length, labels, segments }: TokenBatch): { row: number; label: number }[] {
  const found: { row: number; label: number }[] = [];
  for (let r = 0; r < rows; r++)
    for (let t = r * length; t < (r + 1) * length - 1; t++)
      if (labels[t + 1]! >= 0 && segments[t]! >= 0 && segments[t] === segments[t + 1])
        found.push({ row: t, label: labels[t + 1]! });
  return found;
}

/** Rows are padded to one of few lengths, so that a dataset's batches need few graphs: powers of two, and halfway between them. */
export function paddedLength(length: number): number {
  let power = 32;
  while (power < length) power *= 2;
  return power > 32 && length <= (power * 3) / 4 ? (power * 3) / 4 : power;
}

/** Rows and labels as `BatchTensors` has them, `room` of them. */
export function labelArrays(shifted: { row: number; label: number }[], room: number) {
  const labelRows = new Int32Array(room);
  const labels = new Int32Array(room).fill(-1);
  shifted.forEach(({ row, label }, i) => {
    labelRows[i] = row;
    labels[i] = label;
  });
  return { labelRows, labels };
}

/** The batch with more rows and longer ones: padding has no label and no segment. */
export function padBatch(batch: TokenBatch, rows: number, length: number): TokenBatch {
  if (rows === batch.rows && length === batch.length) return batch;
  const pad = (values: Int32Array, filler: number) => {
    const out = new Int32Array(rows * length).fill(filler);
    for (let row = 0; row < batch.rows; row++)
      out.set(values.subarray(row * batch.length, (row + 1) * batch.length), row * length);
    return out;
  };
  const { inputIds, labels, positions, segments } = batch;
  return {
    rows,
    length,
    inputIds: pad(inputIds, 0),
    labels: pad(labels, -100),
    positions: pad(positions, 0),
    segments: pad(segments, -1),
  };
}

/** Of every token the token after it where that is a label, else -1. */
export function nextLabels(batch: TokenBatch): Int32Array {
  const next = new Int32Array(batch.inputIds.length).fill(-1);
  for (const { row, label } of shiftedLabels(batch)) next[row] = label;
  return next;
}

/** The batch's rows end to end as one row without padding, in which every packed example has a segment of its own. */
export function flatBatch(batch: TokenBatch): TokenBatch {
  const kept = Int32Array.from(batch.segments.keys()).filter((t) => batch.segments[t]! >= 0);
  let segment = -1;
  const segments = kept.map((t) => {
    const follows = t % batch.length > 0 && batch.segments[t - 1] === batch.segments[t];
    return follows ? segment : ++segment;
  });
  const pick = (values: Int32Array) => kept.map((t) => values[t]!);
  const { inputIds, labels, positions } = batch;
  return {
    rows: 1,
    length: kept.length,
    inputIds: pick(inputIds),
    labels: pick(labels),
    positions: pick(positions),
    segments,
  };
}

/** A batch's tensors on the engine. */
export function batchTensors(config: ModelConfig, batch: TokenBatch): BatchTensors {
  const shifted = shiftedLabels(batch);
  const room = Math.max(1, Math.ceil(shifted.length / LABEL_ROUNDING)) * LABEL_ROUNDING;
  const { labelRows, labels } = labelArrays(shifted, room);
  const rope = (local: boolean): RopeTables => {
    const { cos, sin } = ropeTables(config, batch, local);
    const shape: [number, number] = [batch.positions.length, config.headSize / 2];
    return { cos: tf.tensor2d(cos, shape), sin: tf.tensor2d(sin, shape) };
  };
  return {
    length: batch.length,
    ids: tf.tensor1d(batch.inputIds, 'int32'),
    segments: tf.tensor1d(batch.segments, 'int32'),
    reach: batch.reach && tf.tensor1d(batch.reach, 'int32'),
    rope: rope(false),
    localRope: config.rope.localTheta === undefined ? undefined : rope(true),
    labelRows: tf.tensor1d(labelRows, 'int32'),
    labels: tf.tensor1d(labels, 'int32'),
    labelCount: shifted.length,
  };
}

/** Frees a batch's tensors. */
export function disposeBatch(batch: BatchTensors): void {
  tf.dispose(batch as unknown as tf.TensorContainer);
}

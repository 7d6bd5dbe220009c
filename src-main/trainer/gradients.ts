import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Adapter } from '../effilora/adapter.ts';
import type { AdamW, BlockNumbers } from '../effilora/adamw.ts';
import type { RankAllocator, RankTensors } from '../effilora/rank-allocator.ts';
import { sensitivity } from '../effilora/sensitivity.ts';
import { clipped } from '../engine/fused-kernels.ts';
import type { Objective, Passes } from '../tasks/task.ts';

/** What a step gives before anything is made of it on the host. */
export interface StepNumbers {
  loss: number;
  /** as `applyGradients` reports them: gradient norm, sensitivities, shares */
  report: Float32Array;
}

/** The loss's share of a micro-batch in the step's mean, and its gradients: of every trainable, then of every tap. */
export interface MicroBatchGradients extends tf.TensorContainerObject {
  loss: Scalar;
  gradients: Tensor2D[];
}

/** What each row of a batch counts in a router's share: 1 / the step's units, 0 at padding. */
export function shareWeights(units: Uint8Array, all: number): Float32Array {
  return Float32Array.from(units, (unit) => (unit ? 1 / all : 0));
}

/** Pure in its tensors: the batch, `adapter.step`, and `perTerm` = 1 / the whole step's terms. */
export function microBatchGradients<Tensors extends object>(
  objective: Pick<Objective<unknown, Tensors>, 'lossSum'>,
  adapter: Adapter,
  batch: Tensors,
  perTerm: Scalar,
  passes: Passes,
): MicroBatchGradients {
  const taps = adapter.step?.shareWeight ? adapter.taps : [];
  const variables = [...adapter.trainables.map(({ variable }) => variable), ...taps];
  return tf.tidy(() => {
    const { value, grads } = tf.variableGrads(
      () => tf.mul<Scalar>(objective.lossSum(batch, { adaptation: adapter, ...passes }), perTerm),
      variables,
    );
    // What no backward pass reaches has none.
    const gradientOf = (variable: tf.Variable) => (grads[variable.name] ?? tf.zerosLike(variable)) as Tensor2D;
    return { loss: value, gradients: variables.map(gradientOf) };
  });
}

/** What chooses ranks, and what it is told of the step. */
export interface RankChoice {
  allocator: RankAllocator;
  told: RankTensors;
}

/**
 * Pure in its tensors: what the optimizer makes of a step's gradients.
 * @param choice what chooses ranks, where the method does
 * @param finite 1, or 0 where the loss is no number
 * @returns report [1 + M (+ M) (+ triplets)]: gradient norm, sensitivity of every head, share of every head where taps were measured, and
 * the score of every triplet
 */
export function applyGradients(
  adapter: Adapter,
  optimizer: AdamW,
  gradients: Tensor2D[],
  numbers: BlockNumbers,
  choice?: RankChoice,
  finite: Scalar = tf.scalar(1),
): { report: Tensor1D; updates: ReturnType<AdamW['update']>['updates'] } {
  const { trainables } = adapter;
  const given = gradients.slice(0, trainables.length);
  const own = choice?.allocator.regularized(given) ?? given;
  const { scores, gradNorm, updates } = updated(adapter, optimizer, gradients, own, numbers);
  const shares = gradients.slice(trainables.length).map((share) => tf.reshape<tf.Rank.R1>(share, [share.size]));
  const next = new Map<tf.Variable, Tensor>(updates);
  const after = trainables.map(({ variable }) => (next.get(variable) ?? variable) as Tensor2D);
  const scaled = () => own.map((gradient) => clipped(gradient, gradNorm, optimizer.options.clipNorm));
  const followed = choice?.allocator.follow(after, scaled(), finite, choice.told);
  return {
    report: tf.concat([tf.reshape<tf.Rank.R1>(gradNorm, [1]), ...scores, ...shares, ...(followed ? [followed.scores] : [])]), // prettier-ignore
    updates: [...updates, ...(followed?.updates ?? [])],
  };
}

/** The sensitivity of every head, the gradients' norm, and what is still to be assigned: nothing where the engine updates in place. */
function updated(
  adapter: Adapter,
  optimizer: AdamW,
  gradients: Tensor2D[],
  own: Tensor2D[],
  numbers: BlockNumbers,
): { scores: Tensor1D[] } & ReturnType<AdamW['update']> {
  const whole = optimizer.updateWhole(own, numbers);
  if (whole) {
    const scores = tf.gather(whole.sensitivities, tf.tensor1d(headBlocks(adapter), 'int32'));
    return { scores: [scores], gradNorm: whole.gradNorm, updates: [] };
  }
  const scores = adapter.trainables.flatMap(({ firstHead, variable, blocks }, k) =>
    firstHead === undefined ? [] : [sensitivity(variable, gradients[k]!, blocks)],
  );
  return { scores, ...optimizer.update(own, numbers) };
}

/** Which of all trainables' blocks are heads. */
function headBlocks({ trainables }: Adapter): number[] {
  const isHead = trainables.flatMap(({ firstHead, blocks }) =>
    new Array<boolean>(blocks).fill(firstHead !== undefined),
  );
  return isHead.flatMap((is, block) => (is ? [block] : []));
}

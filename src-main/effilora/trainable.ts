import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { memoryShape, type TensorSpec } from './methods/tensors.ts';
import { normal, uniform } from './random.ts';

/** A tensor of an adapter in its layout in memory (`memoryShape`). */
export interface AdapterTensor extends TensorSpec {
  variable: tf.Variable<tf.Rank.R2>;
  /** equal blocks of rows with an optimizer state each: N for B, else 1 */
  blocks: number;
  /** where heads are: index of its first one among all */
  firstHead?: number;
}

/** One that learns. */
export type Trainable = AdapterTensor & { isFrozen?: false };

/** As an adapter begins. */
export function fresh(spec: TensorSpec, seed: number): AdapterTensor {
  const blocks = spec.role === 'B' ? spec.shape[0]! : 1;
  return { ...spec, variable: variableOf(startOf(spec, seed), !spec.isFrozen), blocks };
}

function startOf(spec: TensorSpec, seed: number): Tensor2D {
  const [rows, columns] = memoryShape(spec);
  const { start } = spec;
  if (start.kind === 'constant') return tf.fill([rows, columns], start.value);
  if (start.kind === 'normal')
    return tf.tensor2d(normal(seed, spec.name, rows * columns, start.deviation), [rows, columns]);
  return tf.tensor2d(uniform(seed, spec.name, rows * columns, -start.bound, start.bound), [rows, columns]);
}

/** A variable of that value, in the place of the tensor. */
export function variableOf(start: Tensor2D, trainable = true): tf.Variable<tf.Rank.R2> {
  const variable = tf.variable(start, trainable);
  start.dispose();
  return variable;
}

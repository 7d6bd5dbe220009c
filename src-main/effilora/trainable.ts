import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { TensorSpec } from './methods/structure.ts';
import { uniform } from './random.ts';

/** A trainable tensor in its layout in memory: A [r, in], B [N * r, out], router [N, in], magnitude [1, out], whole [rows, width]. */
export interface Trainable extends TensorSpec {
  variable: tf.Variable<tf.Rank.R2>;
  /** equal blocks of rows with an optimizer state each: N for B, else 1 */
  blocks: number;
  /** B: index of its first head among all heads */
  firstHead?: number;
}

/** As an adapter begins: A and router uniform in +-1 / sqrt(in), the others zero. */
export function fresh(spec: TensorSpec, seed: number): Trainable {
  const [rows, columns] = memoryShape(spec);
  const bound = 1 / Math.sqrt(spec.width);
  const start =
    spec.role === 'A' || spec.role === 'router'
      ? tf.tensor2d(uniform(seed, spec.name, rows * columns, -bound, bound), [rows, columns])
      : tf.zeros<tf.Rank.R2>([rows, columns]);
  return { ...spec, variable: variableOf(start), blocks: spec.role === 'B' ? spec.shape[0]! : 1 };
}

function memoryShape({ role, shape, width }: TensorSpec): [number, number] {
  if (role === 'whole') return [shape.reduce((size, axis) => size * axis, 1) / width, width];
  if (role === 'B') return [shape[0]! * shape[2]!, shape[1]!];
  if (role === 'magnitude') return [1, shape[0]!];
  return [shape[0]!, shape[1]!];
}

/** A variable of that value, in the place of the tensor. */
export function variableOf(start: Tensor2D): tf.Variable<tf.Rank.R2> {
  const variable = tf.variable(start);
  start.dispose();
  return variable;
}

import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';

/** Numbers of a line that share a scale. */
const BLOCK = 32;
/** Blocks with nothing larger count as 0. */
const SMALLEST = 2 ** -100;
/** Up to here f16 has steps of 2^-24. */
const SUBNORMAL_F16 = 2 ** -14;

let areInIntegers = false;

/** Whether products with frozen linears are in integers now. */
export const inIntegers = (): boolean => areInIntegers;

/** Does f with products with frozen linears in integers, and their gradients: docs/method.md, Integer products. */
export function withIntegerProducts<T>(f: () => T): T {
  const before = areInIntegers;
  areInIntegers = true;
  try {
    return f();
  } finally {
    areInIntegers = before;
  }
}

/** [rows, blocks, 32], filled up with 0. */
function blocksOf(x: Tensor2D): Tensor {
  const [rows, width] = x.shape;
  const blocks = Math.ceil(width / BLOCK);
  const missing = blocks * BLOCK - width;
  const whole = missing === 0 ? x : tf.pad2d(x, [[0, 0], [0, missing]]); // prettier-ignore
  return tf.reshape(whole, [rows, blocks, BLOCK]);
}

function linesOf(blocks: Tensor, { shape, size }: Tensor2D): Tensor2D {
  const lines = tf.reshape(blocks, [shape[0], -1]) as Tensor2D;
  return lines.size === size ? lines : tf.slice(lines, [0, 0], shape);
}

const largestOf = (blocks: Tensor) => tf.max(tf.abs(blocks), 2, true);

/** x rounded by line and block of 32: d q with d = max |x| / 127 and q = round(x * (127 / max |x|)), half to even. */
export function roundedByBlock(x: Tensor2D): Tensor2D {
  return tf.tidy(() => {
    const blocks = blocksOf(x);
    const most = largestOf(blocks);
    const isSome = tf.logicalNot(tf.less(most, SMALLEST)); // what is no number stays none
    const inverse = tf.where(isSome, tf.div(127, most), tf.zerosLike(most));
    const scale = tf.where(isSome, tf.div(most, 127), tf.zerosLike(most));
    return linesOf(tf.mul(tf.round(tf.mul(blocks, inverse)), scale), x);
  });
}

/** W rounded likewise as GGUF's Q8_0 has it, whose scale is in f16: what lies in floating point, and every W^T. */
export function roundedAsQ8(weight: Tensor2D): Tensor2D {
  return tf.tidy(() => {
    const blocks = blocksOf(weight);
    const scale = tf.div(largestOf(blocks), 127);
    const inverse = tf.where(tf.equal(scale, 0), tf.zerosLike(scale), tf.div(1, scale));
    return linesOf(tf.mul(tf.round(tf.mul(blocks, inverse)), toF16(scale)), weight);
  });
}

/** The nearest number that f16 has, in f32 (Veltkamp's splitting); for what is not negative and below its largest. */
function toF16(x: Tensor): Tensor {
  const large = tf.mul(x, 2 ** 13 + 1);
  const normal = tf.sub(large, tf.sub(large, x));
  const steps = tf.sub(tf.add(x, 0.75), 0.75);
  return tf.where(tf.less(x, SUBNORMAL_F16), steps, normal);
}

/**
 * What an engine's own products in integers give, by operations in f32: x W^T [tokens, rows], or x W [tokens, width] with `gradient`.
 * @param isInBlocks whether W's numbers are those of quantized blocks already
 */
export function integerProductComposed(
  x: Tensor2D,
  weight: Tensor2D,
  gradient: boolean,
  isInBlocks: boolean,
): Tensor2D {
  return tf.tidy(() => {
    const factor = gradient ? roundedAsQ8(tf.transpose(weight)) : isInBlocks ? weight : roundedAsQ8(weight);
    return tf.matMul(roundedByBlock(x), factor, false, true);
  });
}

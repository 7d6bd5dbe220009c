import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { WeightFormat } from '../weight-formats.ts';
import { bfloat16, type ByteOperations, half, int8, uint8 } from './byte-operations.ts';

type Packed = Exclude<WeightFormat, 'f32'>;

/** The bytes of blocks [blocks, bytes] as numbers [blocks, ...], a block's in their order. */
type Unpack = (bytes: ByteOperations, blocks: Tensor) => Tensor;

/** The half at a byte of each block, [blocks, 1]. */
const halfAt = (bytes: ByteOperations, blocks: Tensor, at: number) =>
  tf.reshape(bytes.numbers(bytes.bitcast(bytes.columns(blocks, at, at + 2), uint8, half), half), [-1, 1]);

/** The low halves of bytes [blocks, parts, n], then their high ones: [blocks, parts, 2, n] as numbers. */
function nibbles(bytes: ByteOperations, blocks: Tensor, from: number, to: number, parts: number): Tensor {
  const shape = [blocks.shape[0]!, parts, 1, (to - from) / parts];
  const both = bytes.reshape(bytes.columns(blocks, from, to), uint8, shape);
  return bytes.numbers(bytes.joined([bytes.and(both, 15), bytes.shifted(both, [4])], 2), uint8);
}

/** A fifth bit for each of 32 numbers, from four bytes of each block: [blocks, 32], 0 or 16. */
function fifthBits(bytes: ByteOperations, blocks: Tensor, at: number): Tensor {
  const four = bytes.reshape(bytes.columns(blocks, at, at + 4), uint8, [blocks.shape[0]!, 4, 1]);
  const bits = bytes.numbers(bytes.and(bytes.shifted(four, [0, 1, 2, 3, 4, 5, 6, 7], [8]), 1), uint8);
  return tf.mul(tf.reshape(bits, [-1, 32]), 16);
}

/** Scale and minimum of each of a block's eight parts, six bits each (ggml-quants.c, get_scale_min_k4): [blocks, 8, 1]. */
function partScales(bytes: ByteOperations, blocks: Tensor): { scale: Tensor; least: Tensor } {
  const [a, b, c] = [4, 8, 12].map((at) => bytes.columns(blocks, at, at + 4)) as [Tensor, Tensor, Tensor];
  const numbers = (x: Tensor) => bytes.numbers(x, uint8);
  const upper = (x: Tensor) => tf.mul(numbers(bytes.shifted(x, [6])), 16);
  const eight = (first: Tensor, second: Tensor) =>
    tf.reshape(tf.concat([numbers(bytes.and(first, 63)), tf.add(numbers(second), upper(first))], 1), [-1, 8, 1]);
  return { scale: eight(a, bytes.and(c, 15)), least: eight(b, bytes.shifted(c, [4])) };
}

/** d scale q - dmin least, of q [blocks, 8, 32] */
function inParts(bytes: ByteOperations, blocks: Tensor, q: Tensor): Tensor {
  const { scale, least } = partScales(bytes, blocks);
  const [d, dmin] = [0, 2].map((at) => tf.reshape(halfAt(bytes, blocks, at), [-1, 1, 1])) as [Tensor, Tensor];
  return tf.sub(tf.mul(q, tf.mul(d, scale)), tf.mul(dmin, least));
}

/** Q6_K's numbers, in two halves of four parts of 32; two scales a part. */
function sixBits(bytes: ByteOperations, blocks: Tensor): Tensor {
  const count = blocks.shape[0]!;
  const low = bytes.reshape(bytes.columns(blocks, 0, 128), uint8, [count, 2, 2, 32]);
  const lower = bytes.joined([bytes.and(low, 15), bytes.shifted(low, [4])], 2);
  const high = bytes.reshape(bytes.columns(blocks, 128, 192), uint8, [count, 2, 1, 32]);
  const upper = bytes.and(bytes.shifted(high, [0, 2, 4, 6], [4, 1]), 3);
  const q = tf.add(bytes.numbers(lower, uint8), tf.sub(tf.mul(bytes.numbers(upper, uint8), 16), 32));
  const scales = bytes.numbers(bytes.bitcast(bytes.columns(blocks, 192, 208), uint8, int8), int8);
  const perPart = tf.mul(tf.reshape(scales, [-1, 16, 1]), tf.reshape(halfAt(bytes, blocks, 208), [-1, 1, 1]));
  return tf.mul(tf.reshape(q, [-1, 16, 16]), perPart);
}

/** By format, as its blocks lie in a file (ggml-common.h): bytes of a block, and its numbers. */
const FORMATS: Record<Packed, { bytes: number; unpack: Unpack }> = {
  f16: { bytes: 2, unpack: (bytes, blocks) => bytes.numbers(bytes.bitcast(blocks, uint8, half), half) },
  bf16: { bytes: 2, unpack: (bytes, blocks) => bytes.numbers(bytes.bitcast(blocks, uint8, bfloat16), bfloat16) },
  q4_0: {
    bytes: 18,
    unpack: (bytes, blocks) => tf.mul(tf.sub(flat(nibbles(bytes, blocks, 2, 18, 1)), 8), halfAt(bytes, blocks, 0)),
  },
  q4_1: {
    bytes: 20,
    unpack: (bytes, blocks) =>
      tf.add(tf.mul(flat(nibbles(bytes, blocks, 4, 20, 1)), halfAt(bytes, blocks, 0)), halfAt(bytes, blocks, 2)),
  },
  q5_0: {
    bytes: 22,
    unpack: (bytes, blocks) => {
      const q = tf.add(flat(nibbles(bytes, blocks, 6, 22, 1)), fifthBits(bytes, blocks, 2));
      return tf.mul(tf.sub(q, 16), halfAt(bytes, blocks, 0));
    },
  },
  q5_1: {
    bytes: 24,
    unpack: (bytes, blocks) => {
      const q = tf.add(flat(nibbles(bytes, blocks, 8, 24, 1)), fifthBits(bytes, blocks, 4));
      return tf.add(tf.mul(q, halfAt(bytes, blocks, 0)), halfAt(bytes, blocks, 2));
    },
  },
  q8_0: {
    bytes: 34,
    unpack: (bytes, blocks) =>
      tf.mul(bytes.numbers(bytes.bitcast(bytes.columns(blocks, 2, 34), uint8, int8), int8), halfAt(bytes, blocks, 0)),
  },
  q4_k: {
    bytes: 144,
    unpack: (bytes, blocks) => inParts(bytes, blocks, tf.reshape(nibbles(bytes, blocks, 16, 144, 4), [-1, 8, 32])),
  },
  q5_k: {
    bytes: 176,
    unpack: (bytes, blocks) => {
      const q = tf.reshape(nibbles(bytes, blocks, 48, 176, 4), [-1, 8, 32]);
      const all = bytes.reshape(bytes.columns(blocks, 16, 48), uint8, [blocks.shape[0]!, 1, 32]);
      const fifth = bytes.and(bytes.shifted(all, [0, 1, 2, 3, 4, 5, 6, 7], [8, 1]), 1);
      return inParts(bytes, blocks, tf.add(q, tf.mul(bytes.numbers(fifth, uint8), 16)));
    },
  },
  q6_k: { bytes: 210, unpack: sixBits },
};

const flat = (q: Tensor) => tf.reshape(q, [-1, 32]);

/** f32 numbers [rows, columns] of a matrix's bytes as its file has them, by operations that every device has. */
export function unpacked(
  bytes: ByteOperations,
  packed: Tensor,
  format: Packed,
  [rows, columns]: [number, number],
): Tensor2D {
  const { bytes: blockBytes, unpack } = FORMATS[format];
  return tf.tidy(() => {
    const blocks = bytes.reshape(packed, uint8, [packed.size / blockBytes, blockBytes]);
    return tf.reshape(unpack(bytes, blocks), [rows, columns]);
  });
}

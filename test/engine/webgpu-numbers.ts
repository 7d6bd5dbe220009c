import { randomStream } from '../../src-main/engine/random.ts';
import type { WeightFormat } from '../../src-main/engine/weight-formats.ts';

const random = randomStream(3, 'products');
export const numbers = (count: number) => Float32Array.from({ length: count }, () => 2 * random() - 1);

/** The largest difference, as a share of the largest number of `theirs`. */
export function difference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  let [largest, apart] = [1e-30, 0];
  for (let i = 0; i < theirs.length; i++) {
    largest = Math.max(largest, Math.abs(theirs[i]!));
    apart = Math.max(apart, Math.abs(ours[i]! - theirs[i]!));
  }
  return ours.length === theirs.length ? apart / largest : Infinity;
}

const bfloat = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0]! >>> 16;

/** Bytes of a frozen matrix: blocks of random quants with scales that are halves near 1/64. */
export function weightBytes(format: WeightFormat, count: number): Uint8Array {
  if (format === 'f32') return new Uint8Array(numbers(count).buffer);
  if (format === 'bf16') return new Uint8Array(Uint16Array.from(numbers(count), bfloat).buffer);
  const { block, bytes, halves } = {
    f16: { block: 1, bytes: 2, halves: [0] },
    q4_0: { block: 32, bytes: 18, halves: [0] },
    q4_1: { block: 32, bytes: 20, halves: [0, 2] },
    q5_0: { block: 32, bytes: 22, halves: [0] },
    q5_1: { block: 32, bytes: 24, halves: [0, 2] },
    q8_0: { block: 32, bytes: 34, halves: [0] },
    q4_k: { block: 256, bytes: 144, halves: [0, 2] },
    q5_k: { block: 256, bytes: 176, halves: [0, 2] },
    q6_k: { block: 256, bytes: 210, halves: [208] },
  }[format];
  const out = Uint8Array.from({ length: (count / block) * bytes }, () => Math.floor(256 * random()));
  for (let start = 0; start < out.length; start += bytes)
    for (const half of halves) out[start + half + 1] = (random() < 0.5 ? 0x80 : 0) | 0x24; // exponent of 2^-6
  return out;
}

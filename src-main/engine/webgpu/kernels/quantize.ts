import type { Tensor2D, TensorInfo } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { INVOCATION, run, spread, type Kernel } from '../kernel.ts';

// Numbers into GGUF's blocks, with the arithmetic of the Python package gguf (quants.py). A thread makes whole words.

const THREADS = 64;

/** Formats that numbers can be put into: how many make whole words, and how many words. */
const TARGETS = {
  bf16: { numbers: 2, words: 1 },
  q8_0: { numbers: 64, words: 17 },
  q4_0: { numbers: 64, words: 9 },
} as const;
export type TargetFormat = keyof typeof TARGETS;

export const isTarget = (format: string): format is TargetFormat => format in TARGETS;

/** `fn half(number) -> u32`, to the nearest, ties to even: WGSL leaves the rounding of pack2x16float to the device. */
export const HALF = `
fn half(number: f32) -> u32 {
  let bits = bitcast<u32>(number);
  let sign = (bits >> 16u) & 0x8000u;
  let size = bits & 0x7fffffffu;
  if (size >= 0x477ff000u) { return sign | 0x7c00u; }
  if (size < 0x38800000u) { return sign | u32(round(bitcast<f32>(size) * 16777216.0)); } // in units of 2^-24
  return sign | ((size - 0x38000000u + 0xfffu + ((size >> 13u) & 1u)) >> 13u);
}`;

const PUT = `${HALF}
fn put(byte: u32, value: u32) { packed[byte / 4u] |= (value & 255u) << (8u * (byte % 4u)); }
fn putHalf(byte: u32, number: f32) {
  let bits = half(number);
  put(byte, bits);
  put(byte + 1u, bits >> 8u);
}`;

/** `fn pack(first, count)`: `count` of the numbers x from `first` on, into the words `packed`. */
const PACK: Record<TargetFormat, string> = {
  bf16: `
fn pack(first: u32, count: u32) {
  for (var i = 0u; i < count; i++) {
    let bits = bitcast<u32>(x[first + i]);
    packed[0] |= ((bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u) << (16u * i);
  }
}`,
  // d = largest magnitude / 127, q = round(x / d), halves away from zero
  q8_0: `${PUT}
fn pack(first: u32, count: u32) {
  for (var start = 0u; start < count; start += 32u) {
    let byte = start / 32u * 34u;
    var largest = 0.0;
    for (var i = 0u; i < 32u; i++) { largest = max(largest, abs(x[first + start + i])); }
    let d = largest / 127.0;
    putHalf(byte, d);
    if (d == 0.0) { continue; }
    let inverse = 1.0 / d;
    for (var i = 0u; i < 32u; i++) {
      let scaled = x[first + start + i] * inverse;
      put(byte + 2u + i, bitcast<u32>(i32(sign(scaled) * floor(abs(scaled) + 0.5))));
    }
  }
}`,
  // d = the number of largest magnitude / -8, q = x / d + 8.5 cut off
  q4_0: `${PUT}
fn pack(first: u32, count: u32) {
  for (var start = 0u; start < count; start += 32u) {
    let byte = start / 32u * 18u;
    var most = 0.0;
    for (var i = 0u; i < 32u; i++) {
      let number = x[first + start + i];
      if (abs(number) > abs(most)) { most = number; }
    }
    let d = most / -8.0;
    putHalf(byte, d);
    var inverse = 0.0;
    if (d != 0.0) { inverse = 1.0 / d; }
    for (var i = 0u; i < 16u; i++) {
      let two = vec2f(x[first + start + i], x[first + start + 16u + i]) * inverse + 8.5;
      let quants = vec2u(clamp(two, vec2f(0.0), vec2f(15.0)));
      put(byte + 2u + i, quants.x | (quants.y << 4u));
    }
  }
}`,
};

function kernel(format: TargetFormat): Kernel {
  const { numbers, words } = TARGETS[format];
  return {
    name: `quantize ${format}`,
    reads: { x: 'f32' },
    writes: { out: 'u32' },
    params: { size: 'u32', start: 'u32' },
    code: `var<private> packed: array<u32, ${words}>;
${PACK[format]}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let i = flat(group, groups) * ${THREADS}u + thread;
  if (i >= (p.size + ${numbers - 1}u) / ${numbers}u) { return; }
  let count = min(${numbers}u, p.size - i * ${numbers}u);
  pack(i * ${numbers}u, count);
  let words = (count * ${words}u + ${numbers - 1}u) / ${numbers}u;
  for (var word = 0u; word < words; word++) { out[p.start + i * ${words}u + word] = packed[word]; }
}`,
  };
}

/**
 * Writes f32 numbers into the words of a matrix that lie from number `first` of it on, a multiple of 64. Only the matrix's last
 * numbers may be no multiple of 64.
 */
export function quantize(backend: Backend, x: Tensor2D, format: TargetFormat, out: TensorInfo, first: number): void {
  const { numbers, words } = TARGETS[format];
  const groups = spread(Math.ceil(x.size / numbers / THREADS));
  run(backend, kernel(format), [x], [out], [x.size, (first / numbers) * words], groups);
}

import { bfloatsToFloats, bytesToFloats, HALF, halvesToFloats } from '../floats.ts';
import { GGML_TYPES, type GgmlType } from './types.ts';

// Block layouts: ggml-common.h; arithmetic: ggml-quants.c, dequantize_row_*. `b` is a block's first byte, `o` its first element.

type Unpack = (q: Uint8Array, b: number, y: Float32Array, o: number) => void;

const half = (q: Uint8Array, at: number): number => HALF[q[at]! | (q[at + 1]! << 8)]!;
const int8 = (byte: number): number => (byte << 24) >> 24;

/** y = d * (q - 8) */
const q4_0: Unpack = (q, b, y, o) => {
  const d = half(q, b);
  for (let i = 0; i < 16; i++) {
    const byte = q[b + 2 + i]!;
    y[o + i] = d * ((byte & 15) - 8);
    y[o + 16 + i] = d * ((byte >> 4) - 8);
  }
};

/** y = d * q + m */
const q4_1: Unpack = (q, b, y, o) => {
  const d = half(q, b);
  const m = half(q, b + 2);
  for (let i = 0; i < 16; i++) {
    const byte = q[b + 4 + i]!;
    y[o + i] = d * (byte & 15) + m;
    y[o + 16 + i] = d * (byte >> 4) + m;
  }
};

/** y = d * (q - 16), the fifth bits in one 32-bit word */
const q5_0: Unpack = (q, b, y, o) => {
  const d = half(q, b);
  const high = q[b + 2]! | (q[b + 3]! << 8) | (q[b + 4]! << 16) | (q[b + 5]! << 24);
  for (let i = 0; i < 16; i++) {
    const byte = q[b + 6 + i]!;
    y[o + i] = d * (((byte & 15) | (((high >>> i) & 1) << 4)) - 16);
    y[o + 16 + i] = d * (((byte >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
  }
};

/** y = d * q + m, the fifth bits in one 32-bit word */
const q5_1: Unpack = (q, b, y, o) => {
  const d = half(q, b);
  const m = half(q, b + 2);
  const high = q[b + 4]! | (q[b + 5]! << 8) | (q[b + 6]! << 16) | (q[b + 7]! << 24);
  for (let i = 0; i < 16; i++) {
    const byte = q[b + 8 + i]!;
    y[o + i] = d * ((byte & 15) | (((high >>> i) & 1) << 4)) + m;
    y[o + 16 + i] = d * ((byte >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m;
  }
};

/** y = d * q */
const q8_0: Unpack = (q, b, y, o) => {
  const d = half(q, b);
  for (let i = 0; i < 32; i++) y[o + i] = d * int8(q[b + 2 + i]!);
};

/** The 6-bit scale of sub-block j, packed in 12 bytes from `s` on (get_scale_min_k4). */
const scaleK4 = (q: Uint8Array, s: number, j: number): number =>
  j < 4 ? q[s + j]! & 63 : (q[s + j + 4]! & 15) | ((q[s + j - 4]! >> 6) << 4);
const minK4 = (q: Uint8Array, s: number, j: number): number =>
  j < 4 ? q[s + j + 4]! & 63 : (q[s + j + 4]! >> 4) | ((q[s + j]! >> 6) << 4);

/** y = d * scale_j * q - dmin * min_j, sub-blocks of 32 */
const q4_k: Unpack = (q, b, y, o) => {
  const d = half(q, b);
  const dmin = half(q, b + 2);
  for (let j = 0; j < 8; j++) {
    const scale = d * scaleK4(q, b + 4, j);
    const min = dmin * minK4(q, b + 4, j);
    const from = b + 16 + 32 * (j >> 1);
    const shift = 4 * (j & 1);
    for (let i = 0; i < 32; i++) y[o + 32 * j + i] = scale * ((q[from + i]! >> shift) & 15) - min;
  }
};

/** As q4_k, with the fifth bits of sub-block j in bit j of 32 bytes */
const q5_k: Unpack = (q, b, y, o) => {
  const d = half(q, b);
  const dmin = half(q, b + 2);
  for (let j = 0; j < 8; j++) {
    const scale = d * scaleK4(q, b + 4, j);
    const min = dmin * minK4(q, b + 4, j);
    const from = b + 48 + 32 * (j >> 1);
    const shift = 4 * (j & 1);
    for (let i = 0; i < 32; i++) {
      const quant = ((q[from + i]! >> shift) & 15) | (((q[b + 16 + i]! >> j) & 1) << 4);
      y[o + 32 * j + i] = scale * quant - min;
    }
  }
};

/** y = d * scale * (q - 32), 16 int8 scales, the upper two bits apart */
const q6_k: Unpack = (q, b, y, o) => {
  const d = half(q, b + 208);
  for (let n = 0; n < 2; n++)
    for (let part = 0; part < 4; part++)
      for (let i = 0; i < 32; i++) {
        const low = (q[b + 64 * n + 32 * (part & 1) + i]! >> (4 * (part >> 1))) & 15;
        const high = (q[b + 128 + 32 * n + i]! >> (2 * part)) & 3;
        const scale = int8(q[b + 192 + 8 * n + 2 * part + (i >> 4)]!);
        y[o + 128 * n + 32 * part + i] = d * scale * ((low | (high << 4)) - 32);
      }
};

const UNPACK: Partial<Record<GgmlType, Unpack>> = { q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k };

/** A tensor's bytes -> f32, to the last bit what the Python package gguf gives. */
export function dequantize(bytes: Uint8Array, type: GgmlType): Float32Array {
  if (type === 'f32') return bytesToFloats(bytes);
  if (type === 'f16') return halvesToFloats(bytes);
  if (type === 'bf16') return bfloatsToFloats(bytes);
  const unpack = UNPACK[type]!;
  const { block, bytes: blockBytes } = GGML_TYPES[type];
  const blocks = bytes.length / blockBytes;
  const out = new Float32Array(blocks * block);
  for (let i = 0; i < blocks; i++) unpack(bytes, i * blockBytes, out, i * block);
  return out;
}

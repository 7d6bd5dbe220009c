import { toBfloat, toHalf } from '../floats.ts';
import { GGML_TYPES, type GgmlType } from './types.ts';

// Block layouts as in dequantize.ts; arithmetic as in the Python package gguf (quants.py), byte for byte.

/** The types that values can be written in. */
export type WritableType = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0';

type Pack = (x: Float32Array, o: number, q: Uint8Array, b: number) => void;

function setHalf(q: Uint8Array, at: number, value: number): void {
  const half = toHalf(value);
  q[at] = half & 255;
  q[at + 1] = half >> 8;
}

/** 1 / d in f32; 0 for a block of zeros. */
const reciprocal = (d: number) => (d === 0 ? 0 : Math.fround(1 / d));

/** d = largest magnitude / 127, q = round(x / d), halves away from zero */
const q8_0: Pack = (x, o, q, b) => {
  let largest = 0;
  for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(x[o + i]!));
  const d = Math.fround(largest / 127);
  const inverse = reciprocal(d);
  setHalf(q, b, d);
  for (let i = 0; i < 32; i++) {
    const scaled = Math.fround(x[o + i]! * inverse);
    const size = Math.floor(Math.abs(scaled));
    const rounded = size + Math.floor(2 * (Math.abs(scaled) - size));
    q[b + 2 + i] = scaled < 0 ? -rounded : rounded;
  }
};

/** d = the value of largest magnitude / -8, q = x / d + 8.5 cut off */
const q4_0: Pack = (x, o, q, b) => {
  let most = 0;
  for (let i = 0; i < 32; i++) if (Math.abs(x[o + i]!) > Math.abs(most)) most = x[o + i]!;
  const d = Math.fround(most / -8);
  const inverse = reciprocal(d);
  setHalf(q, b, d);
  const quant = (value: number) => Math.min(15, Math.max(0, Math.trunc(value * inverse + 8.5)));
  for (let i = 0; i < 16; i++) q[b + 2 + i] = quant(x[o + i]!) | (quant(x[o + 16 + i]!) << 4);
};

const PACK: Partial<Record<WritableType, Pack>> = { q8_0, q4_0 };

/** As Uint16Array.from does, which goes through an iterator: at twenty times the time. */
function asShorts(values: Float32Array, toShort: (value: number) => number): Uint16Array<ArrayBuffer> {
  const shorts = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) shorts[i] = toShort(values[i]!);
  return shorts;
}

/** f32 values as a tensor's bytes. Their number must be whole blocks. */
export function quantize(values: Float32Array, type: WritableType): Uint8Array {
  if (type === 'f32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (type === 'f16') return new Uint8Array(asShorts(values, toHalf).buffer);
  if (type === 'bf16') return new Uint8Array(asShorts(values, toBfloat).buffer);
  const { block, bytes } = GGML_TYPES[type];
  const out = new Uint8Array((values.length / block) * bytes);
  for (let i = 0; i * block < values.length; i++) PACK[type]!(values, i * block, out, i * bytes);
  return out;
}

/** Whether a row of that many values can be cut into the type's blocks. */
export function fitsBlocks(rowLength: number, type: GgmlType): boolean {
  return rowLength % GGML_TYPES[type].block === 0;
}

// 16-bit floats as they lie in model files, widened to f32.

const bits = new Uint32Array(1);
const value = new Float32Array(bits.buffer);

function widenHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** IEEE 754 binary16 -> number, by its 16 bits. */
export const HALF: Float32Array = Float32Array.from({ length: 65536 }, (_, half) => widenHalf(half));

/** bf16 (the upper half of an f32) -> number. */
export function widenBfloat(bfloat: number): number {
  bits[0] = bfloat << 16;
  return value[0]!;
}

/** Little-endian f16 bytes -> f32. */
export function halvesToFloats(bytes: Uint8Array): Float32Array {
  const out = new Float32Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = HALF[bytes[2 * i]! | (bytes[2 * i + 1]! << 8)]!;
  return out;
}

/** Little-endian bf16 bytes -> f32. */
export function bfloatsToFloats(bytes: Uint8Array): Float32Array {
  const out = new Uint32Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = (bytes[2 * i]! | (bytes[2 * i + 1]! << 8)) << 16;
  return new Float32Array(out.buffer);
}

/** Little-endian f32 bytes -> f32 (a copy, so that alignment doesn't matter). */
export function bytesToFloats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer);
}

/** f32 -> f16 bits, to nearest even. */
export function toHalf(number: number): number {
  value[0] = number;
  const x = bits[0]!;
  const sign = (x >>> 16) & 0x8000;
  const exponent = (x >>> 23) & 0xff;
  // Most: without a branch on how it is rounded, which nothing can predict. What is rounded up out of the range is infinite, as it must be.
  if (exponent > 112 && exponent < 143) return sign | (((x & 0x7fffffff) - 0x38000000 + 0xfff + ((x >>> 13) & 1)) >>> 13); // prettier-ignore
  let fraction = x & 0x7fffff;
  if (exponent === 255) return sign | 0x7c00 | (fraction ? 0x200 : 0);
  const unbiased = exponent - 112;
  if (unbiased >= 31) return sign | 0x7c00;
  if (unbiased < -10) return sign;
  fraction |= 0x800000;
  return sign | roundShift(fraction, 14 - unbiased);
}

/** `bits >> shift`, rounded to nearest, ties to even. */
function roundShift(bitsToShift: number, shift: number): number {
  const half = 1 << (shift - 1);
  const rest = bitsToShift & ((1 << shift) - 1);
  const whole = bitsToShift >>> shift;
  return rest > half || (rest === half && whole & 1) ? whole + 1 : whole;
}

/** f32 -> bf16 bits, to nearest even. */
export function toBfloat(number: number): number {
  value[0] = number;
  const x = bits[0]!;
  if (Number.isNaN(number)) return (x >>> 16) | 0x40;
  return ((x + 0x7fff + ((x >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Numbers end to end. */
export function joined(parts: Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

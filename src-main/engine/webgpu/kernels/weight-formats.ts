import { floats, type Operand } from './operands.ts';

/** How a frozen matrix lies in memory: GGUF's own blocks (ggml-common.h), halves two to a word, or f32. */
export const WEIGHT_FORMATS = ['f32', 'f16', 'bf16', 'q4_0', 'q4_1', 'q5_0', 'q8_0', 'q4_k', 'q6_k'] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

/** Numbers and bytes of a block. */
const BLOCKS: Record<WeightFormat, { numbers: number; bytes: number }> = {
  f32: { numbers: 1, bytes: 4 },
  f16: { numbers: 1, bytes: 2 },
  bf16: { numbers: 1, bytes: 2 },
  q4_0: { numbers: 32, bytes: 18 },
  q4_1: { numbers: 32, bytes: 20 },
  q5_0: { numbers: 32, bytes: 22 },
  q8_0: { numbers: 32, bytes: 34 },
  q4_k: { numbers: 256, bytes: 144 },
  q6_k: { numbers: 256, bytes: 210 },
};

/** GGML's numbers of the formats (ggml.h). */
const NUMBERS: Record<number, WeightFormat> = {
  ...{ 0: 'f32', 1: 'f16', 30: 'bf16', 2: 'q4_0', 3: 'q4_1', 6: 'q5_0', 8: 'q8_0', 12: 'q4_k', 14: 'q6_k' },
};

/** The format that GGML gives this number; undefined where we have no product for it. */
export const formatOf = (number: number): WeightFormat | undefined => NUMBERS[number];

export function bytesOfRows(format: WeightFormat, rows: number, columns: number): number {
  const { numbers, bytes } = BLOCKS[format];
  return ((rows * columns) / numbers) * bytes;
}

/** Four bytes from any even byte on: blocks of 18 and 34 bytes do not start at words. */
const BYTES = (words: string) => `
fn ${words}Bytes(byte: u32) -> u32 {
  let low = ${words}[byte / 4u];
  if (byte % 4u == 0u) { return low; }
  return (low >> 16u) | (${words}[byte / 4u + 1u] << 16u);
}`;

/** The four low halves of the bytes of a word, or their high ones, as numbers. */
const NIBBLES = `
fn nibbles(word: u32, high: bool) -> vec4f {
  let four = (word >> select(0u, 4u, high)) & 0x0f0f0f0fu;
  return vec4f(unpack4xU8(four));
}`;

/** WGSL for a block's four numbers from `e` on (a multiple of 4), given the block's number `block`. */
const FOUR: Record<Exclude<WeightFormat, 'f32' | 'f16' | 'bf16'>, (words: string) => string> = {
  // d (q - 8)
  q4_0: (words) => `
  let byte = block * 18u;
  let d = unpack2x16float(${words}Bytes(byte)).x;
  return d * (nibbles(${words}Bytes(byte + 2u + e % 16u), e >= 16u) - 8.0);`,
  // d q + m
  q4_1: (words) => `
  let scale = unpack2x16float(${words}[block * 5u]);
  return scale.x * nibbles(${words}[block * 5u + 1u + e % 16u / 4u], e >= 16u) + scale.y;`,
  // d (q - 16), the fifth bits in one word
  q5_0: (words) => `
  let byte = block * 22u;
  let d = unpack2x16float(${words}Bytes(byte)).x;
  let fifth = ${words}Bytes(byte + 2u) >> e;
  let high = vec4f(vec4u(fifth, fifth >> 1u, fifth >> 2u, fifth >> 3u) & vec4u(1u)) * 16.0;
  return d * (nibbles(${words}Bytes(byte + 6u + e % 16u), e >= 16u) + high - 16.0);`,
  // d q
  q8_0: (words) => `
  let byte = block * 34u;
  let d = unpack2x16float(${words}Bytes(byte)).x;
  return d * vec4f(unpack4xI8(${words}Bytes(byte + 2u + e)));`,
  // d scale_j q - dmin min_j, sub-blocks j of 32, their 6-bit scales and minima packed into 12 bytes (get_scale_min_k4)
  q4_k: (words) => `
  let start = block * 36u;
  let d = unpack2x16float(${words}[start]);
  let j = e / 32u;
  let low = ${words}[start + 1u] >> (8u * (j % 4u));
  let middle = ${words}[start + 2u] >> (8u * (j % 4u));
  let high = ${words}[start + 3u] >> (8u * (j % 4u));
  let scale = select((high & 15u) | (((low >> 6u) & 3u) << 4u), low & 63u, j < 4u);
  let least = select(((high >> 4u) & 15u) | (((middle >> 6u) & 3u) << 4u), middle & 63u, j < 4u);
  let four = nibbles(${words}[start + 4u + e / 64u * 8u + e % 32u / 4u], e / 32u % 2u == 1u);
  return d.x * f32(scale) * four - d.y * f32(least);`,
  // d scale (q - 32), an 8-bit scale for 16, the upper two bits apart; parts of 32 in halves of 128
  q6_k: (words) => `
  let byte = block * 210u;
  let half = e / 128u;
  let part = e % 128u / 32u;
  let low = nibbles(${words}Bytes(byte + 64u * half + 32u * (part % 2u) + e % 32u), part >= 2u);
  let high = unpack4xU8((${words}Bytes(byte + 128u + 32u * half + e % 32u) >> (2u * part)) & 0x03030303u);
  let scales = ${words}Bytes(byte + 192u + 8u * half + 2u * part);
  let scale = unpack4xI8(select(scales, scales >> 8u, e % 32u >= 16u)).x;
  return unpack2x16float(${words}Bytes(byte + 208u)).x * f32(scale) * (low + 16.0 * vec4f(high) - 32.0);`,
};

/** A frozen matrix in its file's own format as a product reads it. */
export function quantized(format: WeightFormat, variable: string, columns: number): Operand {
  if (format === 'f32') return floats(variable, columns);
  if (format === 'f16' || format === 'bf16') return halves(variable, format);
  const { numbers } = BLOCKS[format];
  return {
    name: format,
    buffers: { [variable]: 'u32' },
    read: (name, rows, width) => `${BYTES(variable)}${NIBBLES}
fn ${name}(row: u32, column: u32) -> vec4f {
  if (row >= ${rows} || column >= ${width}) { return vec4f(0.0); }
  let block = (row * ${width} + column) / ${numbers}u;
  let e = column % ${numbers}u;
  ${FOUR[format](variable)}
}`,
  };
}

/** Halves, two to a word: every device can unpack them, whether it computes with f16 or not. */
function halves(variable: string, format: 'f16' | 'bf16'): Operand {
  const unpack = (word: string) =>
    format === 'f16' ? `unpack2x16float(${word})` : `bitcast<vec2f>(vec2u(${word} << 16u, ${word} & 0xffff0000u))`;
  return {
    name: format,
    buffers: { [variable]: 'vec2u' },
    read: (name, rows, width) => `
fn ${name}(row: u32, column: u32) -> vec4f {
  if (row >= ${rows} || column >= ${width}) { return vec4f(0.0); }
  let words = ${variable}[(row * ${width} + column) / 4u];
  return vec4f(${unpack('words.x')}, ${unpack('words.y')});
}`,
  };
}

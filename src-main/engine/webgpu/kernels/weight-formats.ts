import { blockNumbers, type WeightFormat } from '../../weight-formats.ts';
import { floats, guarded, oneByOne, type Operand } from './operands.ts';

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

/** The upper bits of four quants, the lowest bits of a word shifted by 0 to 3. */
const FIFTH = `
fn fifthBits(word: u32) -> vec4f { return vec4f(vec4u(word, word >> 1u, word >> 2u, word >> 3u) & vec4u(1u)) * 16.0; }`;

/** Scale and minimum of sub-block j, 6 bits each, from a block's three words of them (get_scale_min_k4). */
const SCALE_K4 = `
fn scaleK4(j: u32, words: vec3u) -> vec2f {
  let bytes = words >> vec3u(8u * (j % 4u));
  let scale = select((bytes.z & 15u) | (((bytes.x >> 6u) & 3u) << 4u), bytes.x & 63u, j < 4u);
  let least = select(((bytes.z >> 4u) & 15u) | (((bytes.y >> 6u) & 3u) << 4u), bytes.y & 63u, j < 4u);
  return vec2f(f32(scale), f32(least));
}`;

const scalesOf = (words: string) =>
  `scaleK4(j, vec3u(${words}[start + 1u], ${words}[start + 2u], ${words}[start + 3u]))`;

type BlockFormat = Exclude<WeightFormat, 'f32' | 'f16' | 'bf16'>;

/**
 * WGSL for a block's four numbers from `e` on (a multiple of 4), given the block's number `block`: integers `quants`, and `scale`, of which
 * the numbers are scale.x quants + scale.y.
 */
const FOUR: Record<BlockFormat, (words: string) => string> = {
  // d (q - 8)
  q4_0: (words) => `
  let byte = block * 18u;
  let scale = vec2f(unpack2x16float(${words}Bytes(byte)).x, 0.0);
  let quants = nibbles(${words}Bytes(byte + 2u + e % 16u), e >= 16u) - 8.0;`,
  // d q + m
  q4_1: (words) => `
  let scale = unpack2x16float(${words}[block * 5u]);
  let quants = nibbles(${words}[block * 5u + 1u + e % 16u / 4u], e >= 16u);`,
  // d (q - 16), the fifth bits in one word
  q5_0: (words) => `
  let byte = block * 22u;
  let scale = vec2f(unpack2x16float(${words}Bytes(byte)).x, 0.0);
  let high = fifthBits(${words}Bytes(byte + 2u) >> e);
  let quants = nibbles(${words}Bytes(byte + 6u + e % 16u), e >= 16u) + high - 16.0;`,
  // d q + m, the fifth bits in one word
  q5_1: (words) => `
  let scale = unpack2x16float(${words}[block * 6u]);
  let high = fifthBits(${words}[block * 6u + 1u] >> e);
  let quants = nibbles(${words}[block * 6u + 2u + e % 16u / 4u], e >= 16u) + high;`,
  // d q
  q8_0: (words) => `
  let byte = block * 34u;
  let scale = vec2f(unpack2x16float(${words}Bytes(byte)).x, 0.0);
  let quants = vec4f(unpack4xI8(${words}Bytes(byte + 2u + e)));`,
  // d scale_j q - dmin min_j, sub-blocks j of 32, two in the halves of the same bytes
  q4_k: (words) => `
  let start = block * 36u;
  let j = e / 32u;
  let scale = vec2f(1.0, -1.0) * unpack2x16float(${words}[start]) * ${scalesOf(words)};
  let quants = nibbles(${words}[start + 4u + j / 2u * 8u + e % 32u / 4u], j % 2u == 1u);`,
  // as q4_k, the fifth bits apart
  q5_k: (words) => `
  let start = block * 44u;
  let j = e / 32u;
  let scale = vec2f(1.0, -1.0) * unpack2x16float(${words}[start]) * ${scalesOf(words)};
  let high = 16.0 * vec4f(unpack4xU8((${words}[start + 4u + e % 32u / 4u] >> j) & 0x01010101u));
  let quants = nibbles(${words}[start + 12u + j / 2u * 8u + e % 32u / 4u], j % 2u == 1u) + high;`,
  // d scale (q - 32), an 8-bit scale for 16, the upper two bits apart; parts of 32 in halves of 128
  q6_k: (words) => `
  let byte = block * 210u;
  let half = e / 128u;
  let part = e % 128u / 32u;
  let low = nibbles(${words}Bytes(byte + 64u * half + 32u * (part % 2u) + e % 32u), part >= 2u);
  let high = unpack4xU8((${words}Bytes(byte + 128u + 32u * half + e % 32u) >> (2u * part)) & 0x03030303u);
  let scales = ${words}Bytes(byte + 192u + 8u * half + 2u * part);
  let small = unpack4xI8(select(scales, scales >> 8u, e % 32u >= 16u)).x;
  let scale = vec2f(unpack2x16float(${words}Bytes(byte + 208u)).x * f32(small), 0.0);
  let quants = low + 16.0 * vec4f(high) - 32.0;`,
};

/** Whether a format's numbers are integers with scales. */
export const isInBlocks = (format: WeightFormat): format is BlockFormat => format in FOUR;

/** Numbers of a row that share a scale. */
export const scaleNumbers = (format: WeightFormat): 16 | 32 => (format === 'q6_k' ? 16 : 32);

/** Whether what is added to the numbers is not 0. */
export const hasLeast = (format: WeightFormat): boolean => ['q4_1', 'q5_1', 'q4_k', 'q5_k'].includes(format);

/** WGSL of `fn four(row, column, columns) -> Four`, the four integers and their scale, of a matrix in blocks. */
export const fourText = (format: BlockFormat, words: string) => `${BYTES(words)}${NIBBLES}${FIFTH}${SCALE_K4}
struct Four { quants: vec4f, scale: vec2f }
fn four(row: u32, column: u32, columns: u32) -> Four {
  let block = (row * columns + column) / ${blockNumbers(format)}u;
  let e = column % ${blockNumbers(format)}u;
  ${FOUR[format](words)}
  return Four(quants, scale);
}`;

/** A frozen matrix in its file's own format as a product reads it. */
export function quantized(format: WeightFormat, variable: string, columns: number): Operand {
  if (format === 'f32') return floats(variable, columns);
  if (format === 'f16' || format === 'bf16') return halves(format, variable, columns);
  return {
    name: format,
    buffers: { [variable]: 'u32' },
    read: (name, rows, width) =>
      `${fourText(format, variable)}${guarded(
        ...([name, rows, width] as const),
        `let some = four(row, column, ${width});
  return some.scale.x * some.quants + some.scale.y;`,
      )}`,
  };
}

/** Halves, two to a word: every device can unpack them, whether it computes with f16 or not. */
function halves(format: 'f16' | 'bf16', variable: string, columns: number): Operand {
  const unpack = (word: string) =>
    format === 'f16' ? `unpack2x16float(${word})` : `bitcast<vec2f>(vec2u(${word} << 16u, ${word} & 0xffff0000u))`;
  const whole = columns % 4 === 0;
  const four = (width: string) => `
  let words = ${variable}[(row * ${width} + column) / 4u];
  return vec4f(${unpack('words.x')}, ${unpack('words.y')});`;
  const one = (width: string) => (column: string) =>
    `${unpack(`${variable}[(row * ${width} + ${column}) / 2u]`)}[(row * ${width} + ${column}) % 2u]`;
  return {
    name: `${format} ${whole ? 4 : 1}`,
    buffers: { [variable]: whole ? 'vec2u' : 'u32' },
    read: (name, rows, width) => guarded(name, rows, width, whole ? four(width) : oneByOne(width, one(width))),
  };
}

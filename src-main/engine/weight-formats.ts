/** How a frozen matrix lies in memory: GGUF's own blocks (ggml-common.h), halves two to a word, or f32. */
export const WEIGHT_FORMATS = [
  ...(['f32', 'f16', 'bf16', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'q4_k', 'q5_k', 'q6_k'] as const),
];
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

/** Numbers and bytes of a block. */
const BLOCKS: Record<WeightFormat, { numbers: number; bytes: number }> = {
  f32: { numbers: 1, bytes: 4 },
  f16: { numbers: 1, bytes: 2 },
  bf16: { numbers: 1, bytes: 2 },
  q4_0: { numbers: 32, bytes: 18 },
  q4_1: { numbers: 32, bytes: 20 },
  q5_0: { numbers: 32, bytes: 22 },
  q5_1: { numbers: 32, bytes: 24 },
  q8_0: { numbers: 32, bytes: 34 },
  q4_k: { numbers: 256, bytes: 144 },
  q5_k: { numbers: 256, bytes: 176 },
  q6_k: { numbers: 256, bytes: 210 },
};

/** GGML's numbers of the formats (ggml.h). */
const NUMBERS: Record<number, WeightFormat> = {
  ...{ 0: 'f32', 1: 'f16', 30: 'bf16', 2: 'q4_0', 3: 'q4_1', 6: 'q5_0', 7: 'q5_1', 8: 'q8_0' },
  ...{ 12: 'q4_k', 13: 'q5_k', 14: 'q6_k' },
};

/** The format that GGML gives this number; undefined where we have no product for it. */
export const formatOf = (number: number): WeightFormat | undefined => NUMBERS[number];

export const blockNumbers = (format: WeightFormat): number => BLOCKS[format].numbers;

export function bytesOfRows(format: WeightFormat, rows: number, columns: number): number {
  const { numbers, bytes } = BLOCKS[format];
  return ((rows * columns) / numbers) * bytes;
}

/** 32-bit words that so many rows take. */
export const wordsOfRows = (format: WeightFormat, rows: number, columns: number): number =>
  Math.ceil(bytesOfRows(format, rows, columns) / 4);

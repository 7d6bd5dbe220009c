/**
 * How a frozen matrix lies in memory or in a file: GGUF's own blocks, halves (two to a word), or f32. GGML's number of each, the numbers
 * of a block and its bytes (ggml.h, ggml-common.h).
 */
export const GGML_TYPES = {
  f32: { id: 0, block: 1, bytes: 4 },
  f16: { id: 1, block: 1, bytes: 2 },
  bf16: { id: 30, block: 1, bytes: 2 },
  q4_0: { id: 2, block: 32, bytes: 18 },
  q4_1: { id: 3, block: 32, bytes: 20 },
  q5_0: { id: 6, block: 32, bytes: 22 },
  q5_1: { id: 7, block: 32, bytes: 24 },
  q8_0: { id: 8, block: 32, bytes: 34 },
  q4_k: { id: 12, block: 256, bytes: 144 },
  q5_k: { id: 13, block: 256, bytes: 176 },
  q6_k: { id: 14, block: 256, bytes: 210 },
} as const;

export type WeightFormat = keyof typeof GGML_TYPES;
export const WEIGHT_FORMATS = Object.keys(GGML_TYPES) as WeightFormat[];

const BY_ID = new Map<number, WeightFormat>(WEIGHT_FORMATS.map((format) => [GGML_TYPES[format].id, format]));

/** The format that GGML gives this number; undefined where it is none of these. */
export const formatOf = (id: number): WeightFormat | undefined => BY_ID.get(id);

export const blockNumbers = (format: WeightFormat): number => GGML_TYPES[format].block;

export function bytesOfRows(format: WeightFormat, rows: number, columns: number): number {
  const { block, bytes } = GGML_TYPES[format];
  return ((rows * columns) / block) * bytes;
}

/** 32-bit words that so many rows take. */
export const wordsOfRows = (format: WeightFormat, rows: number, columns: number): number =>
  Math.ceil(bytesOfRows(format, rows, columns) / 4);

import { GGML_TYPES, type GgmlType } from './gguf/types.ts';

/**
 * How frozen matrices are held: `auto` as they lie in the file, `f32` unpacked; else in at most so many bits a weight: what the file
 * has in fewer stays as it is, what it has in more becomes bf16, GGUF's Q8_0 or its Q4_0.
 */
export const WEIGHT_FORMATS = ['auto', 'f32', 'bf16', 'int8', 'int4'] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

/** And as a run with products in integers holds them: as they lie in the file, but linears that lie in floating point in Q8_0. */
export type HeldFormat = WeightFormat | 'integers';

const LIMITS: Record<Exclude<WeightFormat, 'auto' | 'f32'>, { target: GgmlType; bytes: number }> = {
  bf16: { target: 'bf16', bytes: 2 },
  int8: { target: 'q8_0', bytes: 34 / 32 },
  int4: { target: 'q4_0', bytes: 20 / 32 },
};

/** Bytes a weight of a type takes. */
export function bytesPerWeight(type: GgmlType): number {
  return GGML_TYPES[type].bytes / GGML_TYPES[type].block;
}

/** The type in which a matrix of this type and width is held; undefined: as an f32 tensor. */
export function residentType(type: string, width: number, format: WeightFormat): GgmlType | undefined {
  if (format === 'f32' || !(type in GGML_TYPES)) return undefined;
  const inFile = type as GgmlType;
  if (format === 'auto') return inFile === 'f32' ? undefined : inFile;
  const { target, bytes } = LIMITS[format];
  if (bytesPerWeight(inFile) <= bytes) return inFile;
  return width % GGML_TYPES[target].block === 0 ? target : 'bf16';
}

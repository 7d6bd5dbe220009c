/** GGML's tensor types that are read: id in the file, elements a block, bytes a block (ggml.h, ggml-common.h). */
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

export type GgmlType = keyof typeof GGML_TYPES;

export const TYPE_BY_ID = new Map<number, GgmlType>(
  (Object.keys(GGML_TYPES) as GgmlType[]).map((name) => [GGML_TYPES[name].id, name]),
);

export type GgufValue = number | string | boolean | GgufValue[];

export interface GgufTensor {
  name: string;
  /** row-major (GGUF's own order reversed): linears are [out, in] */
  shape: number[];
  type: GgmlType;
  /** from the start of the file */
  offset: number;
  byteLength: number;
}

export interface GgufHeader {
  version: number;
  metadata: Map<string, GgufValue>;
  /** each metadata entry's bytes, type and value, as they can be written again */
  entries: Map<string, Uint8Array>;
  tensors: Map<string, GgufTensor>;
}

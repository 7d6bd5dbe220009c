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

/** Names of types that are not read, for messages (ggml.h). */
export const OTHER_TYPES: Record<number, string> = {
  ...{ 10: 'q2_k', 11: 'q3_k', 15: 'q8_k', 16: 'iq2_xxs', 17: 'iq2_xs', 18: 'iq3_xxs', 19: 'iq1_s', 20: 'iq4_nl' },
  ...{ 21: 'iq3_s', 22: 'iq2_s', 23: 'iq4_xs', 28: 'f64', 29: 'iq1_m', 34: 'tq1_0', 35: 'tq2_0', 39: 'mxfp4' },
};

/** A metadata array of numbers (booleans as 0 and 1), as compact as in the file; 64-bit whole numbers as f64. */
export type GgufNumbers =
  Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array;
export type GgufValue = number | string | boolean | GgufNumbers | GgufValue[];

/** A value as an array of numbers; undefined for any other. */
export const numbersOf = (value: GgufValue | undefined): GgufNumbers | undefined =>
  ArrayBuffer.isView(value) ? value : undefined;

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

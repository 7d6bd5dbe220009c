import type { WeightFormat } from '../../engine/weight-formats.ts';

export { GGML_TYPES } from '../../engine/weight-formats.ts';
/** GGML's tensor types that are read. */
export type GgmlType = WeightFormat;

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

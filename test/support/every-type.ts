import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { packedKernels } from '../../src-main/engine/frozen.ts';
import { PackedMatrix } from '../../src-main/engine/packed.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { dequantize } from '../../src-main/models/gguf/dequantize.ts';
import { readGgufHeader } from '../../src-main/models/gguf/header.ts';
import { GGML_TYPES, type GgmlType } from '../../src-main/models/gguf/types.ts';
import { data } from '../models/support.ts';

/** Those of the Python package gguf's own file that engines hold packed. */
export const TYPES: GgmlType[] = ['q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k', 'f16', 'bf16'];

const file = path.join(data, 'every-type.gguf');

/** A matrix of that file, and its numbers. */
export async function matrixOf(
  type: GgmlType,
  { order, kernels = packedKernels()! }: { order?: number[]; kernels?: ReturnType<typeof packedKernels> } = {},
): Promise<{ weight: PackedMatrix; plain: Tensor2D }> {
  const reader = await FileReader.open(file);
  const { offset, byteLength, shape } = (await readGgufHeader(reader)).tensors.get(`${type}.weight`)!;
  const values = dequantize(await reader.read(offset, byteLength), type);
  await reader.close();
  const [rows, width] = shape as [number, number];
  const format = GGML_TYPES[type].id;
  const source = { path: file, offset, format, rows, width, ...(order && { order }) };
  return { weight: await PackedMatrix.load(kernels, source, format), plain: tf.tensor2d(values, [rows, width]) };
}

/** Numbers between -1 and 1, none of them like another. */
export const wave = (length: number, pace: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * pace));

import fs from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D } from '@tensorflow/tfjs-core';
import { UserError } from '../types.ts';
import type { MatrixSource } from '../packed.ts';
import type { Backend } from './backend.ts';
import { copy, empty } from './kernel.ts';
import { frozenRows, mostRows, type FrozenMatrix, type FrozenPart } from './kernels/frozen.ts';
import { isTarget, quantize, type TargetFormat } from './kernels/quantize.ts';
import { bytesOfRows, formatOf, type WeightFormat } from './kernels/weight-formats.ts';

/** A matrix that is put into another format goes through the device in portions of so many bytes of f32. */
const PORTION_BYTES = 32 * 2 ** 20;

/** Whether a matrix in one of GGML's formats can be held in another. */
export function canHold(inFile: number, format: number): boolean {
  const [from, to] = [formatOf(inFile), formatOf(format)];
  return from !== undefined && to !== undefined && (from === to || to === 'f32' || isTarget(to));
}

/**
 * Reads a matrix from its file into the device's memory, in parts that it can bind, and in another format where asked for.
 * @throws UserError where the file ends before the matrix does
 */
export async function loadMatrix(backend: Backend, source: MatrixSource, format: WeightFormat): Promise<FrozenMatrix> {
  const { rows, width: columns } = source;
  const most = mostRows(backend, format, columns);
  const parts: FrozenPart[] = [];
  const file = await fs.open(source.path);
  try {
    for (let start = 0; start < rows; start += most) {
      const count = Math.min(most, rows - start);
      parts.push({ tensor: await loadPart(backend, file, source, format, start, count), start, rows: count });
    }
  } catch (error) {
    tf.dispose(parts.map(({ tensor }) => tensor as tf.Tensor));
    throw error;
  } finally {
    await file.close();
  }
  return { format, rows, columns, parts };
}

async function loadPart(
  backend: Backend,
  file: fs.FileHandle,
  source: MatrixSource,
  format: WeightFormat,
  start: number,
  count: number,
): Promise<Tensor1D> {
  const inFile = formatOf(source.format)!;
  if (inFile === format) return upload(backend, await readRows(file, source, inFile, start, count));
  const columns = source.width;
  const part = tf.keep(empty<Tensor1D>(backend, [words(format, count, columns)], 'int32'));
  const most = Math.min(PORTION_BYTES, backend.opened.gpu.limits.maxStorageBufferBindingSize);
  const portion = Math.max(1, Math.floor(most / (4 * columns * EVEN))) * EVEN;
  for (let from = 0; from < count; from += portion) {
    const rows = Math.min(portion, count - from);
    const tensor = upload(backend, await readRows(file, source, inFile, start + from, rows));
    tf.tidy(() => {
      const matrix = { format: inFile, rows, columns, parts: [{ tensor, start: 0, rows }] };
      const numbers = frozenRows(backend, tf.range(0, rows, 1, 'int32'), matrix);
      if (format === 'f32') copy(backend, numbers, part, from * columns);
      else quantize(backend, numbers, format as TargetFormat, part, from * columns);
    });
    tensor.dispose();
    backend.flush();
  }
  return part;
}

/** Portions are multiples of so many rows: each then begins at a whole word, whatever the format. */
const EVEN = 64;

const words = (format: WeightFormat, rows: number, columns: number) =>
  Math.ceil(bytesOfRows(format, rows, columns) / 4);

/** Some rows' bytes, in the matrix's own order, as 32-bit words. */
async function readRows(
  file: fs.FileHandle,
  { path, offset, width, order }: MatrixSource,
  format: WeightFormat,
  start: number,
  count: number,
): Promise<Int32Array> {
  const row = bytesOfRows(format, 1, width);
  const wanted = order?.slice(start, start + count);
  const first = wanted ? wanted.reduce((least, index) => Math.min(least, index)) : start;
  const last = wanted ? wanted.reduce((most, index) => Math.max(most, index)) : start + count - 1;
  const all = new Int32Array(words(format, last - first + 1, width));
  const bytes = new Uint8Array(all.buffer, 0, (last - first + 1) * row);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, offset + first * row);
  if (bytesRead < bytes.length)
    throw new UserError(`${path}: the file ends before its weights do; copy or download it again`);
  if (!wanted) return all;
  const ordered = new Int32Array(words(format, count, width));
  const target = new Uint8Array(ordered.buffer);
  wanted.forEach((from, to) => target.set(bytes.subarray((from - first) * row, (from - first + 1) * row), to * row));
  return ordered;
}

/** Sends the words at once: until then they would take the host's memory and a buffer for their way. */
function upload(backend: Backend, numbers: Int32Array): Tensor1D {
  const tensor = tf.keep(tf.tensor1d(numbers, 'int32'));
  backend.uploadToGPU(tensor.dataId);
  backend.flush();
  return tensor;
}

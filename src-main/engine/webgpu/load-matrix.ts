import fs from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, TensorInfo } from '@tensorflow/tfjs-core';
import { UserError } from '../types.ts';
import type { MatrixSource } from '../packed.ts';
import type { Backend } from './backend.ts';
import { copy, empty } from './kernel.ts';
import { frozenRows, mostRows, type FrozenMatrix, type FrozenPart } from './kernels/frozen.ts';
import { isTarget, quantize, type TargetFormat } from './kernels/quantize.ts';
import { bytesOfRows, formatOf, type WeightFormat } from './kernels/weight-formats.ts';

/**
 * A matrix is read, sent and, where it is put into another format, gone through in portions of so many bytes: Node reads less than
 * 2 GiB at once, and the host holds no more of it.
 */
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
      const tensor = tf.keep(empty<Tensor1D>(backend, [words(format, count, columns)], 'int32'));
      const part: FrozenPart = { tensor, start, rows: count };
      parts.push(part);
      await fill(backend, file, source, format, part);
    }
  } catch (error) {
    tf.dispose(parts.map(({ tensor }) => tensor as tf.Tensor));
    throw error;
  } finally {
    await file.close();
  }
  return { format, rows, columns, parts };
}

async function fill(
  backend: Backend,
  file: fs.FileHandle,
  source: MatrixSource,
  format: WeightFormat,
  part: FrozenPart,
): Promise<void> {
  const inFile = formatOf(source.format)!;
  const columns = source.width;
  const isAsInFile = inFile === format;
  const most = Math.min(PORTION_BYTES, backend.opened.gpu.limits.maxStorageBufferBindingSize);
  const group = isAsInFile ? bytesOfRows(format, EVEN, columns) : 4 * columns * EVEN;
  const portion = Math.max(1, Math.floor(most / group)) * EVEN;
  for (let from = 0; from < part.rows; from += portion) {
    const rows = Math.min(portion, part.rows - from);
    const numbers = await readRows(file, source, inFile, part.start + from, rows);
    if (isAsInFile) await send(backend, numbers, part.tensor, words(format, from, columns));
    else putInto(backend, numbers, { format: inFile, rows, columns }, format, part.tensor, from * columns);
  }
}

/** Puts some rows' words into another format, from number `first` of `to` on. */
function putInto(
  backend: Backend,
  words: Int32Array,
  { format: inFile, rows, columns }: Omit<FrozenMatrix, 'parts'>,
  format: WeightFormat,
  to: TensorInfo,
  first: number,
): void {
  tf.tidy(() => {
    const tensor = tf.tensor1d(words, 'int32');
    const matrix = { format: inFile, rows, columns, parts: [{ tensor, start: 0, rows }] };
    const numbers = frozenRows(backend, tf.range(0, rows, 1, 'int32'), matrix);
    if (format === 'f32') copy(backend, numbers, to, first);
    else quantize(backend, numbers, format as TargetFormat, to, first);
  });
  backend.flush();
}

/** Sends words to a place of a tensor, and waits: until they are there, they take the host's memory and a buffer for their way. */
async function send(backend: Backend, words: Int32Array, to: TensorInfo, first: number): Promise<void> {
  backend.uploadToGPU(to.dataId);
  backend.flush(); // what is recorded may still use the memory that the tensor got
  backend.queue.writeBuffer(backend.tensorMap.get(to.dataId).resource!, 4 * first, words as Int32Array<ArrayBuffer>);
  await backend.queue.onSubmittedWorkDone();
}

/** Portions are multiples of so many rows: each then begins at a whole word, whatever the format. */
const EVEN = 64;

const words = (format: WeightFormat, rows: number, columns: number) =>
  Math.ceil(bytesOfRows(format, rows, columns) / 4);

/**
 * All rows' bytes of a matrix, in its own order, as 32-bit words.
 * @throws UserError where the file ends before the matrix does
 */
export async function readMatrix(source: MatrixSource, format: WeightFormat): Promise<Int32Array> {
  const { rows, width } = source;
  const all = new Int32Array(words(format, rows, width));
  const portion = Math.max(1, Math.floor(PORTION_BYTES / bytesOfRows(format, EVEN, width))) * EVEN;
  const file = await fs.open(source.path);
  try {
    for (let start = 0; start < rows; start += portion) {
      const part = await readRows(file, source, format, start, Math.min(portion, rows - start));
      all.set(part, words(format, start, width));
    }
  } finally {
    await file.close();
  }
  return all;
}

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

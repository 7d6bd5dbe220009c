import fs from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, TensorInfo } from '@tensorflow/tfjs-core';
import type { MatrixSource } from '../packed.ts';
import { EVEN_ROWS, PORTION_BYTES, readRows } from '../read-matrix.ts';
import { bytesOfRows, formatOf, type WeightFormat, wordsOfRows } from '../weight-formats.ts';
import type { Backend } from './backend.ts';
import { copy, empty } from './kernel.ts';
import { frozenRows, mostRows, type FrozenMatrix, type FrozenPart } from './kernels/frozen.ts';
import { isTarget, quantize, type TargetFormat } from './kernels/quantize.ts';

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
      const tensor = tf.keep(empty<Tensor1D>(backend, [wordsOfRows(format, count, columns)], 'int32'));
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
  const group = isAsInFile ? bytesOfRows(format, EVEN_ROWS, columns) : 4 * columns * EVEN_ROWS;
  const portion = Math.max(1, Math.floor(most / group)) * EVEN_ROWS;
  for (let from = 0; from < part.rows; from += portion) {
    const rows = Math.min(portion, part.rows - from);
    const numbers = await readRows(file, source, inFile, part.start + from, rows);
    if (isAsInFile) await send(backend, numbers, part.tensor, wordsOfRows(format, from, columns));
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

import fs from 'node:fs/promises';
import type { MatrixSource } from './packed.ts';
import { UserError } from './types.ts';
import { bytesOfRows, type WeightFormat, wordsOfRows } from './weight-formats.ts';

/**
 * A matrix is read, and on its way to a device sent and put into another format, in portions of so many bytes: Node reads less than
 * 2 GiB at once, and the host holds no more of it.
 */
export const PORTION_BYTES = 32 * 2 ** 20;

/** Portions are multiples of so many rows: each then begins at a whole word, whatever the format. */
export const EVEN_ROWS = 64;

/**
 * All rows' bytes of a matrix, in its own order, as 32-bit words.
 * @throws UserError where the file ends before the matrix does
 */
export async function readMatrix(source: MatrixSource, format: WeightFormat): Promise<Int32Array> {
  const { rows, width } = source;
  const all = new Int32Array(wordsOfRows(format, rows, width));
  const portion = Math.max(1, Math.floor(PORTION_BYTES / bytesOfRows(format, EVEN_ROWS, width))) * EVEN_ROWS;
  const file = await fs.open(source.path);
  try {
    for (let start = 0; start < rows; start += portion) {
      const part = await readRows(file, source, format, start, Math.min(portion, rows - start));
      all.set(part, wordsOfRows(format, start, width));
    }
  } finally {
    await file.close();
  }
  return all;
}

/** Some rows' bytes, in the matrix's own order, as 32-bit words. */
export async function readRows(
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
  const all = new Int32Array(wordsOfRows(format, last - first + 1, width));
  const bytes = new Uint8Array(all.buffer, 0, (last - first + 1) * row);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, offset + first * row);
  if (bytesRead < bytes.length)
    throw new UserError(`${path}: the file ends before its weights do; copy or download it again`);
  if (!wanted) return all;
  const ordered = new Int32Array(wordsOfRows(format, count, width));
  const target = new Uint8Array(ordered.buffer);
  wanted.forEach((from, to) => target.set(bytes.subarray((from - first) * row, (from - first + 1) * row), to * row));
  return ordered;
}

import type { TokenBatch } from '../types.ts';
import type { PatchGrid } from './towers/windows.ts';

/** Tokens of each picture, row by row. */
export interface PictureSize {
  rows: number;
  columns: number;
}

/**
 * M-RoPE's axes (arXiv 2409.12191): text counts on in all three; a picture's tokens have one time, and their rows and columns from there;
 * what comes after a picture begins behind the largest of these. Each segment begins at 0.
 * @param isPicture whether a token is a feature of a picture
 * @param sizes of the pictures, in the order of their tokens
 * @returns times, then rows, then columns, [3 * tokens]
 */
export function axesOf(
  { segments }: TokenBatch,
  isPicture: (token: number) => boolean,
  sizes: PictureSize[],
): Int32Array {
  const tokens = segments.length;
  const axes = new Int32Array(3 * tokens);
  const put = (token: number, at: number[]) => at.forEach((value, axis) => (axes[axis * tokens + token] = value));
  let [next, picture] = [0, 0];
  for (let token = 0; token < tokens;) {
    if (token === 0 || segments[token] !== segments[token - 1]) next = 0;
    if (!isPicture(token)) {
      put(token++, [next, next, next]);
      next++;
      continue;
    }
    const { rows, columns } = sizes[picture++]!;
    for (let i = 0; i < rows * columns; i++) put(token++, [next, next + Math.floor(i / columns), next + (i % columns)]);
    next += Math.max(rows, columns);
  }
  return axes;
}

/** Gemma 3's picture tokens see their whole picture, also what lies ahead: the last token of its row that each token sees. */
export function reachOf({ rows, length, segments }: TokenBatch, isPicture: (token: number) => boolean): Int32Array {
  const reach = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++)
    for (let at = length - 1; at >= 0; at--) {
      const token = row * length + at;
      const goesOn =
        at + 1 < length && isPicture(token) && isPicture(token + 1) && segments[token] === segments[token + 1];
      reach[token] = goesOn ? reach[token + 1]! : at;
    }
  return reach;
}

/** A picture's tokens after patches were merged `merge` to a side. */
export const mergedSize = ({ rows, columns }: PatchGrid, merge: number): PictureSize => ({
  rows: rows / merge,
  columns: columns / merge,
});

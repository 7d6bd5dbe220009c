import type { Picture } from './picture.ts';

export type Filter = 'lanczos' | 'bilinear' | 'bicubic';

/** A part of a picture, in pixels. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/** Weight by distance, and how far the filter reaches. */
const FILTERS: Record<Filter, { reach: number; at(x: number): number }> = {
  bilinear: { reach: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    reach: 2,
    at: (signed) => {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
  lanczos: { reach: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Weights are whole numbers of 2^-22: 8 bits for the value, 2 for what lies above and below. */
const BITS = 22;

/** What pixels [from, from + count) of one axis are made of: `weights` [count, most] from `first[i]` on. */
interface Taps {
  first: Int32Array;
  counts: Int32Array;
  weights: Int32Array;
  most: number;
}

function tapsOf(input: number, output: number, filter: Filter, from: number, count: number): Taps {
  const { reach, at } = FILTERS[filter];
  const scale = input / output;
  const spread = Math.max(1, scale);
  const support = reach * spread;
  const most = Math.ceil(support) * 2 + 1;
  const taps: Taps = {
    first: new Int32Array(count),
    counts: new Int32Array(count),
    weights: new Int32Array(count * most),
    most,
  };
  for (let i = 0; i < count; i++) {
    const center = (from + i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(input, Math.trunc(center + support + 0.5));
    const shares = Array.from({ length: end - first }, (_, k) => at((k + first - center + 0.5) * (1 / spread)));
    const sum = shares.reduce((total, share) => total + share, 0);
    taps.first[i] = first;
    taps.counts[i] = end - first;
    shares.forEach((share, k) => {
      const scaled = (sum === 0 ? share : share / sum) * 2 ** BITS;
      taps.weights[i * most + k] = Math.trunc(share < 0 ? scaled - 0.5 : scaled + 0.5);
    });
  }
  return taps;
}

/**
 * Resizes as Pillow 13 does, to the bit: the filter widened where it shrinks, one axis after the other, values and weights whole
 * numbers. (Earlier Pillows always take the rows first: one level more or less in some values of tall pictures.)
 * @param part what is wanted of the result; the rest is not computed. Default: all
 */
export function resample(
  picture: Picture,
  size: { width: number; height: number },
  filter: Filter,
  part: Box = { left: 0, top: 0, ...size },
): Picture {
  const lost = { width: picture.width - size.width, height: picture.height - size.height };
  const columnsFirst = lost.height > 2 * Math.max(0, lost.width);
  const across = (from: Picture) =>
    lost.width === 0 && part.width === size.width
      ? from
      : resampleRows(from, axisTaps(from.width, size.width, filter, part.left, part.width));
  if (lost.height === 0 && part.height === size.height) return across(picture);
  const down = axisTaps(picture.height, size.height, filter, part.top, part.height);
  if (columnsFirst) return across(resampleColumns(picture, down));
  // Only the rows that the result is made of.
  const [top, bottom] = rowsOf(down);
  const needed = cut(picture, { left: 0, top, width: picture.width, height: bottom - top });
  return resampleColumns(across(needed), { ...down, first: down.first.map((row) => row - top) });
}

/** A part of a picture; of whole rows, nothing is copied. */
export function cut({ width, rgb }: Picture, { left, top, ...size }: Box): Picture {
  const row = (y: number) => (y * width + left) * 3;
  if (size.width === width) return { ...size, rgb: rgb.subarray(row(top), row(top + size.height)) };
  const out = new Uint8Array(size.width * size.height * 3);
  for (let y = 0; y < size.height; y++)
    out.set(rgb.subarray(row(top + y), row(top + y) + size.width * 3), y * size.width * 3);
  return { ...size, rgb: out };
}

/** An axis whose length stays is copied. */
const axisTaps = (input: number, output: number, filter: Filter, from: number, count: number): Taps =>
  input === output ? copying(from, count) : tapsOf(input, output, filter, from, count);

const copying = (from: number, count: number): Taps => ({
  first: Int32Array.from({ length: count }, (_, i) => from + i),
  counts: new Int32Array(count).fill(1),
  weights: new Int32Array(count).fill(1 << BITS),
  most: 1,
});

/** The rows that some pixels of a column are made of. */
const rowsOf = ({ first, counts }: Taps): [number, number] => [
  first.reduce((least, row) => Math.min(least, row), Infinity),
  first.reduce((most, row, i) => Math.max(most, row + counts[i]!), 0),
];

const byteOf = (sum: number) => Math.min(255, Math.max(0, sum >> BITS));
const HALF = 1 << (BITS - 1);

function resampleRows({ width, height, rgb }: Picture, { first, counts, weights, most }: Taps): Picture {
  const out = new Uint8Array(height * first.length * 3);
  for (let row = 0, to = 0; row < height; row++)
    for (let x = 0; x < first.length; x++, to += 3) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let from = (row * width + first[x]!) * 3;
      for (let k = x * most, end = k + counts[x]!; k < end; k++, from += 3) {
        const weight = weights[k]!;
        red += weight * rgb[from]!;
        green += weight * rgb[from + 1]!;
        blue += weight * rgb[from + 2]!;
      }
      out[to] = byteOf(red);
      out[to + 1] = byteOf(green);
      out[to + 2] = byteOf(blue);
    }
  return { width: first.length, height, rgb: out };
}

function resampleColumns({ width, rgb }: Picture, { first, counts, weights, most }: Taps): Picture {
  const stride = width * 3;
  const out = new Uint8Array(first.length * stride);
  const sums = new Int32Array(stride);
  for (let y = 0; y < first.length; y++) {
    sums.fill(HALF);
    for (let k = 0; k < counts[y]!; k++) {
      const weight = weights[y * most + k]!;
      const from = (first[y]! + k) * stride;
      for (let i = 0; i < stride; i++) sums[i]! += weight * rgb[from + i]!;
    }
    for (let i = 0; i < stride; i++) out[y * stride + i] = byteOf(sums[i]!);
  }
  return { width, height: first.length, rgb: out };
}

import type { PictureBatch } from '../../src-main/models/vision/vision-language.ts';
import { patchesOf, type readAll } from '../models/vision/support.ts';

export type Expected = Awaited<ReturnType<typeof readAll>>;

/** The texts of models/data/vision/make_models.py: two, with two pictures and with one. */
export function batchOf(expected: Expected): PictureBatch {
  const whole = (name: string) => Int32Array.from(expected.get(name)!.values);
  const [rows, length] = expected.get('ids')!.shape as [number, number];
  return {
    ...{ rows, length, inputIds: whole('ids'), labels: whole('labels') },
    positions: Int32Array.from({ length: rows * length }, (_, t) => t % length),
    segments: whole('mask').map((here) => here - 1),
    ...picturesOf(expected.get('pixels')!),
  };
}

/** Of one size as pixels, else already as patches. */
function picturesOf(pixels: NonNullable<ReturnType<Expected['get']>>): Pick<PictureBatch, 'patches' | 'grids'> {
  if (pixels.shape.length === 4)
    return { patches: patchesOf(pixels), grids: Array.from({ length: 3 }, () => ({ rows: 4, columns: 4 })) };
  const sizes = [[4, 4], [2, 6], [6, 4]] as const; // prettier-ignore
  return { patches: Float32Array.from(pixels.values), grids: sizes.map(([rows, columns]) => ({ rows, columns })) };
}

const areaOf = ({ rows, columns }: { rows: number; columns: number }) => rows * columns;
const sumOf = (values: number[]) => values.reduce((sum, value) => sum + value, 0);

/** Each text with its own pictures, and no padding. */
export function examplesOf({ rows, length, inputIds, labels, segments, patches, grids }: PictureBatch) {
  const of = [0, 2, 3];
  const [all, size] = [grids.map(areaOf), patches.length / sumOf(grids.map(areaOf))];
  const start = (picture: number) => sumOf(all.slice(0, picture)) * size;
  return Array.from({ length: rows }, (_, row) => {
    const here = (values: Int32Array) =>
      values.subarray(row * length, (row + 1) * length).filter((_, t) => segments[row * length + t]! >= 0);
    return {
      ...{ inputIds: here(inputIds), labels: here(labels) },
      patches: patches.subarray(start(of[row]!), start(of[row + 1]!)),
      grids: grids.slice(of[row], of[row + 1]),
    };
  });
}

// How alike the layers of a trained LoRA are: the overlap of the spaces that their A read and their B write.
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { uniform } from '../../src-main/effilora/random.ts';
import { UserError } from '../../src-main/engine/types.ts';

/** The mean overlap of layers so far apart, over sites and pairs of layers. */
export interface Overlaps {
  kind: 'A' | 'change' | 'B' | 'chance of A' | 'chance of B';
  points: { distance: number; overlap: number }[];
}

/** Vectors of unit length that span what `rows` span; rows that add nothing are left out (Gram-Schmidt, twice for accuracy). */
export function basisOf(rows: Float32Array[]): Float64Array[] {
  const basis: Float64Array[] = [];
  for (const row of rows) {
    const rest = Float64Array.from(row);
    const before = length(rest);
    for (let turn = 0; turn < 2; turn++)
      for (const one of basis) {
        const along = dot(rest, one);
        for (let i = 0; i < rest.length; i++) rest[i]! -= along * one[i]!;
      }
    const left = length(rest);
    if (left > 1e-6 * before) basis.push(rest.map((value) => value / left));
  }
  return basis;
}

/** The share of one space that lies in the other: 1 where it is inside, on the mean r / n for random ones of r in n dimensions. */
export function overlapOf(one: Float64Array[], other: Float64Array[]): number {
  let sum = 0;
  for (const a of one) for (const b of other) sum += dot(a, b) ** 2;
  return sum / Math.min(one.length, other.length);
}

/** Of a trained LoRA's layers. What A began with follows from the run's seed, so what it learned is known. @throws UserError for another method */
export async function layerOverlaps(folder: string): Promise<Overlaps[]> {
  const { description, tensors } = await readAdapter(folder);
  if (description.method.name !== 'lora') throw new UserError(`${folder} is no LoRA: its layers share their A`);
  const { seed } = (description.recipe as { training: { seed: number } }).training;
  const spaces = { A: [] as Space[], change: [] as Space[], B: [] as Space[] };
  const chances = { A: [] as number[], B: [] as number[] };
  for (const { name, shape, data } of tensors) {
    const [, layer, site, part] = /^layers\.(\d+)\.(.+)\.(A|B)$/.exec(name) ?? [];
    if (part === 'A') {
      const [rank, width] = shape as [number, number];
      const bound = 1 / Math.sqrt(width);
      const start = uniform(seed, name, data.length, -bound, bound);
      const rows = (values: Float32Array) => Array.from({ length: rank }, (_, row) => values.slice(row * width, (row + 1) * width)); // prettier-ignore
      const at = { layer: Number(layer), site: site! };
      spaces.A.push({ ...at, basis: basisOf(rows(data)) });
      spaces.change.push({ ...at, basis: basisOf(rows(data.map((value, i) => value - start[i]!))) });
      chances.A.push(rank / width);
    } else if (part === 'B') {
      const [, out, rank] = shape as [number, number, number];
      chances.B.push(rank / out);
      const columns = Array.from({ length: rank }, (_, column) =>
        Float32Array.from({ length: out }, (_, row) => data[row * rank + column]!),
      );
      spaces.B.push({ layer: Number(layer), site: site!, basis: basisOf(columns) });
    }
  }
  const found = (['A', 'change', 'B'] as const).map((kind): Overlaps => ({ kind, points: byDistance(spaces[kind]) }));
  const random = (['A', 'B'] as const).map((part): Overlaps => {
    const overlap = chances[part].reduce((sum, one) => sum + one, 0) / chances[part].length;
    return { kind: `chance of ${part}`, points: found[0]!.points.map(({ distance }) => ({ distance, overlap })) };
  });
  return [...found, ...random];
}

interface Space {
  layer: number;
  site: string;
  basis: Float64Array[];
}

function byDistance(spaces: Space[]): Overlaps['points'] {
  const sums = new Map<number, { sum: number; pairs: number }>();
  for (const one of spaces)
    for (const other of spaces) {
      const distance = other.layer - one.layer;
      if (one.site !== other.site || distance <= 0) continue;
      const { sum, pairs } = sums.get(distance) ?? { sum: 0, pairs: 0 };
      sums.set(distance, { sum: sum + overlapOf(one.basis, other.basis), pairs: pairs + 1 });
    }
  return [...sums].sort(([a], [b]) => a - b).map(([distance, { sum, pairs }]) => ({ distance, overlap: sum / pairs }));
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
const length = (values: Float64Array) => Math.sqrt(dot(values, values));

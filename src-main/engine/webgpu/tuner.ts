import fs from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { cacheFolder } from '../folders.ts';
import type { Backend } from './backend.ts';
import { empty } from './kernel.ts';
import { emptyLines, type IntegerLines } from './kernels/integer-lines.ts';
import { integerProduct } from './kernels/integer-product.ts';
import { floats } from './kernels/operands.ts';
import { product, type ProductSpec } from './kernels/product.ts';
import { rowScales } from './kernels/row-scales.ts';
import {
  CANDIDATES,
  MATRIX_SUBGROUPS,
  matrixThreads,
  matrixTiles,
  threadsOf,
  type Tile,
  type TileKind,
} from './tiles.ts';

/** rows, columns, depth */
type Sizes = [number, number, number];

/** What each kind of tile is timed on: rows, columns and depth of a product, near a small model's in one micro-batch. */
const TRIALS: Record<'square' | 'flat', Sizes> = { square: [1024, 1024, 512], flat: [1024, 24, 1024] };
const REPEATS = 5;

const sides = { rows: z.number(), columns: z.number(), inner: z.number() };
const tile = z.object({
  ...sides,
  units: z.object(sides).optional(),
  ...{ perRow: z.number(), perColumn: z.number() },
});
const tiles = z.object({ square: tile, flat: tile, half: tile, integer: tile });
const tuning = z.object({ tiles, flopsPerSecond: z.number() });
const cacheSchema = z.record(z.string(), tuning);

/** What was found of a device: its fastest tiles, and how fast a large product is with them. */
export type Tuning = z.infer<typeof tuning>;

/** Measured once, then kept in the cache folder by device and driver. */
export async function tune(backend: Backend, folder = cacheFolder(), trials = TRIALS): Promise<Tuning> {
  const file = path.join(folder, 'webgpu-tiles.json');
  const { vendor, architecture, device, description } = backend.opened.found.adapter.info;
  const units = backend.opened.matrixUnits;
  const key = [vendor, architecture, device, description, ...(units.length > 0 ? ['matrices'] : [])].join(' | ');
  const known = await readCache(file);
  if (known[key]) return known[key];
  const { tile: square, flopsPerSecond } = await fastest(backend, 'square', trials.square);
  const { tile: flat } = await fastest(backend, 'flat', trials.flat);
  const { tile: half } = await fastest(backend, 'half', trials.square);
  const { tile: integer } = await fastest(backend, 'integer', trials.square);
  const chosen = { tiles: { square, flat, half, integer }, flopsPerSecond };
  await fs.mkdir(folder, { recursive: true });
  const beside = `${file}.${process.pid}`;
  await fs.writeFile(beside, JSON.stringify({ ...known, [key]: chosen }, null, 2));
  await fs.rename(beside, file);
  return chosen;
}

/** What was kept; nothing where the file is missing or not ours. */
async function readCache(file: string): Promise<z.infer<typeof cacheSchema>> {
  try {
    return cacheSchema.parse(JSON.parse(await fs.readFile(file, 'utf8')));
  } catch {
    return {};
  }
}

async function fastest(
  backend: Backend,
  kind: TileKind,
  sizes: Sizes,
): Promise<{ tile: Tile; flopsPerSecond: number }> {
  const before = backend.tiles;
  const { multiply, dispose } = (kind === 'integer' ? integerTrial : floatTrial)(backend, sizes, kind === 'half');
  const run = async (times: number) => {
    const start = performance.now();
    for (let i = 0; i < times; i++) multiply();
    backend.flush();
    await backend.queue.onSubmittedWorkDone();
    return performance.now() - start;
  };
  let best = { tile: before[kind], milliseconds: Infinity };
  const candidates = [...CANDIDATES[kind], ...(kind === 'half' ? matrixTiles(backend.opened.matrixUnits) : [])];
  for (const candidate of candidates.filter((one) => fits(backend, one))) {
    if (candidate.units && !(await multipliesRight(backend, candidate))) continue;
    backend.tiles = { ...before, [kind]: candidate };
    await run(1); // compiles
    const milliseconds = await run(REPEATS);
    if (milliseconds < best.milliseconds) best = { tile: candidate, milliseconds };
  }
  backend.tiles = before;
  dispose();
  const [rows, columns, inner] = sizes;
  return { tile: best.tile, flopsPerSecond: (2 * rows * columns * inner * REPEATS) / (best.milliseconds / 1000) };
}

/** A product that no tile divides, and by how much of its largest number f16 on both sides may differ from itself in another order. */
const SMALL: Sizes = [136, 72, 40];
const TOLERANCE = 2 ** -9;

/**
 * Whether the device takes products in f16 with a tile of its matrices, and gives the numbers of an ordinary tile: such matrices are an
 * experiment of Chromium's, and no device that has them was at hand when their kernel was written.
 */
export async function multipliesRight(backend: Backend, tile: Tile): Promise<boolean> {
  const before = backend.tiles;
  const [rows, columns, inner] = SMALL;
  const numbers = (shape: [number, number]) =>
    tf.engine().makeTensor(Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => Math.sin(1 + 37 * i)), shape, 'float32', backend) as Tensor2D; // prettier-ignore
  const [left, right] = [numbers([rows, inner]), numbers([inner, columns])];
  const scales = rowScales(backend, left);
  const productOf = async (half: Tile) => {
    backend.tiles = { ...before, half };
    const result = empty<Tensor2D>(backend, [rows, columns]);
    product(backend, halfSpec(SMALL), [left, right, scales], [result], { rows, columns, inner });
    const values = await result.data<'float32'>();
    result.dispose();
    return values;
  };
  try {
    const expected = await productOf(before.half);
    backend.opened.gpu.pushErrorScope('validation');
    const found = await productOf(tile);
    if (await backend.opened.gpu.popErrorScope()) return false;
    const most = TOLERANCE * expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    return found.every((value, i) => Math.abs(value - expected[i]!) <= most);
  } finally {
    backend.tiles = before;
    tf.dispose([left, right, scales]);
  }
}

const floatSpec = ([, columns, inner]: Sizes): ProductSpec => ({
  ...{ left: floats('a', inner), leftAlong: 'inner', right: floats('b', columns), rightAlong: 'outer' },
});
const halfSpec = (sizes: Sizes): ProductSpec => ({ ...floatSpec(sizes), half: true });

interface Trial {
  multiply(): void;
  dispose(): void;
}

function floatTrial(backend: Backend, [rows, columns, inner]: Sizes, half: boolean): Trial {
  const [left, right, result, scales] = [
    empty<Tensor2D>(backend, [rows, inner]),
    empty<Tensor2D>(backend, [inner, columns]),
    empty<Tensor2D>(backend, [rows, columns]),
    empty<Tensor2D>(backend, [rows, 2]),
  ];
  const spec = (half ? halfSpec : floatSpec)([rows, columns, inner]);
  const reads = half ? [left, right, scales] : [left, right];
  return {
    multiply: () => product(backend, spec, reads, [result], { rows, columns, inner }),
    dispose: () => tf.dispose([left, right, result, scales]),
  };
}

function integerTrial(backend: Backend, [rows, columns, inner]: Sizes): Trial {
  const [left, right] = [rows, columns].map((count) => emptyLines(backend, count, inner, 32)) as [
    IntegerLines,
    IntegerLines,
  ];
  const result = empty<Tensor2D>(backend, [rows, columns]);
  return {
    multiply: () => integerProduct(backend, left, right, result, { rows, columns, stride: columns }),
    dispose: () => tf.dispose([left.words, left.scales, right.words, right.scales, result]),
  };
}

function fits(backend: Backend, tile: Tile): boolean {
  const { rows, columns, inner, units } = tile;
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = backend.opened.gpu.limits;
  const numbers = inner * (rows + columns);
  const [threads, bytes] = units
    ? [matrixThreads(backend.opened), 2 * numbers + 4 * MATRIX_SUBGROUPS * units.rows * units.columns]
    : [threadsOf(tile), 4 * numbers];
  return threads <= maxComputeInvocationsPerWorkgroup && bytes <= maxComputeWorkgroupStorageSize;
}

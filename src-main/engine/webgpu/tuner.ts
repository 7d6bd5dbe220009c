import fs from 'node:fs/promises';
import path from 'node:path';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { cacheFolder } from '../folders.ts';
import type { Backend } from './backend.ts';
import { empty } from './kernel.ts';
import { floats } from './kernels/operands.ts';
import { product, type ProductSpec } from './kernels/product.ts';
import { CANDIDATES, type Tile, type TileKind } from './tiles.ts';

/** What each kind of tile is timed on: rows, columns and depth of a product, near a small model's in one micro-batch. */
const TRIALS: Record<TileKind, [number, number, number]> = { square: [1024, 1024, 512], flat: [1024, 24, 1024] };
const REPEATS = 5;

const tile = z.object({ rows: z.number(), columns: z.number(), inner: z.number(), perThread: z.number() });
const cacheSchema = z.record(z.string(), z.object({ square: tile, flat: tile }));

/** The fastest tiles on this device: timed once, then kept in the cache folder by device and driver. */
export async function tunedTiles(
  backend: Backend,
  folder = cacheFolder(),
  trials = TRIALS,
): Promise<Record<TileKind, Tile>> {
  const file = path.join(folder, 'webgpu-tiles.json');
  const { vendor, architecture, device, description } = backend.opened.found.adapter.info;
  const key = [vendor, architecture, device, description].join(' | ');
  const known = await readCache(file);
  if (known[key]) return known[key];
  const chosen = {
    square: await fastest(backend, 'square', trials.square),
    flat: await fastest(backend, 'flat', trials.flat),
  };
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
  [rows, columns, inner]: [number, number, number],
): Promise<Tile> {
  const before = backend.tiles;
  const [left, right, result] = [
    empty<Tensor2D>(backend, [rows, inner]),
    empty<Tensor2D>(backend, [inner, columns]),
    empty<Tensor2D>(backend, [rows, columns]),
  ];
  const spec: ProductSpec = {
    left: floats('a', inner),
    leftAlong: 'inner',
    right: floats('b', columns),
    rightAlong: 'outer',
  };
  const run = async (times: number) => {
    const start = performance.now();
    for (let i = 0; i < times; i++) product(backend, spec, [left, right], [result], { rows, columns, inner });
    backend.flush();
    await backend.queue.onSubmittedWorkDone();
    return performance.now() - start;
  };
  let best: { tile: Tile; milliseconds: number } | undefined;
  for (const candidate of CANDIDATES[kind].filter((one) => fits(backend, one))) {
    backend.tiles = { ...before, [kind]: candidate };
    await run(1); // compiles
    const milliseconds = await run(REPEATS);
    if (!best || milliseconds < best.milliseconds) best = { tile: candidate, milliseconds };
  }
  backend.tiles = before;
  for (const tensor of [left, right, result]) tensor.dispose();
  return best?.tile ?? before[kind];
}

function fits(backend: Backend, { rows, columns, inner, perThread }: Tile): boolean {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = backend.opened.gpu.limits;
  const threads = (rows / perThread) * (columns / 4);
  return threads <= maxComputeInvocationsPerWorkgroup && 4 * inner * (rows + columns) <= maxComputeWorkgroupStorageSize;
}

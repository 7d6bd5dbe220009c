import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { cacheFolder } from '../engine/folders.ts';
import type { EngineStatus } from '../engine/types.ts';
import { writeAtomic } from './atomic.ts';

type Engine = Pick<EngineStatus, 'name' | 'kind'>;

/** Floating-point operations a second, by engine and products. */
const speeds = z.record(z.string(), z.number().positive());
const file = () => path.join(cacheFolder(), 'speed.json');
const key = ({ name, kind }: Engine, products: string) => `${name} ${kind} ${products}`;

function read(): z.infer<typeof speeds> {
  try {
    return speeds.parse(JSON.parse(fs.readFileSync(file(), 'utf8')));
  } catch {
    return {}; // none yet, or not ours: it is measured again
  }
}

/** What the last run on this machine reached, as effilora/memory-plan.ts counts operations; undefined before the first one. */
export function measuredSpeed(engine: Engine, products: 'f32' | 'bf16'): number | undefined {
  return read()[key(engine, products)];
}

/** Keeps what a run has reached, for the plans to come. */
export async function keepSpeed(engine: Engine, products: 'f32' | 'bf16', flopsPerSecond: number): Promise<void> {
  fs.mkdirSync(cacheFolder(), { recursive: true });
  await writeAtomic(file(), JSON.stringify({ ...read(), [key(engine, products)]: flopsPerSecond }));
}

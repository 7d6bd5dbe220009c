import crypto from 'node:crypto';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { OptimizerState } from '../effilora/adamw.ts';
import type { ReducerState } from '../effilora/reducer.ts';
import type { NamedTensor } from '../effilora/types.ts';
import { encodeSafetensors } from '../models/safetensors.ts';
import { readNamedTensors } from './tensor-file.ts';
import { writeFolderAtomic } from './atomic.ts';
import type { OrderState } from '../data/order.ts';

/** Everything a run needs to go on as if it had never stopped. */
export interface Checkpoint {
  step: number;
  adapter: NamedTensor[];
  optimizer: OptimizerState;
  reducer: ReducerState;
  order: OrderState;
  /** label tokens and all tokens so far */
  tokens: { label: number; all: number };
  /** lengths of the telemetry files, bytes: what was written later is cut off when resuming */
  telemetryBytes: { metrics: number; heads: number; samples: number };
  /** held-out loss: best so far, and evaluations since */
  best: { loss: number | null; step: number; evaluationsSince: number };
  /** of the last step, and of the last evaluation */
  last: { loss: number | null; evalLoss: number | null };
  /** seconds of training so far */
  seconds: number;
}

const STATE = 'state.json';
const ADAPTER = 'adapter.safetensors';
const MOMENTS = 'optimizer.safetensors';
/** Of the whole run's shape; the parts' own shapes are guarded by the checksum. */
const stateSchema = z.looseObject({ step: z.number().int().nonnegative(), sha256: z.record(z.string(), z.string()) });

const digest = (data: Uint8Array | string) => crypto.createHash('sha256').update(data).digest('hex');
const encode = (tensors: NamedTensor[]) =>
  encodeSafetensors(tensors.map((tensor) => ({ ...tensor, dtype: 'F32' as const })));

/** Writes a checkpoint folder and removes all but the last `keep`. */
export async function writeCheckpoint(folder: string, checkpoint: Checkpoint, keep: number): Promise<void> {
  const { adapter, optimizer, ...rest } = checkpoint;
  const files: Record<string, Uint8Array | string> = {
    [ADAPTER]: encode(adapter),
    [MOMENTS]: encode(optimizer.moments),
  };
  const body = { ...rest, optimizerSteps: optimizer.steps };
  const sha256 = Object.fromEntries(Object.entries(files).map(([name, data]) => [name, digest(data)]));
  files[STATE] = JSON.stringify({ ...body, sha256: { ...sha256, [STATE]: digest(JSON.stringify(body)) } });
  await fsp.mkdir(folder, { recursive: true });
  await writeFolderAtomic(path.join(folder, `step-${String(checkpoint.step).padStart(8, '0')}`), files);
  const all = await checkpointFolders(folder);
  for (const old of all.slice(0, -keep)) await fsp.rm(path.join(folder, old), { recursive: true, force: true });
}

/** Finished checkpoints, oldest first. */
async function checkpointFolders(folder: string): Promise<string[]> {
  const names = await fsp.readdir(folder).catch(() => [] as string[]);
  return names.filter((name) => /^step-\d{8}$/.test(name)).sort();
}

/** The newest checkpoint that is whole; a damaged one is passed over for the one before. */
export async function readLastCheckpoint(folder: string, log: (line: string) => void): Promise<Checkpoint | undefined> {
  for (const name of (await checkpointFolders(folder)).reverse()) {
    try {
      return await readCheckpoint(path.join(folder, name));
    } catch (error) {
      log(`The checkpoint ${name} is damaged (${(error as Error).message}); the one before it is taken`);
    }
  }
  return undefined;
}

async function readCheckpoint(folder: string): Promise<Checkpoint> {
  const { sha256, optimizerSteps, ...rest } = stateSchema.parse(
    JSON.parse(await fsp.readFile(path.join(folder, STATE), 'utf8')),
  );
  const body = { ...rest, optimizerSteps };
  if (digest(JSON.stringify(body)) !== sha256[STATE]) throw new Error(`${STATE} does not match its checksum`);
  for (const name of [ADAPTER, MOMENTS])
    if (digest(await fsp.readFile(path.join(folder, name))) !== sha256[name])
      throw new Error(`${name} does not match its checksum`);
  return {
    ...(rest as unknown as Omit<Checkpoint, 'adapter' | 'optimizer'>),
    adapter: (await readNamedTensors(path.join(folder, ADAPTER))).tensors,
    optimizer: {
      steps: optimizerSteps as OptimizerState['steps'],
      moments: (await readNamedTensors(path.join(folder, MOMENTS))).tensors,
    },
  };
}

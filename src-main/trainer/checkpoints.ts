import crypto from 'node:crypto';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import type { OptimizerState } from '../effilora/adamw.ts';
import type { RankState } from '../effilora/rank-allocator.ts';
import type { ReducerState } from '../effilora/reducer.ts';
import type { HeldTensor, NamedTensor } from '../effilora/types.ts';
import { safetensorsPieces } from '../models/safetensors-write.ts';
import { heldBytes, readNamedTensors } from './tensor-file.ts';
import { makeFolder, writeFolderAtomic } from './atomic.ts';
import type { OrderState } from '../data/order.ts';
import type { Recipe } from '../recipe/recipe.ts';

/** Whether a run keeps the adapter that was best by the held-out loss. */
export const keepsBest = ({ training, method }: Pick<Recipe, 'training' | 'method'>): boolean =>
  training.patience > 0 || method.reducer.tolerance !== undefined;

/**
 * Whether a run that ends now ends in the adapter that was best: where the held-out loss decides when it ends, and where it ended by
 * more than the Reducer's tolerance above its best, so that no run with one does.
 */
export function endsInBest(
  { training: { patience }, method }: Pick<Recipe, 'training' | 'method'>,
  { best, last, step }: Pick<Checkpoint, 'best' | 'last' | 'step'>,
): boolean {
  if (best.loss === null || best.step >= step) return false;
  const { tolerance } = method.reducer;
  return patience > 0 || (tolerance !== undefined && (last.evalLoss ?? Infinity) > best.loss + tolerance);
}

/** Everything a run needs to go on as if it had never stopped; to be written, with tensors that are still on the engine. */
export interface Checkpoint<Stored = NamedTensor> {
  step: number;
  adapter: Stored[];
  optimizer: OptimizerState<Stored>;
  reducer: ReducerState;
  /** of a method that chooses ranks; its tensors are among the optimizer's */
  ranks?: RankState;
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
  /** adapter.json as it would be now, so that the run can end here without its model; nothing in older ones */
  described?: AdapterDescription;
}

const STATE = 'state.json';
const ADAPTER = 'adapter.safetensors';
const MOMENTS = 'optimizer.safetensors';
/** Of the whole run's shape; the parts' own shapes are guarded by the checksum. */
const stateSchema = z.looseObject({ step: z.number().int().nonnegative(), sha256: z.record(z.string(), z.string()) });

const digest = (data: Uint8Array | string) => crypto.createHash('sha256').update(data).digest('hex');

/**
 * Writes a checkpoint folder and removes all but the last `keep`. The folder around `folder` must be there: where it was deleted,
 * it isn't made anew. `onPiece` hears that it goes on.
 */
export async function writeCheckpoint(
  folder: string,
  checkpoint: Checkpoint<HeldTensor>,
  keep: number,
  onPiece = () => {},
): Promise<void> {
  const { adapter, optimizer, ...rest } = checkpoint;
  const body = { ...rest, optimizerSteps: optimizer.steps };
  const sha256: Record<string, string> = { [STATE]: digest(JSON.stringify(body)) };
  await makeFolder(folder);
  await writeFolderAtomic(path.join(folder, `step-${String(checkpoint.step).padStart(8, '0')}`), {
    [ADAPTER]: pieces(ADAPTER, adapter, sha256, onPiece),
    [MOMENTS]: pieces(MOMENTS, optimizer.moments, sha256, onPiece),
    [STATE]: stateText(body, sha256),
  });
  await pruneCheckpoints(folder, keep);
}

/** Removes all checkpoints but the last `keep`, and what a process that was killed was writing. */
export async function pruneCheckpoints(folder: string, keep: number): Promise<void> {
  const all = await checkpointFolders(folder);
  const names = await fsp.readdir(folder).catch(() => [] as string[]);
  const broken = names.filter((name) => name.endsWith('.partial'));
  const gone = [...broken, ...(keep > 0 ? all.slice(0, -keep) : all)];
  for (const old of gone) await fsp.rm(path.join(folder, old), { recursive: true, force: true });
}

/** A file of tensors in pieces; `sha256` has its checksum when the last one is written. */
async function* pieces(
  name: string,
  tensors: HeldTensor[],
  sha256: Record<string, string>,
  onPiece: () => void,
): AsyncGenerator<Uint8Array> {
  const hash = crypto.createHash('sha256');
  for await (const piece of safetensorsPieces(tensors.map(heldBytes))) {
    hash.update(piece);
    yield piece;
    onPiece();
  }
  sha256[name] = hash.digest('hex');
}

/** Made when the files before it are written. */
async function* stateText(body: object, sha256: Record<string, string>): AsyncGenerator<string> {
  yield JSON.stringify({ ...body, sha256 });
}

/** Finished checkpoints, oldest first. */
export async function checkpointFolders(folder: string): Promise<string[]> {
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

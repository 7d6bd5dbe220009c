import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../engine/types.ts';
import { makeFolder, writeAtomic } from './atomic.ts';
import { readLastCheckpoint } from './checkpoints.ts';
import { RunControl } from './control.ts';
import type { RunEvent, RunSummary } from './events.ts';
import { Loop } from './loop.ts';
import { closeRun, openRun } from './prepare.ts';
import { formatRecipe, type Recipe } from '../recipe/recipe.ts';
import type { Training } from './run-context.ts';
import { checkDatasets, checkRead, datasetsNow, readHashes, writeDatasets } from './run-datasets.ts';
import { LostRun, RunLock } from './run-lock.ts';
import { RunLog } from './run-log.ts';
import { TensorBoardFile } from './tensorboard.ts';

export interface TrainOptions {
  /** go on from the folder's last checkpoint */
  resume?: boolean;
  control?: RunControl;
  onEvent?: (event: RunEvent) => void;
}

/**
 * Trains by a recipe into `folder`: adapter.safetensors, adapter.json, metrics.jsonl, heads.jsonl, samples.jsonl, start.json, recipe.yaml,
 * trainer.log, datasets.json, of a UNet blocks.json, checkpoints/, and run.lock while it lasts. Killed at any moment and resumed, it ends in the same numbers.
 * @throws UserError when something does not fit (then nothing is written), another process trains there, the loss is no number,
 * or the disk is full or the folder gone (then the last good checkpoint stays)
 */
export async function train(recipe: Recipe, folder: string, options: TrainOptions = {}): Promise<RunSummary> {
  const { resume = false, control = new RunControl(), onEvent = () => {} } = options;
  if (!resume) await refuseUsedFolder(folder);
  try {
    return await inFolder(folder, async () => {
      const log = new RunLog(path.join(folder, 'trainer.log'), (message) => onEvent({ kind: 'trouble', message }));
      const board = recipe.training.tensorboard
        ? new TensorBoardFile(folder, (message) => onEvent({ kind: 'trouble', message }))
        : undefined;
      const tell = (event: RunEvent) => {
        board?.take(event);
        const line = lineOf(event);
        if (line !== undefined) log.line(line);
        onEvent(event);
      };
      const lock = await RunLock.take(folder, (message) => onEvent({ kind: 'trouble', message }));
      try {
        return await trainLocked({ recipe, folder, lock, control, tell }, resume);
      } finally {
        await log.settled();
        await lock.release().catch(() => {});
      }
    });
  } catch (error) {
    throw diskError(error, folder);
  }
}

async function trainLocked(training: Training, resume: boolean): Promise<RunSummary> {
  const { recipe, folder, lock, tell } = training;
  const log = (line: string) => tell({ kind: 'log', line });
  log('Loading the model and the data');
  const checkpoint = resume ? await readLastCheckpoint(path.join(folder, 'checkpoints'), log) : undefined;
  const datasets = await datasetsNow(recipe);
  // Without a checkpoint it begins anew, on whatever data.
  if (checkpoint) await checkDatasets(folder, datasets, log);
  const run = await openRun(recipe, log);
  try {
    await lock.check();
    const read = readHashes(run.data);
    if (checkpoint)
      await checkRead(
        folder,
        read,
        recipe.dataset.map((source) => source.path),
      );
    await writeAtomic(path.join(folder, 'recipe.yaml'), formatRecipe(recipe));
    await writeDatasets(folder, { ...datasets, read });
    const { blockNames } = run.model;
    if (blockNames) await writeAtomic(path.join(folder, 'blocks.json'), `${JSON.stringify({ names: blockNames })}\n`);
    await makeFolder(path.join(folder, 'checkpoints'));
    const loop = await Loop.open({ ...training, run }, checkpoint);
    try {
      return await loop.run();
    } finally {
      await loop.close();
    }
  } finally {
    await closeRun(run);
  }
}

/** What trainer.log says of an event. */
function lineOf(event: RunEvent): string | undefined {
  if (event.kind === 'log') return event.line;
  if (event.kind === 'started') return `Training ${event.steps} steps from step ${event.step} on ${event.engine}`;
  return event.kind === 'checkpoint' ? `Checkpoint at step ${event.step}` : undefined;
}

async function refuseUsedFolder(folder: string): Promise<void> {
  const names = await fsp.readdir(folder).catch(() => [] as string[]);
  if (names.includes('metrics.jsonl'))
    throw new UserError(
      `${folder} holds a run already; add --resume to go on with it, or choose another folder with --out`,
    );
}

/** Runs `work` in a folder; where it fails before the first step's end, what it wrote there is removed. */
async function inFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const created = await fsp.mkdir(folder, { recursive: true });
  const before = new Set(await fsp.readdir(folder));
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof LostRun) && !before.has('metrics.jsonl')) await removeBeginnings(folder, before, created);
    throw error;
  }
}

/** `created`: the uppermost folder that was made for it */
async function removeBeginnings(folder: string, before: Set<string>, created: string | undefined): Promise<void> {
  const metrics = await fsp.stat(path.join(folder, 'metrics.jsonl')).catch(() => undefined);
  if (metrics?.size) return;
  for (const name of await fsp.readdir(folder).catch(() => []))
    if (!before.has(name)) await fsp.rm(path.join(folder, name), { recursive: true, force: true });
  if (created) await fsp.rm(created, { recursive: true, force: true });
}

/** A full disk, a deleted folder, a disk that is no longer there: the user's to mend; whatever was written whole before stays. */
function diskError(error: unknown, folder: string): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code))
    return new UserError(
      `The disk is full: ${folder} could not be written, its last checkpoint is whole; make room and go on with --resume`,
    );
  if (['ENOENT', 'ENOTDIR', 'ESTALE'].includes(code) && !fs.existsSync(folder))
    return new LostRun(
      `The run's folder ${folder} was deleted or moved while it trained. Put it back and resume, or start the run again.`,
    );
  if (['EIO', 'EROFS', 'EACCES', 'ENODEV', 'ENXIO'].includes(code))
    return new UserError(
      `${folder} could not be written (${code}): look whether its disk is still there and may be written; the run goes on from its last checkpoint with --resume`,
    );
  return error;
}

import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../engine/types.ts';
import { writeAtomic } from './atomic.ts';
import { readLastCheckpoint } from './checkpoints.ts';
import { RunControl } from './control.ts';
import type { RunEvent, RunSummary } from './events.ts';
import { Loop } from './loop.ts';
import { closeRun, openRun, type Run } from './prepare.ts';
import { formatRecipe, type Recipe } from './recipe.ts';

export interface TrainOptions {
  /** go on from the folder's last checkpoint */
  resume?: boolean;
  control?: RunControl;
  onEvent?: (event: RunEvent) => void;
}

/**
 * Trains by a recipe into `folder`: adapter.safetensors, adapter.json, metrics.jsonl, heads.jsonl, samples.jsonl, recipe.yaml, trainer.log,
 * checkpoints/. Killed at any moment and resumed, it ends in the same numbers.
 * @throws UserError when something does not fit (then nothing is written), the loss is no number, or the disk is full (then the
 * last good checkpoint stays)
 */
export async function train(recipe: Recipe, folder: string, options: TrainOptions = {}): Promise<RunSummary> {
  const { resume = false, control = new RunControl(), onEvent = () => {} } = options;
  const lines: string[] = [];
  const log = (line: string) => {
    lines.push(line);
    onEvent({ kind: 'log', line });
  };
  const checkpoint = resume ? await readLastCheckpoint(path.join(folder, 'checkpoints'), log) : undefined;
  if (!resume) await refuseUsedFolder(folder);
  const run = await openRun(recipe, log);
  try {
    return await inFolder(folder, !checkpoint, async () => {
      await writeAtomic(path.join(folder, 'recipe.yaml'), formatRecipe(recipe));
      const logFile = path.join(folder, 'trainer.log');
      fs.appendFileSync(logFile, lines.map((line) => `${line}\n`).join(''));
      const tell = (event: RunEvent) => {
        if (event.kind === 'log') fs.appendFileSync(logFile, `${event.line}\n`);
        onEvent(event);
      };
      return runLoop(recipe, folder, run, checkpoint, control, tell);
    });
  } catch (error) {
    throw diskError(error, folder);
  } finally {
    await closeRun(run);
  }
}

async function runLoop(
  recipe: Recipe,
  folder: string,
  run: Run,
  checkpoint: Awaited<ReturnType<typeof readLastCheckpoint>>,
  control: RunControl,
  tell: (event: RunEvent) => void,
): Promise<RunSummary> {
  const loop = await Loop.open(recipe, folder, run, checkpoint, control, tell);
  try {
    return await loop.run();
  } finally {
    await loop.close();
  }
}

async function refuseUsedFolder(folder: string): Promise<void> {
  const names = await fsp.readdir(folder).catch(() => [] as string[]);
  if (names.includes('metrics.jsonl'))
    throw new UserError(
      `${folder} holds a run already; add --resume to go on with it, or choose another folder with --out`,
    );
}

/** Runs `work` in a folder; where it fails before the first step's end, what it wrote there is removed. */
async function inFolder<T>(folder: string, fresh: boolean, work: () => Promise<T>): Promise<T> {
  const created = await fsp.mkdir(folder, { recursive: true });
  const before = new Set(await fsp.readdir(folder));
  try {
    await fsp.mkdir(path.join(folder, 'checkpoints'), { recursive: true });
    return await work();
  } catch (error) {
    const metrics = await fsp.stat(path.join(folder, 'metrics.jsonl')).catch(() => undefined);
    if (fresh && !metrics?.size) {
      for (const name of await fsp.readdir(folder))
        if (!before.has(name)) await fsp.rm(path.join(folder, name), { recursive: true, force: true });
      if (created) await fsp.rm(created, { recursive: true, force: true });
    }
    throw error;
  }
}

/** A full disk, or a quota, is the user's to mend; whatever was written whole before stays. */
function diskError(error: unknown, folder: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (!['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code ?? '')) return error;
  return new UserError(
    `The disk is full: ${folder} could not be written, its last checkpoint is whole; make room and go on with --resume`,
  );
}

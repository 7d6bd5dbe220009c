import fsp from 'node:fs/promises';
import path from 'node:path';
import type { CaptionChange } from '../../../src-preload/contract/index.ts';
import { captionWith } from '../../data/caption-text.ts';
import { openCaptioned, readCaptioned } from '../../data/captions.ts';
import { captionFileOf, isCaption, stemOf } from '../../data/formats/caption-names.ts';
import { isBroken, type PlacePart } from '../../data/formats/rows.ts';
import type { PictureSource } from '../../data/picture-rows.ts';
import { UserError } from '../../engine/types.ts';
import { writeAtomic } from '../../trainer/atomic.ts';

/**
 * Captions that people change: text files beside the pictures, each written whole or not at all, and in a file of the studio's own what
 * would take each change back.
 */

/** A picture of a dataset with its caption. */
export interface OneCaption {
  /** its place in the dataset's folder; of one inside a table its name */
  picture: string;
  caption: string;
  source?: PictureSource;
  problem?: string;
}

/** A dataset's pictures, in their order. `beside`: captions lie as files beside them. @throws UserError where they can't be read */
export async function captionsAt(
  place: string,
  part: PlacePart,
): Promise<{ folder: string; beside: boolean; captions: OneCaption[] }> {
  const { rows, plan, folder } = await openCaptioned(place, part);
  const captions: OneCaption[] = [];
  for await (const batch of rows.rows())
    for (const row of batch) {
      const read = isBroken(row) ? row.reason : readCaptioned(row, plan, folder, true);
      const named = isBroken(row) ? undefined : row.fields[plan.picture];
      if (typeof read === 'string')
        captions.push({ picture: typeof named === 'string' ? named : `row ${row.row}`, caption: '', problem: read });
      else
        captions.push({
          picture: 'path' in read.source ? path.relative(folder, read.source.path) : `row ${row.row}`,
          ...{ caption: read.caption, source: read.source },
        });
    }
  return { folder, beside: plan.beside !== undefined, captions };
}

/** A file as it was before a change and is after it; null: there was none. */
interface Changed {
  file: string;
  /** base64 */
  before: string | null;
  after: string;
}

const UNDONE_AT_MOST = 100;

/**
 * Writes the captions that a change makes others. @param undo where it is remembered how to take it back
 * @returns how many files were written. @throws UserError where captions stand in a table, or a picture isn't there
 */
export async function changeCaptions(place: string, change: CaptionChange, undo: string): Promise<number> {
  const { folder, beside, captions } = await captionsAt(place, {});
  if (!beside)
    throw new UserError(`The captions of ${place} stand in a table, which stays as it is. Make a copy to change them.`);
  const known = captions.filter(({ problem }) => problem === undefined);
  const named = 'picture' in change ? known.filter(({ picture }) => picture === change.picture) : known;
  if ('picture' in change && named.length === 0)
    throw new UserError(`${change.picture} can't be found with its caption any more. Load the pictures again.`);
  const files: Changed[] = [];
  for (const one of named) {
    const after = changedCaption(one.caption, change);
    if (after === one.caption) continue;
    const file = path.join(folder, await captionFileFor(folder, one.picture));
    const before = await fsp.readFile(file).catch(() => undefined);
    files.push({ file, before: before?.toString('base64') ?? null, after: `${after}\n` });
  }
  if (files.length === 0) return 0;
  // Remembered first: what was there is never lost, also where the power goes in between.
  await writeSteps(undo, [...(await stepsOf(undo)), files].slice(-UNDONE_AT_MOST));
  for (const { file, after } of files) await written(file, () => writeAtomic(file, after));
  return files.length;
}

/** Takes the last change back. A file that was changed elsewhere since then stays, and is named. @returns changes left to take back */
export async function undoCaptions(undo: string): Promise<number> {
  const steps = await stepsOf(undo);
  const last = steps.pop();
  if (!last) return 0;
  const others: string[] = [];
  for (const { file, before, after } of last) {
    const now = await fsp.readFile(file, 'utf8').catch(() => undefined);
    const was = before === null ? undefined : Buffer.from(before, 'base64');
    // Where the power went in between it is still as it was.
    if (now === was?.toString('utf8')) continue;
    if (now !== after) others.push(path.basename(file));
    else await written(file, () => (was ? writeAtomic(file, was) : fsp.rm(file)));
  }
  await writeSteps(undo, steps);
  if (others.length > 0)
    throw new UserError(`${others.slice(0, 5).join(', ')} ${others.length === 1 ? 'was' : 'were'} changed by another program since then, and stay${others.length === 1 ? 's' : ''} as ${others.length === 1 ? 'it is' : 'they are'}.`); // prettier-ignore
  return steps.length;
}

export const undoableCaptions = async (undo: string): Promise<number> => (await stepsOf(undo)).length;

function changedCaption(caption: string, change: CaptionChange): string {
  if ('picture' in change) return change.caption.replace(/\s+/g, ' ').trim();
  if ('before' in change) return captionWith(caption, { trigger: change.before });
  const tags = caption.split(',').map((tag) => tag.trim()).filter(Boolean); // prettier-ignore
  const kept = tags.filter((tag) => tag.toLowerCase() !== change.without.toLowerCase());
  return kept.length === tags.length ? caption : kept.join(', ');
}

/** The caption file that a picture has, else the one that it would have. */
async function captionFileFor(folder: string, picture: string): Promise<string> {
  const names = await fsp.readdir(path.join(folder, path.dirname(picture)));
  const found = names.find((name) => isCaption(name) && stemOf(name) === stemOf(path.basename(picture)));
  return found === undefined ? captionFileOf(picture) : path.join(path.dirname(picture), found);
}

/** @throws UserError where the disk doesn't let it */
async function written(file: string, write: () => Promise<void>): Promise<void> {
  await write().catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${file} can't be written (${error.code ?? error.message}). Make a copy to change its captions, or let the studio write in that folder.`); // prettier-ignore
  });
}

const stepsOf = async (undo: string): Promise<Changed[][]> =>
  (await fsp.readFile(undo, 'utf8').catch(() => '')).split('\n').filter(Boolean).map((line) => JSON.parse(line) as Changed[]); // prettier-ignore

const writeSteps = (undo: string, steps: Changed[][]) =>
  writeAtomic(undo, steps.map((step) => `${JSON.stringify(step)}\n`).join(''));

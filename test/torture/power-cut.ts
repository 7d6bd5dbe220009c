import fs from 'node:fs';
import path from 'node:path';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { inEnvironment } from '../support/trainer-moment.ts';

type Change =
  | { change: 'create' | 'touch' | 'mkdir' | 'remove' | 'sync'; path: string }
  | { change: 'append'; path: string; data: string }
  | { change: 'truncate'; path: string; length: number }
  | { change: 'rename' | 'link'; path: string; to: string }
  | { change: 'told'; step: number }
  | { change: 'done' };

/** A file's bytes as they would be read, and how many of them are on the disk for good. */
interface Content {
  bytes: Buffer;
  synced: number;
}

/** What a run's folder is after a power cut, and what had been told before. */
export interface AfterPowerCut {
  /** the last checkpoint that the trainer told of */
  told: number | undefined;
  isDone: boolean;
}

/** Runs a trainer and records every change it makes in its folder. */
export async function recordRun(recipe: string, folder: string, record: string): Promise<Change[]> {
  const preload = new URL('./record-writes.mjs', import.meta.url).href;
  const env = {
    NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import ${preload}`,
    EFFILORA_TEST_ROOT: folder,
    EFFILORA_TEST_RECORD: record,
  };
  const end = await inEnvironment(env, () => startTrainer({ recipe, folder, resume: false })).ended;
  if (end.outcome !== 'finished') throw new Error(`The recorded run did not finish: ${JSON.stringify(end)}`);
  const lines = fs.readFileSync(record, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Change);
}

/**
 * Writes into `to` what is left of `from` where the power goes after the first `count` changes. What was written into a file
 * since its last sync is gone, or half of it is (`torn`); names and folders are as they were, as journals keep them in order.
 */
export function replay(changes: Change[], count: number, torn: boolean, from: string, to: string): AfterPowerCut {
  const files = new Map<string, Content>();
  const folders = new Set<string>([from]);
  const left: AfterPowerCut = { told: undefined, isDone: false };
  for (const change of changes.slice(0, count)) apply(change, files, folders, left);
  fs.rmSync(to, { recursive: true, force: true });
  const place = (name: string) => path.join(to, path.relative(from, name));
  for (const folder of folders) fs.mkdirSync(place(folder), { recursive: true });
  for (const [name, { bytes, synced }] of files) {
    const kept = torn ? synced + Math.floor((bytes.length - synced) / 2) : synced;
    fs.writeFileSync(place(name), bytes.subarray(0, kept));
  }
  return left;
}

function apply(change: Change, files: Map<string, Content>, folders: Set<string>, left: AfterPowerCut): void {
  if (change.change === 'told') left.told = change.step;
  else if (change.change === 'done') left.isDone = true;
  else if (change.change === 'mkdir') folders.add(change.path);
  else if (change.change === 'create') files.set(change.path, { bytes: Buffer.alloc(0), synced: 0 });
  else if (change.change === 'touch')
    files.set(change.path, files.get(change.path) ?? { bytes: Buffer.alloc(0), synced: 0 });
  else if (change.change === 'rename') move(change.path, change.to, files, folders);
  else if (change.change === 'remove') remove(change.path, files, folders);
  else {
    const file = files.get(change.path);
    // A folder's sync, or a lock's aside that is gone already.
    if (!file) return;
    if (change.change === 'append') file.bytes = Buffer.concat([file.bytes, Buffer.from(change.data, 'base64')]);
    if (change.change === 'sync') file.synced = file.bytes.length;
    if (change.change === 'link') files.set(change.to, { ...file });
    if (change.change !== 'truncate') return;
    file.bytes = file.bytes.subarray(0, change.length);
    file.synced = Math.min(file.synced, change.length);
  }
}

const isUnder = (folder: string, name: string) => name === folder || name.startsWith(folder + path.sep);

function remove(place: string, files: Map<string, Content>, folders: Set<string>): void {
  for (const name of [...files.keys()]) if (isUnder(place, name)) files.delete(name);
  for (const name of [...folders]) if (isUnder(place, name)) folders.delete(name);
}

function move(from: string, to: string, files: Map<string, Content>, folders: Set<string>): void {
  for (const name of [...files.keys()].filter((one) => isUnder(from, one))) {
    files.set(to + name.slice(from.length), files.get(name)!);
    files.delete(name);
  }
  for (const name of [...folders].filter((one) => isUnder(from, one))) {
    folders.add(to + name.slice(from.length));
    folders.delete(name);
  }
}

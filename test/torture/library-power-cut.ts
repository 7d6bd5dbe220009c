import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const at = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const COMPILER = process.env['CXX'] ?? 'g++';

/** Why no writes can be recorded here; undefined where they can. */
export const noRecorder =
  process.platform !== 'linux' || spawnSync(COMPILER, ['--version']).status !== 0
    ? 'needs Linux and a C++ compiler'
    : undefined;

type Change =
  | { kind: 'write'; name: string; at: number; bytes: Buffer }
  | { kind: 'cut'; name: string; at: number }
  | { kind: 'sync' | 'remove'; name: string };

/** Runs library-process.ts on a new library and records every write that SQLite makes in its files. */
export function recordLibrary(folder: string, runs: number): Change[] {
  const [recorder, record, library] = ['recorder.so', 'record', 'library.db'].map((name) => path.join(folder, name));
  execFileSync(COMPILER, ['-shared', '-fPIC', '-std=c++17', at('./record-writes.cc'), '-o', recorder!, '-ldl']);
  const env = { ...process.env, LD_PRELOAD: recorder, EFFILORA_TEST_ROOT: library, EFFILORA_TEST_RECORD: record };
  execFileSync(process.execPath, ['--import', 'tsx', at('./library-process.ts'), library!, String(runs)], { env });
  return parse(fs.readFileSync(record!));
}

/** A line `kind at length name` each, and behind it so many bytes. Memory that processes share (-shm) outlives no power cut. */
function parse(record: Buffer): Change[] {
  const changes: Change[] = [];
  for (let from = 0; from < record.length;) {
    const end = record.indexOf('\n', from);
    const [kind, place, length, ...name] = record.toString('utf8', from, end).split(' ');
    from = end + 1 + Number(length);
    const change = {
      kind,
      name: path.basename(name.join(' ')),
      at: Number(place),
      bytes: record.subarray(end + 1, from),
    };
    if (!change.name.endsWith('-shm')) changes.push(change as Change);
  }
  return changes;
}

/** A file as it is read, as it is on the disk for good, and what was done to it since. */
interface Content {
  now: Buffer;
  synced: Buffer;
  since: Change[];
}

/** The library's files as one change after the other is made. */
export class LibraryFiles {
  private readonly files = new Map<string, Content>();

  apply(change: Change): void {
    if (change.kind === 'remove') return void this.files.delete(change.name);
    const file = this.files.get(change.name) ?? { now: Buffer.alloc(0), synced: Buffer.alloc(0), since: [] };
    this.files.set(change.name, file);
    if (change.kind === 'sync') Object.assign(file, { synced: file.now, since: [] });
    else {
      file.now = changed(file.now, change);
      file.since.push(change);
    }
  }

  /**
   * Writes into `folder` what a power cut leaves now. What was not synced is gone; with `keeps` each change since the last sync is on
   * the disk or not, and a write half of it or whole, as that says, for disks keep no order between two syncs.
   */
  leave(folder: string, keeps?: () => number): void {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder, { recursive: true });
    for (const [name, { synced, since }] of this.files) {
      let left = synced;
      for (const change of keeps ? since : []) {
        const part = keeps!();
        if (part < 0.4) continue;
        const torn = change.kind === 'write' && part < 0.6;
        left = changed(left, torn ? { ...change, bytes: change.bytes.subarray(0, change.bytes.length / 2) } : change);
      }
      fs.writeFileSync(path.join(folder, name), left);
    }
  }
}

function changed(bytes: Buffer, change: Change): Buffer {
  if (change.kind === 'cut') return resized(bytes, change.at);
  if (change.kind !== 'write') return bytes;
  const result = resized(bytes, Math.max(bytes.length, change.at + change.bytes.length));
  change.bytes.copy(result, change.at);
  return result;
}

/** A copy of that length, with zeros behind its end. */
function resized(bytes: Buffer, length: number): Buffer {
  const result = Buffer.alloc(length);
  bytes.copy(result);
  return result;
}

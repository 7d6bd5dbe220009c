import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { identityOf, ownIdentity, stateOf, type ProcessIdentity } from './process-identity.ts';
import { UserError } from './types.ts';

/** Who holds a lock file, as it stands in it. */
export interface LockHolder extends ProcessIdentity {
  /** of this one taking */
  token: string;
  /** who started the holder: where that one is gone, the holder is about to end */
  parent?: ProcessIdentity;
}

/** What is no holder's writing (a crash in the middle of it) is left alone this long, milliseconds. */
const UNREADABLE_MS = 10_000;
/** So long another process may hold a lock that somebody waits for, milliseconds. */
const PATIENCE_MS = 30 * 60_000;

/** A lock file that this process holds. */
export class FileLock {
  constructor(
    readonly file: string,
    private readonly token: string,
  ) {}

  /** Whether the file still says so: it may have been deleted, with its folder or alone, or taken over. */
  async isHeld(): Promise<boolean> {
    return (await read(this.file))?.holder?.token === this.token;
  }

  async release(): Promise<void> {
    if (await this.isHeld()) await fsp.rm(this.file, { force: true });
  }
}

/**
 * Takes a lock file, or says who holds it. One whose holder has ended is taken over, whatever process has its id now.
 * The folder must be there.
 */
export async function tryLock(file: string): Promise<FileLock | LockHolder> {
  const token = randomUUID();
  const mine: LockHolder = { ...ownIdentity(), token, parent: identityOf(process.ppid) };
  for (;;) {
    if (await create(file, JSON.stringify(mine), token)) return new FileLock(file, token);
    const found = await read(file);
    if (!found) continue;
    const { holder, text, age } = found;
    if (holder && stateOf(holder) !== 'gone') return holder;
    if (!holder && age < UNREADABLE_MS) await wait(200);
    else await takeAway(file, text, token);
  }
}

/** Runs `work` while this process alone holds the lock file; waits for another that holds it. @throws UserError in the end */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  await fsp.mkdir(path.dirname(file), { recursive: true });
  const until = performance.now() + PATIENCE_MS;
  let lock = await tryLock(file);
  while (!(lock instanceof FileLock)) {
    if (performance.now() > until)
      throw new UserError(`Process ${lock.pid} on ${lock.host} has held ${file} for too long. End it and try again.`);
    await wait(200);
    lock = await tryLock(file);
  }
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

/** Makes the file with all of its text, unless it is there. */
async function create(file: string, text: string, token: string): Promise<boolean> {
  const aside = `${file}.${token}`;
  try {
    await fsp.writeFile(aside, text, { flag: 'wx' });
    await fsp.link(aside, file).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw error;
      // A disk without links (exFAT): whoever reads it half written waits.
      await fsp.copyFile(aside, file, constants.COPYFILE_EXCL);
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await fsp.rm(aside, { force: true });
  }
}

/** Removes a lock that read `text`; one that another process has taken meanwhile is put back. */
async function takeAway(file: string, text: string, token: string): Promise<void> {
  const aside = `${file}.${token}.old`;
  try {
    await fsp.rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await fsp.readFile(aside, 'utf8')) !== text)
    await fsp.copyFile(aside, file, constants.COPYFILE_EXCL).catch(() => {});
  await fsp.rm(aside, { force: true });
}

/** age: since it was written, milliseconds */
async function read(file: string): Promise<{ text: string; holder?: LockHolder; age: number } | undefined> {
  try {
    const text = await fsp.readFile(file, 'utf8');
    const { mtimeMs } = await fsp.stat(file);
    return { text, holder: holderIn(text), age: Date.now() - mtimeMs };
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function holderIn(text: string): LockHolder | undefined {
  try {
    const value = JSON.parse(text) as Partial<LockHolder> | null;
    return typeof value?.token === 'string' && typeof value.pid === 'number' ? (value as LockHolder) : undefined;
  } catch {
    return undefined;
  }
}

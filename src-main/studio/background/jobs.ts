import { EventEmitter } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Job, JobResult } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Library } from '../database/open.ts';
import { newOwner, stateOfOwner } from '../owner.ts';
import { JobStore, type NewJob } from './store.ts';
import { nextChange } from '../next-change.ts';

/** A job that another machine's studio began so long ago has lost it, milliseconds: nothing else is known of that one here. */
const LOST_MS = 24 * 3_600_000;
/** At most this often, milliseconds. */
const PACE_MS = 500;
/** Another studio on the same library changes rows without telling this one: looked at this often, milliseconds. */
const OTHERS_MS = 3_000;

export interface Act {
  tell(progress: NonNullable<Job['progress']>): void;
  /** aborted where the job is cancelled, or the studio closes */
  signal: AbortSignal;
}

interface Going {
  progress: Job['progress'];
  stop: AbortController;
  /** resolves when the row says how it ended */
  ended: Promise<void>;
}

/**
 * Work that goes on in the studio whoever looks: pages come and go, and find it by its row. What a job makes lies in folders of
 * its own; where it fails, is cancelled, or its studio ends, nothing of that is left.
 */
export class BackgroundJobs extends EventEmitter<{ change: [] }> {
  private readonly owner = newOwner();
  private readonly store: JobStore;
  private readonly going = new Map<string, Going>();
  private isClosing = false;

  constructor(library: Library) {
    super();
    this.setMaxListeners(0);
    this.store = new JobStore(library);
  }

  /** What studios were doing that are gone now: it is interrupted, and its beginnings go. */
  async recover(): Promise<void> {
    for (const { id, folders, owner, created_at } of this.store.running()) {
      const state = stateOfOwner(owner);
      const mayLive = state === 'alive' || (state === 'elsewhere' && Date.now() - created_at < LOST_MS);
      if (owner === this.owner || mayLive) continue;
      await this.removeBeginnings(folders);
      this.store.end(id, 'interrupted', 'The studio ended before this was done. Start it again.', null);
    }
    this.emit('change');
  }

  /** Starts `work`, which fills the job's folders. */
  start(job: NewJob, work: (act: Act) => Promise<JobResult>): Job {
    this.store.add(job, this.owner);
    const stop = new AbortController();
    const going: Going = { progress: null, stop, ended: Promise.resolve() };
    this.going.set(job.id, going);
    const tell = (progress: NonNullable<Job['progress']>) => {
      going.progress = progress;
      this.emit('change');
    };
    going.ended = this.run(job, work, { tell, signal: stop.signal });
    this.emit('change');
    return this.get(job.id);
  }

  list(): Job[] {
    return this.store.list().map((job) => this.shown(job));
  }

  get(id: string): Job {
    return this.shown(this.store.get(id));
  }

  /** What came of it. @throws UserError where it did not come to its end */
  async result(id: string): Promise<JobResult> {
    await this.going.get(id)?.ended;
    const { result, message } = this.get(id);
    if (result) return result;
    throw new UserError(message ?? 'This was cancelled.');
  }

  cancel(id: string): void {
    this.going.get(id)?.stop.abort();
  }

  remove(id: string): void {
    if (this.get(id).state === 'running') throw new UserError('This is still going on. Cancel it first.');
    this.store.remove(id);
    this.emit('change');
  }

  /** One job as it goes on, to its end. */
  async *follow(id: string, signal: AbortSignal | undefined): AsyncGenerator<Job, void> {
    for await (const now of this.changes(() => this.get(id), signal)) {
      yield now;
      if (now.state !== 'running') return;
    }
  }

  watch(signal: AbortSignal | undefined): AsyncGenerator<Job[], void> {
    return this.changes(() => this.list(), signal);
  }

  /** Stops all; they are interrupted. */
  async close(): Promise<void> {
    this.isClosing = true;
    for (const { stop } of this.going.values()) stop.abort();
    await Promise.all([...this.going.values()].map(({ ended }) => ended));
  }

  private async run({ id, folders }: NewJob, work: (act: Act) => Promise<JobResult>, act: Act): Promise<void> {
    let state: Job['state'] = 'done';
    let message: string | null = null;
    let result: JobResult | null = null;
    try {
      result = await work(act);
      act.signal.throwIfAborted();
    } catch (error) {
      result = null;
      await this.removeBeginnings(folders).catch((failure: unknown) => console.error(failure));
      if (act.signal.aborted) state = this.isClosing ? 'interrupted' : 'cancelled';
      else state = 'failed';
      if (state === 'interrupted') message = 'The studio was closed before this was done. Start it again.';
      if (state === 'failed') message = sentenceOf(error);
    }
    this.end(id, state, message, result);
  }

  /** Where the row can't be written, the next studio on this library finds the job interrupted. */
  private end(id: string, ...how: [Job['state'], string | null, JobResult | null]): void {
    try {
      this.store.end(id, ...how);
    } catch (error) {
      console.error(error);
    }
    this.going.delete(id);
    this.emit('change');
  }

  /** What a job had made when it ended in the middle, but for adapters that the library names by then. */
  private async removeBeginnings(folders: string[]): Promise<void> {
    for (const folder of folders) if (!this.store.isAdapter(folder)) await removeBeginning(folder);
  }

  private shown(job: Job): Job {
    return { ...job, progress: this.going.get(job.id)?.progress ?? null };
  }

  private async *changes<T>(look: () => T, signal: AbortSignal | undefined): AsyncGenerator<T, void> {
    for (let shown = ''; !signal?.aborted;) {
      const now = look();
      const text = JSON.stringify(now);
      if (text !== shown) yield now;
      shown = text;
      if (JSON.stringify(look()) === text) {
        await nextChange(this, OTHERS_MS, signal);
      }
      await wait(PACE_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** A folder and what was being written to become it. */
async function removeBeginning(folder: string): Promise<void> {
  const names = await readdir(dirname(folder)).catch(() => [] as string[]);
  const own = names.filter((name) => name === basename(folder) || name.startsWith(`${basename(folder)}.partial`));
  for (const name of own) await rm(join(dirname(folder), name), { recursive: true, force: true });
}

/** Only what a person can mend is told as it is. */
function sentenceOf(error: unknown): string {
  if (error instanceof UserError) return error.message;
  console.error(error);
  if (['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? ''))
    return 'The disk is full. Make room and start it again.';
  return `Something in the studio went wrong: ${error instanceof Error ? error.message : String(error)}`;
}

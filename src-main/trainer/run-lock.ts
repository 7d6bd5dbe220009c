import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { FileLock, tryLock, type LockHolder } from '../engine/lock.ts';
import { stateOf } from '../engine/process-identity.ts';
import { UserError } from '../engine/types.ts';

const NAME = 'run.lock';
/** A trainer whose parent is gone has this long to write its checkpoint, milliseconds; then it hangs, and is ended. */
const ORPHAN_MS = 30_000;

/** The folder isn't this process's any more: nothing may be written there. */
export class LostRun extends UserError {}

/** One process's hold on a run's folder. Every writer takes it: a trainer for its whole run. */
export class RunLock {
  private constructor(
    private readonly folder: string,
    private readonly lock: FileLock,
  ) {}

  /**
   * Waits for a trainer that has lost its parent and is about to end.
   * @throws UserError when another process trains there
   */
  static async take(folder: string, say: (sentence: string) => void = () => {}): Promise<RunLock> {
    const file = path.join(folder, NAME);
    let waitsSince: number | undefined;
    for (;;) {
      const found = await tryLock(file);
      if (found instanceof FileLock) return new RunLock(folder, found);
      if (!isOrphan(found)) throw refusal(folder, file, found);
      if (waitsSince === undefined)
        say(`Waits for process ${found.pid}, whose studio is gone, to write its checkpoint and end.`);
      waitsSince ??= performance.now();
      if (performance.now() - waitsSince > ORPHAN_MS) end(found);
      await wait(200);
    }
  }

  /** @throws LostRun when the folder is gone, or another process's */
  async check(): Promise<void> {
    if (await this.lock.isHeld()) return;
    if (!fs.existsSync(this.folder))
      throw new LostRun(
        `The run's folder ${this.folder} was deleted or moved while it trained. Put it back and resume, or start the run again.`,
      );
    throw new LostRun(
      `Another process took ${this.folder} over, so this one ended without writing anything more. Resume the run if no other goes on with it.`,
    );
  }

  async release(): Promise<void> {
    await this.lock.release();
  }
}

function end(holder: LockHolder): void {
  if (stateOf(holder) !== 'alive') return;
  try {
    process.kill(holder.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const isOrphan = ({ parent, ...holder }: LockHolder) =>
  parent !== undefined && stateOf(parent) === 'gone' && stateOf(holder) !== 'elsewhere';

function refusal(folder: string, file: string, { pid, host, ...rest }: LockHolder): UserError {
  if (stateOf({ pid, host, ...rest }) === 'elsewhere')
    return new UserError(
      `${folder} is trained on another machine, ${host} (process ${pid}). Stop it there; if that machine no longer runs it, delete ${file}.`,
    );
  return new UserError(
    `${folder} is being written by another process (${pid}), so that this one would spoil its run. Pause or stop that one first.`,
  );
}

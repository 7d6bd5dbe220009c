import { fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { PATIENCE_MS } from '../support/patience.ts';

/** The processes of a studio by what they do. */
export type Victim = 'studio' | 'trainer' | 'helper' | 'stage';
const ENTRIES: Record<Exclude<Victim, 'studio'>, RegExp> = {
  trainer: /trainer\/process\.ts|\/process\.js/,
  helper: /work\/process\.ts|\/work\.js/,
  stage: /stage\/process\.ts|\/stage\.js/,
};

export type TortureStudio = Awaited<ReturnType<typeof startStudio>>;

/** A studio in a process of its own, from where it was built, on the library in `dataFolder`. */
export async function startStudio(built: string, dataFolder: string) {
  const child = fork(path.join(built, 'studio.js'), [dataFolder], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)));
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  let calls = 0;
  const exited = once(child, 'exit').then(() => {
    for (const { reject } of waiting.values()) reject(new Error('The studio is gone.'));
  });
  await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error(`The studio did not start:\n${said}`))),
  ]);
  child.on('message', ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
    const waits = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) waits?.resolve(result as never);
    else waits?.reject(new Error(error));
  });
  return {
    processId: child.pid!,
    said: () => said,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    /** a call of the contract; of a stream the last event. @throws what the call throws, or when the studio is gone */
    call<T>(path: string, input?: unknown): Promise<T> {
      const id = (calls += 1);
      return new Promise<T>((resolve, reject) => {
        if (!child.connected) return reject(new Error('The studio is gone.'));
        waiting.set(id, { resolve, reject });
        child.send({ id, path, input }, (error) => error && reject(error));
      });
    },
    /** ids of its processes that live now */
    processes: () => processesOf(child.pid!),
    async end() {
      child.disconnect();
      await exited;
    },
    exited,
  };
}

/** Ids of a studio's processes that live now. */
export function processesOf(parent: number): Partial<Record<Victim, number>> {
  const found: Partial<Record<Victim, number>> = { studio: parent };
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parentOf = Number(
        fs
          .readFileSync(`/proc/${name}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')[1],
      );
      if (parentOf !== parent) continue;
      const command = fs.readFileSync(`/proc/${name}/cmdline`, 'utf8');
      for (const [victim, entry] of Object.entries(ENTRIES))
        if (entry.test(command)) found[victim as Victim] = Number(name);
    } catch {
      continue;
    }
  }
  return found;
}

/** Whether a process is there and no zombie. */
export function isThere(processId: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(fs.readFileSync(`/proc/${processId}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Looks until something is so. @throws when it isn't within that many milliseconds */
export async function until<T>(what: string, look: () => T | Promise<T>, limit = PATIENCE_MS): Promise<NonNullable<T>> {
  for (const end = performance.now() + limit; performance.now() < end; await wait(20)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`Not so within ${limit} ms: ${what}`);
}

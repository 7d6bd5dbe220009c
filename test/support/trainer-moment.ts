import fs from 'node:fs';
import path from 'node:path';
import { expect, vi } from 'vitest';
import { temporary } from '../trainer/support.ts';

/** When a trainer tells of this; with `opening`, when it then opens a file whose path ends so. */
export interface Moment {
  kind: 'metrics' | 'checkpointing' | 'checkpoint';
  step: number;
  opening?: string;
}

const PRELOAD = new URL('./trainer-moment.mjs', import.meta.url).href;

/**
 * A trainer that stands still, or is killed, at a moment of its run: it sends itself the signal, which from here may come
 * too late on a busy machine. `env` is for the process that starts the trainer; a trainer started later goes past the moment.
 */
export function trainerAt(moment: Moment, signal: 'SIGSTOP' | 'SIGKILL') {
  const mark = path.join(temporary('moment'), 'trainer');
  const env = {
    NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import ${PRELOAD}`,
    EFFILORA_TEST_MOMENT: JSON.stringify({ ...moment, signal }),
    EFFILORA_TEST_MARK: mark,
  };
  /** its process's id, once it stands still */
  async function standing(): Promise<number> {
    await expect.poll(() => fs.existsSync(mark)).toBe(true);
    const processId = processIdIn(mark);
    await expect.poll(() => stateOf(processId)).toBe('T');
    return processId;
  }
  return {
    env,
    standing,
    /** lets it go on from where it stands */
    goOn: async () => process.kill(await standing(), 'SIGCONT'),
    /** where a test has failed: so that whoever waits for its end gets it */
    release() {
      if (fs.existsSync(mark) && stateOf(processIdIn(mark))) process.kill(processIdIn(mark), 'SIGCONT');
    },
    /** resolves when its process is gone */
    gone: () => expect.poll(() => stateOf(processIdIn(mark))).toBe(undefined),
  };
}

const processIdIn = (mark: string) => Number(fs.readFileSync(mark, 'utf8'));

/** Starts what `start` starts with these variables in its environment. */
export function inEnvironment<T>(env: Record<string, string>, start: () => T): T {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  try {
    return start();
  } finally {
    vi.unstubAllEnvs();
  }
}

/** A process's state by Linux (proc(5): T is stopped); undefined for one that has ended. */
function stateOf(processId: number): string | undefined {
  try {
    const state = /^\d+ \(.*\) (\S)/.exec(fs.readFileSync(`/proc/${processId}/stat`, 'utf8'))?.[1];
    return state === 'Z' || state === 'X' ? undefined : state;
  } catch {
    return undefined;
  }
}

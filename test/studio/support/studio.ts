import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRouterClient } from '@orpc/server';
import type { RunStatus } from '../../../src-preload/contract/index.ts';
import { createRouter } from '../../../src-main/studio/router.ts';
import type { TrainerEnd, TrainerPort } from '../../../src-main/studio/runs/trainer-port.ts';
import { openStudio } from '../../../src-main/studio/studio.ts';
import type { Studio } from '../../../src-main/studio/studio.ts';
import { PATIENCE_MS } from '../../support/patience.ts';

const PLAYER = fileURLToPath(new URL('./player.mjs', import.meta.url));

/**
 * Plays `steps` steps, one every `paceMs`; `children` are its processes, the last one last. The first one stands still
 * after step `holdAt`, so that a test can end it there, or let it go on.
 */
export function player(steps: number, paceMs: number, holdAt = Infinity): TrainerPort & { children: ChildProcess[] } {
  const children: ChildProcess[] = [];
  return {
    children,
    start(folder) {
      const hold = children.length === 0 ? holdAt : Infinity;
      const child = fork(PLAYER, [folder, String(steps), String(paceMs), String(hold)], { execArgv: [] });
      children.push(child);
      const ended = new Promise<TrainerEnd>((resolve) => {
        let outcome: TrainerEnd['outcome'] = 'failed';
        child.on('message', (message: { outcome: TrainerEnd['outcome'] }) => (outcome = message.outcome));
        child.once('exit', (code, signal) =>
          resolve({ outcome, message: outcome === 'failed' ? `The trainer ended (${signal ?? code}).` : null }),
        );
      });
      return {
        processId: child.pid,
        pause: () => child.send('pause'),
        stop: () => child.send('stop'),
        kill: () => child.kill('SIGKILL'),
        leave: () => child.kill('SIGKILL'),
        setRatio: (ratio) => child.send({ ratio }),
        ended,
      };
    },
  };
}

/** A studio on an empty library, with a dataset file inside its data folder, and the contract called in process. */
export function openTestStudio(dataFolder: string, trainer: TrainerPort) {
  const studio = openStudio({ dataFolder, trainer, folders: [dataFolder] });
  const dataset = join(dataFolder, 'rows.jsonl');
  writeFileSync(dataset, '{"instruction":"Say hello.","output":"Hello."}\n');
  const client = createRouterClient(createRouter(studio), { context: { local: true } });
  const recipe = {
    model: 'smollm2-135m',
    dataset,
    method: { name: 'effilora', heads: 3, rank: 8 },
    training: { steps: 60 },
  };
  return { studio, client, recipe };
}

/** Resolves when the run is in `status`; every change of the queue is looked at. */
export async function untilStatus(studio: Studio, id: string, status: RunStatus): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      studio.queue.off('change', look);
      reject(new Error(`run is ${studio.runs.row(id).status}, not ${status}: ${studio.runs.row(id).message}`));
    }, PATIENCE_MS);
    function look() {
      if (studio.runs.row(id).status !== status) return;
      clearTimeout(timer);
      studio.queue.off('change', look);
      resolve();
    }
    studio.queue.on('change', look);
    look();
  });
}

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { UserError } from '../engine/types.ts';
import type { Command, Report, RunEvent, RunSummary } from './events.ts';

export interface RunRequest {
  /** YAML */
  recipe: string;
  /** where the recipe lies, for messages and relative paths */
  recipePath: string;
  folder: string;
  resume?: boolean;
  onEvent?: (event: RunEvent) => void;
}

/** A run in its own process. */
export interface RunHandle {
  pid: number;
  pause(): void;
  resume(): void;
  stop(): void;
  changeRatio(ratio: number): void;
  /** rejects with UserError for what the person can mend, and when the process dies */
  done: Promise<RunSummary>;
}

/** Starts the trainer's process on a recipe. */
export function startRun({ recipe, recipePath, folder, resume = false, onEvent }: RunRequest): RunHandle {
  const entry = fileURLToPath(new URL('./process.ts', import.meta.url));
  const child = fork(entry, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const send = (command: Command) => {
    if (child.connected) child.send(command);
  };
  const done = new Promise<RunSummary>((resolve, reject) => {
    child.on('message', (report: Report) => {
      if (report.kind === 'event') onEvent?.(report.event);
      else if (report.kind === 'done') resolve(report.summary);
      else reject(report.isUserError ? new UserError(report.message) : new Error(report.message));
    });
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      reject(
        new Error(
          `The trainer's process ended unexpectedly (${signal ?? `code ${code}`}); the run in ${folder} can go on from its last checkpoint with --resume`,
        ),
      ),
    );
  });
  send({ kind: 'start', recipe, recipePath, folder, resume });
  return {
    pid: child.pid ?? -1,
    pause: () => send({ kind: 'pause' }),
    resume: () => send({ kind: 'resume' }),
    stop: () => send({ kind: 'stop' }),
    changeRatio: (ratio) => send({ kind: 'changeRatio', ratio }),
    done,
  };
}

import { fork, type ChildProcess } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Command, Report, RunEvent, RunSummary } from './events.ts';

/** How a trainer's process ended. */
export type TrainerEnd =
  | { outcome: RunSummary['reason']; summary: RunSummary }
  | { outcome: 'failed'; message: string; /** something a person can mend, not a crash */ forPeople: boolean };

export interface TrainerStart {
  /** recipe file; to resume, the run's own recipe.yaml */
  recipe: string;
  /** the run's folder */
  folder: string;
  resume: boolean;
  onEvent?: (event: RunEvent) => void;
}

/** A running trainer process. */
export interface Trainer {
  readonly processId: number | undefined;
  /** writes a checkpoint and ends, to be resumed */
  pause(): void;
  /** ends the run with the adapter as it stands */
  stop(): void;
  changeRatio(ratio: number): void;
  /** never rejects; a crash or a kill is `failed` */
  readonly ended: Promise<TrainerEnd>;
}

/** How much of the end of the process's own error output a crash is explained with, characters. */
const TAIL = 600;

/** Starts a run in a process of its own. A crash or a kill there leaves the run's last checkpoint. */
export function startTrainer({ recipe, folder, resume, onEvent }: TrainerStart): Trainer {
  const child = launch();
  let tail = '';
  let last: Report | undefined;
  let step = 0;
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (tail = (tail + text).slice(-TAIL)));
  child.on('message', (report: Report) => {
    if (report.kind !== 'event') last = report;
    else {
      if (report.event.kind === 'metrics') step = report.event.line.step;
      onEvent?.(report.event);
    }
  });
  const send = (command: Command) => {
    if (child.connected) child.send(command, () => {});
  };
  const ended = new Promise<TrainerEnd>((resolve) => {
    child.once('error', (error) => resolve({ outcome: 'failed', message: error.message, forPeople: false }));
    child.once('close', (code, signal) => {
      if (last?.kind === 'done') resolve({ outcome: last.summary.reason, summary: last.summary });
      else if (last?.kind === 'failed')
        resolve({ outcome: 'failed', message: last.message, forPeople: last.forPeople });
      else resolve({ outcome: 'failed', message: crashMessage(code, signal, step, tail), forPeople: false });
    });
  });
  send({ kind: 'start', recipe, folder, resume });
  return {
    processId: child.pid,
    pause: () => send({ kind: 'pause' }),
    stop: () => send({ kind: 'stop' }),
    changeRatio: (ratio) => send({ kind: 'changeRatio', ratio }),
    ended,
  };
}

function launch(): ChildProcess {
  const sources = import.meta.url.endsWith('.ts');
  const entry = fileURLToPath(new URL(sources ? './process.ts' : './process.js', import.meta.url));
  const tsx = () => pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return fork(entry, {
    execArgv: sources ? ['--import', tsx()] : [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}

function crashMessage(code: number | null, signal: NodeJS.Signals | null, step: number, tail: string): string {
  const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
  const memory =
    signal === 'SIGKILL' ? ' Most often the memory ran out: a smaller batch or sequenceLength needs less.' : '';
  const said = tail.trim() && !signal ? ` It said: ${tail.trim().split('\n').slice(-3).join(' ')}` : '';
  return `The trainer's process ${how} after step ${step}.${memory}${said} Go on from its last checkpoint with --resume.`;
}

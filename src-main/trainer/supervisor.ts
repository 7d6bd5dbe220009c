import { entryOf } from '../engine/entry.ts';
import { forked } from './child.ts';
import type { ChildExit, Launch } from './child.ts';
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
  /** default: a process of Node's */
  launch?: Launch;
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

/** Starts a run in a process of its own. A crash or a kill there leaves the run's last checkpoint. */
export function startTrainer({ recipe, folder, resume, onEvent, launch = forked }: TrainerStart): Trainer {
  const child = launch(entryOf(import.meta.url, './process.ts', './process.js'), { keepErrors: true });
  let last: Report | undefined;
  let step = 0;
  child.onMessage((message) => {
    const report = message as Report;
    if (report.kind === 'event') {
      if (report.event.kind === 'metrics') step = report.event.line.step;
      onEvent?.(report.event);
    } else {
      last = report;
      child.kill();
    }
  });
  const send = (command: Command) => child.send(command);
  const ended = new Promise<TrainerEnd>((resolve) => {
    child.onExit((exit) => {
      if (last?.kind === 'done') resolve({ outcome: last.summary.reason, summary: last.summary });
      else if (last?.kind === 'failed')
        resolve({ outcome: 'failed', message: last.message, forPeople: last.forPeople });
      else resolve({ outcome: 'failed', message: crashMessage(exit, step), forPeople: false });
    });
  });
  send({ kind: 'start', recipe, folder, resume });
  return {
    get processId() {
      return child.processId;
    },
    pause: () => send({ kind: 'pause' }),
    stop: () => send({ kind: 'stop' }),
    changeRatio: (ratio) => send({ kind: 'changeRatio', ratio }),
    ended,
  };
}

function crashMessage({ code, signal, said }: ChildExit, step: number): string {
  const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
  const memory =
    signal === 'SIGKILL' ? ' Most often the memory ran out: a smaller batch or sequenceLength needs less.' : '';
  const why = said.trim() && !signal ? ` It said: ${said.trim().split('\n').slice(-3).join(' ')}` : '';
  return `The trainer's process ${how} after step ${step}.${memory}${why} Go on from its last checkpoint with --resume.`;
}

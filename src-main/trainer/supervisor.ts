import { entryOf } from '../engine/entry.ts';
import { forked } from '../engine/child.ts';
import type { ChildExit, Launch } from '../engine/child.ts';
import { Escalation } from './escalation.ts';
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
  /** train although more than 5 % of a dataset's rows can't be used */
  acceptDropped?: boolean;
  onEvent?: (event: RunEvent) => void;
  /** what happens now, after it was asked to pause or stop, as a sentence; the last one holds */
  onState?: (message: string) => void;
  /** default: a process of Node's */
  launch?: Launch;
}

/** A running trainer process. */
export interface Trainer {
  readonly processId: number | undefined;
  /** writes a checkpoint and ends, to be resumed; where it doesn't answer, it is ended */
  pause(): void;
  /** ends the run with the adapter as it stands; where it doesn't answer, it is ended with its last checkpoint */
  stop(): void;
  /** ends it at once: what came since its last checkpoint is lost */
  kill(): void;
  /** for one that is asked to pause while this process ends: it finishes that by itself, or is ended where it doesn't answer */
  leave(): void;
  changeRatio(ratio: number): void;
  /** never rejects; a crash or a kill is `failed` */
  readonly ended: Promise<TrainerEnd>;
}

/** Starts a run in a process of its own. A crash or a kill there leaves the run's last checkpoint. */
export function startTrainer(start: TrainerStart): Trainer {
  const { recipe, folder, resume, acceptDropped, onEvent, onState, launch = forked } = start;
  const child = launch(entryOf(import.meta.url, './process.ts', './process.js'), { keepErrors: true });
  let last: Report | undefined;
  let step = 0;
  const say = (message: string) => onState?.(message);
  let forced: string | undefined;
  const force = (why: string) => {
    forced = why;
    child.kill('SIGKILL');
  };
  const escalation = new Escalation({
    kill: (signal) => (signal === 'SIGKILL' ? force('did not answer and was ended') : child.kill(signal)),
    tell: say,
  });
  let lingers: NodeJS.Timeout | undefined;
  child.onMessage((message) => {
    const report = message as Report;
    escalation.heard();
    if (report.kind === 'event') {
      const { event } = report;
      if (event.kind === 'metrics') step = event.line.step;
      if (event.kind === 'asked') say(`${ASKED[event.what]}: waits for ${event.waitsFor}.`);
      onEvent?.(event);
    } else {
      last = report;
      escalation.close();
      child.kill();
      lingers = setTimeout(() => child.kill('SIGKILL'), LINGER_MS);
    }
  });
  const send = (command: Command) => child.send(command);
  const ended = new Promise<TrainerEnd>((resolve) => {
    child.onExit((exit) => {
      escalation.close();
      clearTimeout(lingers);
      if (last?.kind === 'done') resolve({ outcome: last.summary.reason, summary: last.summary });
      else if (last?.kind === 'failed')
        resolve({ outcome: 'failed', message: last.message, forPeople: last.forPeople });
      else resolve({ outcome: 'failed', message: crashMessage(exit, step, forced), forPeople: false });
    });
  });
  send({ kind: 'start', recipe, folder, resume, acceptDropped });
  const ask = (what: 'pause' | 'stop') => {
    say(`${ASKED[what]}: waits for its answer.`);
    escalation.ask();
    send({ kind: what });
  };
  return {
    get processId() {
      return child.processId;
    },
    pause: () => ask('pause'),
    stop: () => ask('stop'),
    kill: () => force('was ended at your word'),
    leave() {
      escalation.close();
      if (!escalation.hasAnswered) force('did not answer and was ended');
    },
    changeRatio: (ratio) => send({ kind: 'changeRatio', ratio }),
    ended,
  };
}

const ASKED = { pause: 'Pausing', stop: 'Stopping' };

/** After its last word a process has this long to end, milliseconds. */
const LINGER_MS = 10_000;

function crashMessage({ code, signal, said }: ChildExit, step: number, forced: string | undefined): string {
  if (forced)
    return `The trainer's process ${forced} after step ${step}. Go on from its last checkpoint with --resume.`;
  const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
  const memory =
    signal === 'SIGKILL' ? ' Most often the memory ran out: a smaller batch or sequenceLength needs less.' : '';
  const why = said.trim() && !signal ? ` It said: ${said.trim().split('\n').slice(-3).join(' ')}` : '';
  return `The trainer's process ${how} after step ${step}.${memory}${why} Go on from its last checkpoint with --resume.`;
}

import { UserError } from '../../engine/types.ts';
import { entryOf } from '../../engine/entry.ts';
import { forked } from '../../engine/child.ts';
import type { Child } from '../../engine/child.ts';
import type { FromStage, StageJob, StageJobs, ToStage } from './types.ts';

/** After this long without work the process is let go with the model it holds, milliseconds. */
const IDLE_MS = 10 * 60_000;

interface Waiting {
  take(message: FromStage): void;
  /** gives the job to the process there is now */
  start(): void;
  begun: boolean;
  /** whether a process ended before it began with this */
  lost: boolean;
}

/**
 * The process where base models run: one model stays loaded, adapters come and go on it. Started when first needed, again after
 * a crash. Jobs run one after the other; where the process ends, the one that was going fails, and those behind it go to the next.
 */
export class Stage {
  private process: Child | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private jobs = 0;
  private idle: NodeJS.Timeout | undefined;

  constructor(private readonly start = forked) {}

  /**
   * Events of a job as they come. Leaving the loop, or `signal`, cancels it.
   * @throws UserError for what doesn't fit, and when the process ends in the middle
   */
  async *run<Job extends StageJob>(
    job: Job,
    request: StageJobs[Job][0],
    signal?: AbortSignal,
  ): AsyncGenerator<StageJobs[Job][1], void> {
    signal?.throwIfAborted();
    clearTimeout(this.idle);
    const id = (this.jobs += 1);
    let child: Child;
    const messages: Exclude<FromStage, { begun: true }>[] = [];
    let wake = () => {};
    const send = (message: ToStage) => child.send(message);
    const waiting: Waiting = {
      take: (message) => {
        if ('begun' in message) waiting.begun = true;
        else messages.push(message);
        wake();
      },
      start: () => {
        child = this.process ??= this.launch();
        send({ id, job, request });
      },
      ...{ begun: false, lost: false },
    };
    this.waiting.set(id, waiting);
    const cancel = () => {
      send({ id, cancel: true });
      wake();
    };
    signal?.addEventListener('abort', cancel);
    waiting.start();
    try {
      for (;;) {
        if (messages.length === 0 && !signal?.aborted) await new Promise<void>((resolve) => (wake = resolve));
        if (signal?.aborted) return;
        const message = messages.shift();
        if (!message) continue;
        if ('event' in message) yield message.event as StageJobs[Job][1];
        else if ('error' in message) throw message.forPeople ? new UserError(message.error) : new Error(message.error);
        else return;
      }
    } finally {
      signal?.removeEventListener('abort', cancel);
      this.waiting.delete(id);
      send({ id, cancel: true });
      if (this.waiting.size === 0) this.idle = setTimeout(() => this.close(), IDLE_MS).unref();
    }
  }

  /** Ends the process; who still waits is told. */
  close(): void {
    clearTimeout(this.idle);
    this.process?.kill();
    this.process = undefined;
    for (const [id, waiting] of this.waiting)
      waiting.take({ id, error: 'The studio was closed in the middle of this.', forPeople: true });
  }

  private launch(): Child {
    const child = this.start(entryOf(import.meta.url, './process.ts', './stage.js'));
    child.onMessage((message) => this.waiting.get((message as FromStage).id)?.take(message as FromStage));
    child.onExit(({ code, signal }) => {
      // One that was let go has been replaced already; nobody waits for it.
      if (this.process !== child) return;
      this.process = undefined;
      const error =
        `The process that runs the model ended (${signal ?? `code ${code}`}) in the middle of this. ` +
        'Most often the memory ran out: close other programs, or choose a smaller model, and try again.';
      for (const [id, waiting] of [...this.waiting])
        if (waiting.begun || waiting.lost) waiting.take({ id, error, forPeople: true });
        else {
          waiting.lost = true;
          waiting.start();
        }
    });
    return child;
  }
}

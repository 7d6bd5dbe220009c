import { UserError } from '../../engine/types.ts';
import { entryOf } from '../../engine/entry.ts';
import { forked } from '../../engine/child.ts';
import type { Child } from '../../engine/child.ts';
import type { Jobs } from './types.ts';

export interface JobCall {
  id: number;
  job: keyof Jobs;
  request: unknown;
}
export type JobAnswer =
  | { id: number; begun: true }
  | { id: number; line: string }
  | { id: number; result: unknown }
  | { id: number; error: string; forPeople: boolean };

export interface CallOptions {
  /** ends the job: its process is ended, others that wait are asked again in a new one */
  signal?: AbortSignal;
  /** what the job says while it goes on */
  onLine?: (line: string) => void;
}

interface Waiting {
  call: JobCall;
  resolve: (value: never) => void;
  reject: (error: Error) => void;
  onLine?: (line: string) => void;
  /** by the process there is now */
  begun: boolean;
  /** whether a process ended before it began with this */
  lost: boolean;
}

/** After this long without work the process is let go, so that it doesn't hold memory a training needs, milliseconds. */
const IDLE_MS = 60_000;

/**
 * The process that does the jobs, one after the other: started when first needed, again after a crash, let go when idle. Where it
 * ends, the job that was going fails, and those behind it go to the next process.
 */
export class Worker {
  private process: Child | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;
  private idle: NodeJS.Timeout | undefined;

  constructor(private readonly start = forked) {}

  call<Name extends keyof Jobs>(
    job: Name,
    request: Parameters<Jobs[Name]>[0],
    { signal, onLine }: CallOptions = {},
  ): ReturnType<Jobs[Name]> {
    signal?.throwIfAborted();
    clearTimeout(this.idle);
    const call: JobCall = { id: (this.calls += 1), job, request };
    const answer = new Promise((resolve, reject) => {
      this.waiting.set(call.id, { call, resolve, reject, onLine, begun: false, lost: false });
      signal?.addEventListener('abort', () => this.cancel(call.id), { once: true });
    });
    this.send(this.waiting.get(call.id)!);
    return answer as ReturnType<Jobs[Name]>;
  }

  /** Ends the process; who still waits is told. */
  close(): void {
    this.letGo();
    for (const { reject } of this.waiting.values())
      reject(new UserError('The studio was closed in the middle of this.'));
    this.waiting.clear();
  }

  private letGo(): void {
    clearTimeout(this.idle);
    this.process?.kill();
    this.process = undefined;
  }

  private send(waiting: Waiting): void {
    waiting.begun = false;
    (this.process ??= this.launch()).send(waiting.call);
  }

  private cancel(id: number): void {
    const cancelled = this.waiting.get(id);
    if (!cancelled) return;
    this.waiting.delete(id);
    cancelled.reject(new UserError('This was cancelled.'));
    this.letGo();
    for (const waiting of this.waiting.values()) this.send(waiting);
  }

  private launch(): Child {
    const child = this.start(entryOf(import.meta.url, './process.ts', './work.js'));
    child.onMessage((answer) => this.settle(answer as JobAnswer));
    child.onExit(({ code, signal }) => {
      // One that was let go or cancelled has been replaced already.
      if (this.process !== child) return;
      this.process = undefined;
      const error = new UserError(
        `The studio's helper process ended (${signal ?? `code ${code}`}) in the middle of this. ` +
          'Most often the memory ran out: close other programs, or choose a smaller model or dataset, and try again.',
      );
      for (const [id, waiting] of [...this.waiting])
        if (waiting.begun || waiting.lost) {
          this.waiting.delete(id);
          waiting.reject(error);
        } else {
          waiting.lost = true;
          this.send(waiting);
        }
    });
    return child;
  }

  private settle(answer: JobAnswer): void {
    const waiting = this.waiting.get(answer.id);
    if ('begun' in answer) {
      if (waiting) waiting.begun = true;
      return;
    }
    if ('line' in answer) return waiting?.onLine?.(answer.line);
    this.waiting.delete(answer.id);
    if ('error' in answer) waiting?.reject(answer.forPeople ? new UserError(answer.error) : new Error(answer.error));
    else waiting?.resolve(answer.result as never);
    if (this.waiting.size === 0) this.idle = setTimeout(() => this.letGo(), IDLE_MS).unref();
  }
}

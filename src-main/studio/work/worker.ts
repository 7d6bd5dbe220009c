import { UserError } from '../../engine/types.ts';
import { entryOf } from '../../engine/entry.ts';
import { forked } from '../../trainer/child.ts';
import type { Child } from '../../trainer/child.ts';
import type { Jobs } from './types.ts';

export interface JobCall {
  id: number;
  job: keyof Jobs;
  request: unknown;
}
export type JobAnswer =
  { id: number; line: string } | { id: number; result: unknown } | { id: number; error: string; forPeople: boolean };

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
}

/** After this long without work the process is let go, so that it doesn't hold memory a training needs, milliseconds. */
const IDLE_MS = 60_000;

/** The process that does the jobs: started when first needed, again after a crash, let go when idle. */
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
      this.waiting.set(call.id, { call, resolve, reject, onLine });
      signal?.addEventListener('abort', () => this.cancel(call.id), { once: true });
    });
    this.send(call);
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

  private send(call: JobCall): void {
    (this.process ??= this.launch()).send(call);
  }

  private cancel(id: number): void {
    const cancelled = this.waiting.get(id);
    if (!cancelled) return;
    this.waiting.delete(id);
    cancelled.reject(new UserError('This was cancelled.'));
    this.letGo();
    for (const { call } of this.waiting.values()) this.send(call);
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
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    });
    return child;
  }

  private settle(answer: JobAnswer): void {
    const waiting = this.waiting.get(answer.id);
    if ('line' in answer) return waiting?.onLine?.(answer.line);
    this.waiting.delete(answer.id);
    if ('error' in answer) waiting?.reject(answer.forPeople ? new UserError(answer.error) : new Error(answer.error));
    else waiting?.resolve(answer.result as never);
    if (this.waiting.size === 0) this.idle = setTimeout(() => this.letGo(), IDLE_MS).unref();
  }
}

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { UserError } from '../../engine/types.ts';
import type { Jobs } from './types.ts';

export interface JobCall {
  id: number;
  job: keyof Jobs;
  request: unknown;
}
export type JobAnswer = { id: number; result: unknown } | { id: number; error: string; forPeople: boolean };

interface Waiting {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/** After this long without work the process is let go, so that it doesn't hold memory a training needs, milliseconds. */
const IDLE_MS = 60_000;

/** The process that does the jobs: started when first needed, again after a crash, let go when idle. */
export class Worker {
  private process: ChildProcess | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;
  private idle: NodeJS.Timeout | undefined;

  call<Name extends keyof Jobs>(job: Name, request: Parameters<Jobs[Name]>[0]): ReturnType<Jobs[Name]> {
    clearTimeout(this.idle);
    const id = (this.calls += 1);
    const child = (this.process ??= this.launch());
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    child.send({ id, job, request } satisfies JobCall, (error) => {
      if (error) this.settle({ id, error: error.message, forPeople: false });
    });
    return answer as ReturnType<Jobs[Name]>;
  }

  close(): void {
    clearTimeout(this.idle);
    this.process?.kill();
    this.process = undefined;
  }

  private launch(): ChildProcess {
    const entry = fileURLToPath(
      new URL(import.meta.url.endsWith('.ts') ? './process.ts' : './work.js', import.meta.url),
    );
    const child = fork(entry, {
      execArgv: entry.endsWith('.ts') ? ['--import', 'tsx'] : [],
      serialization: 'advanced',
    });
    child.on('message', (answer: JobAnswer) => this.settle(answer));
    child.once('exit', (code, signal) => {
      if (this.process === child) this.process = undefined;
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
    this.waiting.delete(answer.id);
    if ('error' in answer) waiting?.reject(answer.forPeople ? new UserError(answer.error) : new Error(answer.error));
    else waiting?.resolve(answer.result as never);
    if (this.waiting.size === 0) this.idle = setTimeout(() => this.close(), IDLE_MS).unref();
  }
}

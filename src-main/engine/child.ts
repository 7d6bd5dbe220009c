import { fork } from 'node:child_process';
import type { Readable } from 'node:stream';
import { loaderOf } from './entry.ts';

/** How a process ended. */
export interface ChildExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** the end of its error output, where that is kept */
  said: string;
}

/** A process that this one started, and the line to it (port.ts is the other end). */
export interface Child {
  readonly processId: number | undefined;
  /** a structured clone of the message; nothing once the process is gone */
  send(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  onExit(listener: (exit: ChildExit) => void): void;
  /** default SIGTERM */
  kill(signal?: NodeJS.Signals): void;
}

export interface LaunchOptions {
  /** keeps the end of its error output, to explain a crash; else that goes where this process's own goes */
  keepErrors?: boolean;
}

/** Starts a module of ours in a process of its own. */
export type Launch = (entry: string, options?: LaunchOptions) => Child;

/** As a process of Node's. */
export const forked: Launch = (entry, { keepErrors = false } = {}) => {
  const child = fork(entry, {
    execArgv: loaderOf(entry),
    serialization: 'advanced',
    stdio: keepErrors ? ['ignore', 'ignore', 'pipe', 'ipc'] : ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const said = keepErrors ? endOf(child.stderr!) : () => '';
  // Without a listener one that could not be started, or ended, or sent to, would end this process, too.
  child.on('error', () => {});
  return {
    processId: child.pid,
    send: (message) => {
      if (child.connected) child.send(message as object, () => {});
    },
    onMessage: (listener) => child.on('message', listener),
    onExit(listener) {
      child.once('error', ({ message }) => listener({ code: null, signal: null, said: message }));
      child.once('close', (code, signal) => listener({ code, signal, said: said() }));
    },
    kill: (signal) => void child.kill(signal),
  };
};

/** So much of the end of an error output is kept, characters. */
const KEPT = 600;

/** Follows a stream; what is called gives the end of its text. */
export function endOf(stream: Readable): () => string {
  let end = '';
  stream.setEncoding('utf8').on('data', (text: string) => (end = (end + text).slice(-KEPT)));
  return () => end;
}

import type { Launch } from '../child.ts';
import { lastLine } from '../command.ts';
import type { EngineName } from '../types.ts';

const TITLES: Record<EngineName, string> = {
  tensorflow: 'TensorFlow',
  webgpu: 'WebGPU',
  wasm: 'WebAssembly',
  cpu: 'JavaScript',
};

/** What is asked of a helper process that an engine may take down. */
export interface Asking {
  engine: EngineName;
  /** its module, as entryOf finds it */
  entry: string;
  asked: object;
  launch: Launch;
  limitMs: number;
  /** ends a sentence: 'when it was tried' */
  when: string;
  /** ends the process */
  signal?: AbortSignal;
}

/**
 * Asks a helper process, and hands `take` what it says until `take` returns true: that was its last word. A driver that crashes or hangs
 * takes only that process along.
 * @returns undefined then; else why there was no last word, as a sentence
 */
export function askProcess(asking: Asking, take: (message: unknown) => boolean): Promise<string | undefined> {
  const { engine, entry, asked, launch, limitMs, when, signal } = asking;
  const title = TITLES[engine];
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve('It was cancelled');
    const child = launch(entry, { keepErrors: true });
    const end = (reason: string) => {
      resolve(reason);
      child.kill('SIGKILL');
    };
    const cancel = () => end('It was cancelled');
    const limit = setTimeout(() => end(`${title} gave no answer within ${limitMs / 1000} seconds ${when}`), limitMs);
    signal?.addEventListener('abort', cancel, { once: true });
    child.onMessage((message) => {
      if (!take(message)) return;
      resolve(undefined);
      child.kill();
    });
    child.onExit(({ code, signal: endedBy, said }) => {
      clearTimeout(limit);
      signal?.removeEventListener('abort', cancel);
      const last = /^\w*Error: .*$/m.exec(said)?.[0] ?? lastLine(said);
      resolve(`${title} ended (${endedBy ?? `code ${code}`}) ${when}${last ? `: ${last}` : ''}`);
    });
    child.send(asked);
  });
}

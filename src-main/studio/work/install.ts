import type { InstallEvent } from '../../../src-preload/contract/index.ts';
import type { Worker } from './worker.ts';

/** Sets an engine up in the helper process; what it says, line by line. @throws UserError when that isn't possible here */
export async function* installEngine(
  worker: Worker,
  engine: 'tensorflow',
  signal: AbortSignal | undefined,
): AsyncGenerator<InstallEvent> {
  const lines: string[] = [];
  let wake = () => {};
  let done = false;
  const finished = worker.call('install', { engine }, { signal, onLine: (line) => (lines.push(line), wake()) });
  const ended = finished.finally(() => {
    done = true;
    wake();
  });
  ended.catch(() => undefined);
  while (!done || lines.length > 0) {
    const line = lines.shift();
    if (line !== undefined) yield { line, done: false };
    else await new Promise<void>((resolve) => (wake = resolve));
  }
  await ended;
  yield { line: 'It is ready.', done: true };
}

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('a process whose parent went while it was still loading hears of it', async () => {
  const child = fork(fileURLToPath(new URL('../support/late-child.ts', import.meta.url)), [], {
    execArgv: ['--import', 'tsx'],
  });
  child.disconnect();
  const [code] = (await once(child, 'exit')) as [number];
  expect(code).toBe(7);
});

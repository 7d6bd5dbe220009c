import { fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Recipe } from '../../src-preload/contract/index.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { temporary } from '../trainer/support.ts';

const ENTRY = fileURLToPath(new URL('./host-process.ts', import.meta.url));

/** A web host in a process of its own, on a library with a tiny model that talks and rows to train it on. */
export async function startHost(name: string) {
  const folder = temporary(name);
  const model = writeTinyChatModel(path.join(folder, 'model'), { endless: true });
  const dataset = path.join(folder, 'rows.jsonl');
  const rows = Array.from({ length: 64 }, (_, n) => ({
    instruction: `What is ${n} and ${n + 1}?`,
    output: `${2 * n + 1}.`,
  }));
  fs.writeFileSync(dataset, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const child = fork(ENTRY, [folder], { execArgv: ['--import', 'tsx'] });
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  const recipe = (steps: number, engine: string): Recipe => ({
    model,
    dataset,
    method: { rank: 4, heads: 3, reducer: { ratio: 0.5, warmup: 100, interval: 50 } },
    training: {
      steps,
      batch: 4,
      sequenceLength: 64,
      learningRate: 1e-3,
      evalSplit: 8,
      evalEvery: 250,
      checkpointEvery: 250,
    },
    engine,
  });
  async function close() {
    child.disconnect();
    await once(child, 'exit');
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return { processId: child.pid!, url, model, recipe, close };
}

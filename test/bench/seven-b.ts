// npm run bench:7b: one training step of a 7B model in int4 (random weights) on one example of 512 tokens, all 7 sites, rank 8, 3
// heads, and what it took. Writes some 4.3 GB into BENCH_FOLDER (default: the system's folder for temporary files) and deletes them.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeRandomModel } from './make-7b.ts';
import { Runner } from './runner.ts';

interface Answer {
  seconds: number[];
  peakBytes: number;
  loss: number;
  openedSeconds: number;
}

const threads = Number(process.env.OMP_NUM_THREADS) || os.availableParallelism();
const folder = fs.mkdtempSync(path.join(process.env.BENCH_FOLDER ?? os.tmpdir(), 'effilora-7b-'));
try {
  const model = path.join(folder, 'random-7b.gguf');
  writeRandomModel(model);
  const step = new Runner<Answer>(
    process.execPath,
    ['--import', 'tsx', fileURLToPath(new URL('./ours-step.ts', import.meta.url))],
    { model, precision: 'bf16', rows: 1, length: 512, rank: 8, heads: 3, frozen: 0, recompute: true, threads },
  );
  const { seconds, peakBytes, loss, openedSeconds } = await step.run(1);
  step.close();
  const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(2);
  console.log(`the file ${gib(fs.statSync(model).size)} GiB, opened ${openedSeconds.toFixed(1)} s after the start`);
  console.log(`one step ${seconds[0]!.toFixed(1)} s, loss ${loss.toFixed(3)}, at most ${gib(peakBytes)} GiB resident`);
} finally {
  fs.rmSync(folder, { recursive: true });
}

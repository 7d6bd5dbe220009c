// npm run bench:generation: tokens a second of one generated text, ours in f32 and in int8 against llama.cpp (node-llama-cpp), in turn, on
// the same file and the same threads: the default model as it comes (Q4_1), and made Q8_0. Prints ratios (min, median, max over the
// rounds); BENCH_ROUNDS sets how many (default 5).
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { WRITTEN_IN } from '../../src-main/engine/products.ts';
import { resolveModel } from '../../src-main/models/open.ts';
import { runPython } from '../support/python.ts';
import { Runner } from './runner.ts';

/** What one side answers to "run N": seconds for N tokens after the first one, and for the prompt. */
interface Answer {
  seconds: number;
  /** of all threads; with OMP_NUM_THREADS=1 what else the machine does disturbs it little */
  processorSeconds: number;
  promptSeconds: number;
  peakBytes: number;
}

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const TOKENS = 128;
const threads = Number(process.env.OMP_NUM_THREADS) || os.availableParallelism();
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const spread = (values: number[]) => {
  const sorted = [...values].sort((a, b) => a - b);
  return [sorted[0]!, sorted[sorted.length >> 1]!, sorted.at(-1)!].map((value) => value.toFixed(2)).join(' / ');
};

async function compare(title: string, file: string): Promise<void> {
  const side = (script: string, more: object = {}) =>
    new Runner<Answer>(process.execPath, ['--import', 'tsx', here(script)], { file, threads, ...more });
  const theirs = side('./llama-cpp-generation.ts');
  const ours = WRITTEN_IN.map((products) => side('./ours-generation.ts', { products }));
  for (const runner of [theirs, ...ours]) await runner.run(8);
  const rounds: { theirs: Answer; ours: Answer[] }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const answers: Answer[] = [];
    for (const runner of ours) answers.push(await runner.run(TOKENS));
    rounds.push({ theirs: await theirs.run(TOKENS), ours: answers });
  }
  console.log(`${title}: times llama.cpp's speed (min / median / max of ${ROUNDS})`);
  WRITTEN_IN.forEach((products, i) => {
    const ratios = (of: (answer: Answer) => number) =>
      spread(rounds.map((round) => of(round.theirs) / of(round.ours[i]!)));
    const [a, b] = [rounds.at(-1)!.ours[i]!, rounds.at(-1)!.theirs];
    const speed = ({ seconds }: Answer) => `${(TOKENS / seconds).toFixed(0)} tokens/s`;
    console.log(
      [
        `  ${products}: tokens/s ${ratios(({ seconds }) => seconds)}, by processor time ${ratios(({ processorSeconds }) => processorSeconds)}`,
        `    prompt ${ratios(({ promptSeconds }) => promptSeconds)}; last round ours ${speed(a)}, llama.cpp ${speed(b)}`,
        `    resident memory ${(a.peakBytes / b.peakBytes).toFixed(2)} times (Node and engines counted on both sides)`,
      ].join('\n'),
    );
  });
  for (const runner of [theirs, ...ours]) runner.close();
}

const model = await resolveModel('smollm2-135m');
await compare('Q4_1 (and Q8_0 embeddings), as the default model comes', model);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-bench-'));
try {
  const eight = path.join(folder, 'q8_0.gguf');
  await runPython(here('./quantize.py'), [model, eight]);
  await compare('Q8_0', eight);
} finally {
  fs.rmSync(folder, { recursive: true });
}

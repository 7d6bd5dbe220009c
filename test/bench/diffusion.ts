import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { packagesOf, python } from '../support/python.ts';
import type { DiffusionOptions } from './options.ts';
import { Runner as Process } from './runner.ts';

interface Answer {
  seconds: number[];
  cpuSeconds: number;
  peakBytes: number;
}

type Given = Omit<DiffusionOptions, 'folder' | 'threads'>;

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const SHARED = { rank: 16, heads: 3, steps: 20, recompute: false };
const SMALL = { ...SHARED, size: 64, factor: 4, tokens: 32 };
const SD15 = { ...SHARED, size: 256, factor: 8, tokens: 77 };
/** By the models of make_pipeline.py. */
const CASES: Record<string, Given[]> = {
  small: [{ ...SMALL, work: 'train', pictures: 4 }, { ...SMALL, work: 'paint', pictures: 1 }], // prettier-ignore
  sd15: [{ ...SD15, work: 'train', pictures: 1 }, { ...SD15, work: 'paint', pictures: 1 }], // prettier-ignore
};

/**
 * A training step, and a picture in 20 steps with guidance and an adapter, against diffusers and PEFT in f32, in turn. Prints ratios of
 * seconds and of processor seconds (min / median / max), which tell more where a machine is busy. BENCH_DIFFUSION chooses models: small, sd15; default small.
 */
export async function compareDiffusion(rounds: number, threads: number): Promise<void> {
  for (const kind of (process.env.BENCH_DIFFUSION ?? 'small').split(',')) {
    const cases = CASES[kind];
    if (!cases) throw new Error(`there is no model ${kind}, there are ${Object.keys(CASES).join(', ')}`);
    const folder = fs.mkdtempSync(path.join(process.env.BENCH_FOLDER ?? os.tmpdir(), 'effilora-diffusion-'));
    try {
      await makePipeline(kind, folder);
      for (const given of cases) await compare(kind, { ...given, folder, threads }, rounds);
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  }
}

/** Writes a pipeline of random weights, of which make_pipeline.py knows the kinds. */
export async function makePipeline(kind: string, folder: string): Promise<void> {
  process.env.PYTHONPATH = await packagesOf('requirements-diffusers.txt');
  await promisify(execFile)(await python(), [here('./make_pipeline.py'), kind, folder]);
}

async function compare(kind: string, options: DiffusionOptions, rounds: number): Promise<void> {
  const ours = new Process<Answer>(process.execPath, ['--import', 'tsx', here('./ours-diffusion.ts')], options);
  const theirs = new Process<Answer>(await python(), [here('./diffusers_step.py')], options);
  const answers: [Answer, Answer][] = [];
  await ours.run(1);
  await theirs.run(1);
  for (let round = 0; round < rounds; round++) answers.push([await ours.run(3), await theirs.run(3)]);
  const ratio = (of: (answer: Answer) => number) => {
    const sorted = answers.map(([a, b]) => of(b) / of(a)).sort((a, b) => a - b);
    return [sorted[0]!, sorted[sorted.length >> 1]!, sorted.at(-1)!].map((value) => value.toFixed(2)).join(' / ');
  };
  const [a, b] = answers.at(-1)!;
  const best = ({ seconds }: Answer) => Math.min(...seconds);
  const told = (answer: Answer) => `${best(answer).toFixed(3)} s, ${(answer.peakBytes / 2 ** 20).toFixed(0)} MiB`;
  const { work, pictures, size } = options;
  console.log(
    `f32, ${kind}: ${work === 'train' ? 'a training step on' : '20 steps to'} ${pictures} x ${size} px: ${ratio(best)} times as fast as diffusers and PEFT, ` +
      `${ratio(({ cpuSeconds }) => cpuSeconds)} by processor time\n  ours ${told(a)}; the other ${told(b)}; memory ratio ${(a.peakBytes / b.peakBytes).toFixed(2)}`,
  );
  ours.close();
  theirs.close();
}

// npm run bench:plan: the plan's peak and time against the measured ones, over a grid of configurations, each in a process of its own,
// as a table. Time is calibrated by the process's own three steps after the first one; beside it stands what the calibration of the
// first configuration with these products gives for the others. Names of models (smollm2, random, pictures, diffusion) as arguments choose among them;
// of diffusion, Stable Diffusion 1.5's shape in f16, the peak alone is held to the plan.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeRandomModel } from './make-7b.ts';
import { writeSeeingModel } from './make-seeing.ts';
import { makePipeline } from './diffusion.ts';
import { measureDiffusionPlan } from './measure-diffusion-plan.ts';
import { measurePlan, type Configuration, type Measured } from './measure-plan.ts';

type Shape = Omit<Configuration, 'model'>;

const SHAPES: Record<string, Shape[]> = {
  smollm2: [
    { precision: 'f32', rows: 4, length: 128, recompute: false },
    { precision: 'f32', rows: 1, length: 128, recompute: false },
    { precision: 'f32', rows: 4, length: 256, recompute: false },
    { precision: 'f32', rows: 4, length: 256, recompute: 1 },
    { precision: 'f32', rows: 1, length: 1024, recompute: 2 },
    { precision: 'bf16', rows: 4, length: 128, recompute: false },
    { precision: 'bf16', rows: 4, length: 256, recompute: 1 },
    { precision: 'bf16', rows: 1, length: 1024, recompute: false },
  ],
  random: [
    { precision: 'f32', rows: 2, length: 256, recompute: false },
    { precision: 'f32', rows: 2, length: 256, recompute: 1 },
    { precision: 'f32', rows: 1, length: 512, recompute: 2 },
    { precision: 'bf16', rows: 4, length: 128, recompute: false },
    { precision: 'bf16', rows: 2, length: 256, recompute: 1 },
    { precision: 'bf16', rows: 1, length: 1024, recompute: 1 },
  ],
  pictures: [
    { precision: 'f32', rows: 2, length: 192, recompute: false },
    { precision: 'f32', rows: 2, length: 192, pictures: 1, recompute: false },
    { precision: 'f32', rows: 4, length: 192, pictures: 1, recompute: 1 },
    { precision: 'f32', rows: 1, length: 256, pictures: 4, recompute: false },
    { precision: 'bf16', rows: 2, length: 192, pictures: 1, recompute: false },
    { precision: 'f32', rows: 2, length: 192, pictures: 1, tower: true, recompute: false },
    { precision: 'f32', rows: 2, length: 192, pictures: 1, tower: true, recompute: 1 },
  ],
};
/** A tower of 65 million parameters before SmolLM2-135M: 36 tokens a picture. */
const TOWER = { hidden: 768, inner: 3072, layers: 8, heads: 12, imageSize: 384, patchSize: 16, scale: 4 };
/** A second family's shapes, half as deep as a 0.5B model; its weights are random, in Q4_0. */
const RANDOM = { layers: 12, hidden: 896, inner: 4864, heads: 14, keyValueHeads: 2, vocabulary: 32768 };

/** Pixels a side, pictures a step, and whether transformer blocks are computed again. */
const DIFFUSION: [size: number, pictures: number, recompute: boolean][] = [
  [256, 1, false],
  [256, 1, true],
  [256, 4, false],
  [512, 1, false],
  [512, 1, true],
];

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
const percent = (share: number) => `${share < 0 ? '-' : '+'}${Math.abs(100 * share).toFixed(1)} %`;
/** FLOPs a second by products, as the first configuration of a model and products has them. */
const reached = new Map<string, number>();

function row(name: string, shape: Shape, { plannedBytes, peakBytes, seconds, calibrated, flops }: Measured): string {
  const key = `${name} ${shape.precision}`;
  const speed = reached.get(key) ?? flops / calibrated;
  reached.set(key, speed);
  return [
    ...[
      shape.pictures ? `${name} (${shape.pictures} a row${shape.tower ? ', tower adapted' : ''})` : name,
      shape.precision,
      shape.length,
      shape.rows,
      Number(shape.recompute),
    ],
    ...[megabytes(plannedBytes), megabytes(peakBytes), percent(plannedBytes / peakBytes - 1)],
    ...[
      calibrated.toFixed(2),
      seconds.toFixed(2),
      percent(calibrated / seconds - 1),
      percent(flops / speed / seconds - 1),
    ],
  ].join(' | ');
}

async function diffusionRows(folder: string): Promise<void> {
  await makePipeline('sd15', folder);
  console.log('\n| pixels a side | pictures | blocks recomputed | planned MB | measured MB | error |');
  console.log(`|${' --- |'.repeat(6)}`);
  for (const [size, pictures, recompute] of DIFFUSION) {
    const { plannedBytes, peakBytes } = await measureDiffusionPlan({ folder, size, pictures, recompute, factor: 8, tokens: 77 }); // prettier-ignore
    const error = percent(plannedBytes / peakBytes - 1);
    console.log(`| ${[size, pictures, recompute, megabytes(plannedBytes), megabytes(peakBytes), error].join(' | ')} |`);
  }
}

const folder = fs.mkdtempSync(path.join(process.env.BENCH_FOLDER ?? os.tmpdir(), 'effilora-plan-'));
try {
  const chosen = process.argv.length > 2 ? process.argv.slice(2) : [...Object.keys(SHAPES), 'diffusion'];
  const random = path.join(folder, 'random.gguf');
  if (chosen.includes('random')) writeRandomModel(random, RANDOM);
  const seeing = path.join(folder, 'seeing');
  if (chosen.includes('pictures')) writeSeeingModel(seeing, TOWER);
  const ofText = chosen.filter((name) => name in SHAPES);
  if (ofText.length > 0)
    console.log(
      '| model | products | tokens a row | rows | blocks recomputed together | planned MB | measured MB | error | planned s a step | measured s | error | by the first row |',
    );
  if (ofText.length > 0) console.log(`|${' --- |'.repeat(12)}`);
  for (const name of ofText)
    for (const shape of SHAPES[name]!) {
      const model = { random, pictures: seeing }[name] ?? 'smollm2-135m';
      console.log(`| ${row(name, shape, await measurePlan({ model, ...shape }))} |`);
    }
  if (chosen.includes('diffusion')) await diffusionRows(path.join(folder, 'diffusion'));
} finally {
  fs.rmSync(folder, { recursive: true });
}

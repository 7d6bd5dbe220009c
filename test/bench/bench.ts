// npm run bench: our training step against PEFT's, in turn, on SmolLM2-135M's shapes, 4 x 256 tokens, all 7 sites: EffiLoRA as a plan
// proposes it (one head of rank 32, which trains fewer numbers) and LoRA of rank 16.
// Prints seconds a step and ratios (min, median, max over the rounds); BENCH_ROUNDS sets how many (default 3). Names as arguments choose:
// diffusion (a UNet's step and a picture), pictures (a tower before it and one picture a row), f32, bf16 (also with -checkpointing or -compiled: PEFT's), int8 (against f32, and PEFT's best in f32; int8-bf16: in any; int8-1b: likewise, of a 1B model's shapes in Q8_0 and Q4_K, one row), product (one alone, int8 against f32), frozen (heads), prefix (whole layers), weights (formats of ours), sequence (peak by length).
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { python } from '../support/python.ts';
import { compareDiffusion } from './diffusion.ts';
import { writeRandomModel, type RandomFormat } from './make-7b.ts';
import { IMAGE_TOKEN, pictureTokens, writeSeeingModel, type TowerShapes } from './make-seeing.ts';
import type { OurOptions, PeerOptions } from './options.ts';
import type { ProductAnswer } from './ours-product.ts';
import { Runner as Process } from './runner.ts';
import { configOfPeer, ONE_B } from './webgpu-peer.ts';

interface Answer {
  seconds: number[];
  peakBytes: number;
  /** of ours, resident before the first step */
  loadedBytes?: number;
  firstStepSeconds?: number;
  productGflops?: number;
}

type Runner = Process<Answer>;

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const STEPS = 3;
const threads = Number(process.env.OMP_NUM_THREADS) || os.availableParallelism();
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const file = await openTextModel(await resolveModel('smollm2-135m'));
const shapes = configOfPeer(file.config);
await file.close();
const batch = {
  ...{ rows: Number(process.env.BENCH_ROWS ?? 4), length: Number(process.env.BENCH_LENGTH ?? 256) },
  ...{ rank: 16, threads },
};
const tokens = batch.rows * batch.length;

const ours = (options: Partial<OurOptions>) =>
  new Process<Answer>(process.execPath, ['--import', 'tsx', here('./ours-step.ts')], {
    ...{ model: 'smollm2-135m', precision: 'f32', frozen: 0, recompute: false },
    ...batch,
    ...{ heads: 1, rank: 32 },
    ...options,
  });
const peer = async (options: Partial<PeerOptions>) =>
  new Process<Answer>(await python(), [here('./peft_step.py')], {
    ...{ config: shapes, precision: 'f32', checkpointing: false, compile: false },
    ...batch,
    ...options,
  });

const bareProduct = ({ productGflops: speed }: Answer) =>
  speed ? `, its bare product ${speed.toFixed(0)} GFLOPS` : '';
const best = (answer: Answer) => Math.min(...answer.seconds);
const sorted = (values: number[]) => [...values].sort((a, b) => a - b);
const median = (values: number[]) => sorted(values)[values.length >> 1]!;
const spread = (values: number[]) => {
  return [sorted(values)[0]!, median(values), sorted(values).at(-1)!].map((value) => value.toFixed(2)).join(' / ');
};

/** Runs two sides in turn and prints what the first makes of the second: above 1, it is faster. */
async function compare(title: string, first: Runner, second: Runner, withLimit = true): Promise<void> {
  const begun = await first.run(2);
  await second.run(2);
  const ratios: number[] = [];
  let last: [Answer, Answer] | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    last = [await first.run(STEPS), await second.run(STEPS)];
    ratios.push(best(last[1]) / best(last[0]));
  }
  const [a, b] = last!;
  const speed = (answer: Answer) =>
    `${(tokens / best(answer)).toFixed(0)} tokens/s, ${(answer.peakBytes / 2 ** 20).toFixed(0)} MiB`;
  const lines = [`${title}: ${spread(ratios)} times as fast (min / median / max)`];
  lines.push(
    `  ours ${speed(a)}, first step ${begun.firstStepSeconds?.toFixed(1)} s after the start; the other ${speed(b)}`,
  );
  lines.push(`  memory ratio ${(a.peakBytes / b.peakBytes).toFixed(2)}`);
  if (b.productGflops && withLimit) {
    const parameters = 134.5e6;
    const limit = (b.productGflops * 1e9) / (4 * parameters);
    lines.push(
      `  bare product ${b.productGflops.toFixed(0)} GFLOPS; share of that limit ${(tokens / best(a) / limit).toFixed(2)}`,
    );
  }
  console.log(lines.join('\n'));
  first.close();
  second.close();
}

/** Peak of one step of equal tokens in rows of 512 and of 4096. */
async function compareLengths(recompute: boolean): Promise<void> {
  const peak = async (rows: number, length: number) => {
    const runner = ours({ rows, length, recompute });
    const { peakBytes } = await runner.run(1);
    runner.close();
    return peakBytes;
  };
  const [short, long] = [await peak(8, 512), await peak(1, 4096)];
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  console.log(
    `1 x 4096 tokens against 8 x 512, ${recompute ? 'blocks computed again' : 'nothing computed again'}: ` +
      `${(long / short).toFixed(2)} times the peak (${mebibytes(long)} and ${mebibytes(short)})`,
  );
}

/** torch.compile needs a compiler and supports not every version of Python: where it doesn't work, that is what there is to say. */
async function compareCompiled(precision: 'f32' | 'bf16'): Promise<void> {
  const compiled = await peer({ precision, compile: true });
  try {
    await compare(`${precision} against PEFT with torch.compile`, ours({ precision }), compiled);
  } catch (error) {
    console.log(`${precision} against PEFT with torch.compile: it does not work here (${(error as Error).message})`);
  }
}

/** SmolVLM-256M's tower, 93 million parameters, at 384 pixels instead of 512: 36 tokens a picture. */
const TOWER: TowerShapes = { hidden: 768, inner: 3072, layers: 12, heads: 12, imageSize: 384, patchSize: 16, scale: 4 };
/** That it runs at all. */
const SMALL: TowerShapes = { hidden: 64, inner: 128, layers: 2, heads: 2, imageSize: 64, patchSize: 8, scale: 4 };

/** A step on one picture a row, the tower frozen, adapters in the language model alone. */
async function comparePictures(): Promise<void> {
  const shapes = process.env.BENCH_TOWER === 'small' ? SMALL : TOWER;
  const folder = fs.mkdtempSync(path.join(process.env.BENCH_FOLDER ?? os.tmpdir(), 'effilora-seeing-'));
  const vision = {
    config: {
      ...{ hidden_size: shapes.hidden, intermediate_size: shapes.inner, num_hidden_layers: shapes.layers },
      ...{ num_attention_heads: shapes.heads, image_size: shapes.imageSize, patch_size: shapes.patchSize },
    },
    ...{ scale: shapes.scale, imageToken: IMAGE_TOKEN, pictures: 1, tokensAPicture: pictureTokens(shapes) },
  };
  try {
    const model = writeSeeingModel(folder, shapes);
    for (const precision of PRECISIONS)
      for (const freshPictures of [false, true])
        await compare(
          `${precision} on pictures ${freshPictures ? 'never seen before' : 'seen before'} against PEFT`,
          ours({ model, precision, pictures: 1, freshPictures }),
          await peer({ precision, vision }),
          false,
        );
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** Steps with whole layers frozen and with none; and what a step takes beside the loaded model, of runs that go on with them frozen. */
async function comparePrefix(): Promise<void> {
  const prefix = { frozen: 0.6, policy: 'prefix' } as const;
  await compare('60 % frozen by whole layers against none', ours(prefix), ours({}));
  const beside = async (options: Partial<OurOptions>) => {
    const runner = ours(options);
    const { peakBytes, loadedBytes } = await runner.run(2);
    runner.close();
    return peakBytes - loadedBytes!;
  };
  const [some, none] = [await beside({ ...prefix, frozenBefore: true }), await beside({})];
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  console.log(
    `  frozen from the first step on, steps take ${mebibytes(some)} beside the loaded model, with none ${mebibytes(none)}: ${(some / none).toFixed(2)}`,
  );
}

/** One product alone, 1024 x 576 by 576 x 1536 and its gradient, in integers and in f32, each in turn in one process. */
async function compareProducts(): Promise<void> {
  const runner = new Process<ProductAnswer>(process.execPath, ['--import', 'tsx', here('./ours-product.ts')], { threads }); // prettier-ignore
  for (let round = 0; round < ROUNDS; round++) {
    const { products } = await runner.run(20);
    for (const { name, gigaflops, f32, int8 } of products)
      console.log(
        `${name}: int8 ${(gigaflops / int8).toFixed(0)} G operations/s, f32 ${(gigaflops / f32).toFixed(0)}: ${(f32 / int8).toFixed(2)} times as fast`,
      );
  }
  runner.close();
}

/**
 * Our int8 step in turn with our f32 step, then with PEFT's, eager and compiled, as far as that works here, and which of those is quickest.
 * @param of another model than SmolLM2-135M: our side's, and the other's
 */
async function compareIntegers(
  precisions: ('f32' | 'bf16')[],
  of: { mine?: Partial<OurOptions>; other?: Partial<PeerOptions> } = {},
): Promise<void> {
  const rows = of.mine?.rows ?? batch.rows;
  const tokens = rows * batch.length;
  const sides = [{ name: 'ours in f32', open: async () => ours({ ...of.mine }) }];
  for (const precision of precisions)
    for (const compile of [false, true])
      sides.push({
        name: `PEFT in ${precision}${compile ? ', torch.compile' : ''}`,
        open: () => peer({ precision, compile, ...of.other }),
      });
  const mine = ours({ precision: 'int8', ...of.mine });
  await mine.run(2);
  const speed = (seconds: number, { peakBytes }: Answer) =>
    `${(tokens / seconds).toFixed(0)} tokens/s, ${(peakBytes / 2 ** 20).toFixed(0)} MiB`;
  let quickest: { name: string; ratios: number[] } | undefined;
  // One other side at a time: all at once would not fit into memory.
  for (const { name, open } of sides) {
    const runner = await open();
    try {
      await runner.run(2);
      const pairs: [Answer, Answer][] = [];
      for (let round = 0; round < ROUNDS; round++) pairs.push([await mine.run(STEPS), await runner.run(STEPS)]);
      const ratios = pairs.map(([own, other]) => best(other) / best(own));
      const [own, other] = pairs.at(-1)!;
      console.log(`int8 against ${name}: ${spread(ratios)} times as fast (min / median / max); ours ${speed(best(own), own)}, the other ${speed(best(other), other)}${bareProduct(other)}`); // prettier-ignore
      if (name.startsWith('PEFT') && !(quickest && median(quickest.ratios) < median(ratios)))
        quickest = { name, ratios };
    } catch (error) {
      console.log(`${name} does not work here (${(error as Error).message})`);
    }
    runner.close();
  }
  if (quickest) console.log(`  at its best it is ${quickest.name}: ${spread(quickest.ratios)}`);
  mine.close();
}

/** A 1B model with random weights, one row. */
async function compareBillion(): Promise<void> {
  const folder = fs.mkdtempSync(path.join(process.env.BENCH_FOLDER ?? os.tmpdir(), 'effilora-1b-'));
  const config = { ...ONE_B, tiedEmbeddings: false };
  const { layers, hiddenSize: hidden, intermediateSize: inner, attentionHeads: heads, keyValueHeads } = config;
  const shapes = { layers, hidden, inner, heads, keyValueHeads, vocabulary: config.vocabularySize };
  try {
    for (const format of ['q8_0', 'q4_k'] satisfies RandomFormat[]) {
      const model = path.join(folder, `${format}.gguf`);
      writeRandomModel(model, shapes, format);
      console.log(`a 1B model in ${format}`);
      await compareIntegers(['f32', 'bf16'], {
        mine: { model, rows: 1 },
        other: { config: configOfPeer(config), rows: 1 },
      });
      fs.rmSync(model);
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

const PRECISIONS = ['f32', 'bf16'] as const;
const benches: [string, () => Promise<void>][] = [
  ...PRECISIONS.flatMap((precision): [string, () => Promise<void>][] => [
    [precision, async () => compare(`${precision} against PEFT`, ours({ precision }), await peer({ precision }))],
    [
      `${precision}-checkpointing`,
      async () =>
        compare(
          `${precision}, blocks computed again, against PEFT with checkpointing`,
          ours({ precision, recompute: true }),
          await peer({ precision, checkpointing: true }),
        ),
    ],
    [`${precision}-compiled`, () => compareCompiled(precision)],
  ]),
  ['int8', () => compareIntegers(['f32'])],
  ['int8-bf16', () => compareIntegers(['f32', 'bf16'])],
  ['int8-1b', compareBillion],
  ['product', compareProducts],
  ['frozen', () => compare('60 % of the heads frozen against none', ours({ frozen: 0.6 }), ours({}))],
  ['prefix', comparePrefix],
  [
    'weights',
    async () => {
      for (const weights of ['f32', 'bf16', 'int8', 'int4'] as const)
        await compare(`weights in ${weights} against the file's Q4_1`, ours({ weights }), ours({}));
    },
  ],
  ['pictures', comparePictures],
  ['diffusion', () => compareDiffusion(ROUNDS, threads)],
  [
    'sequence',
    async () => {
      for (const recompute of [false, true]) await compareLengths(recompute);
    },
  ],
];
const chosen = process.argv.slice(2);
const names = benches.map(([name]) => name);
const unknown = chosen.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}; there are ${names.join(', ')}`);
  process.exit(1);
}
for (const [name, run] of benches) if (chosen.length === 0 || chosen.includes(name)) await run();

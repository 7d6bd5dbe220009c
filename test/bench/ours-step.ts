// Our side of the benchmark, in a process of its own. Reads one JSON line of options, answers "run N" lines with N steps' seconds.
import { createInterface } from 'node:readline';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { headsPerSite } from '../../src-main/effilora/methods/structure.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import type { ModelFile, TokenBatch } from '../../src-main/models/types.ts';
import type { PictureBatch } from '../../src-main/models/vision/vision-language.ts';
import { featuresOf, type EncoderConfig } from '../../src-main/models/vision/towers/config.ts';
import { taskOf } from '../../src-main/tasks/registry.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { adapterStructure, type OurOptions } from './options.ts';

const started = performance.now();
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const options = JSON.parse((await lines.next()).value as string) as OurOptions;
process.env.OMP_NUM_THREADS = String(options.threads);
await openEngine('tensorflow');
const file = await openTextModel(await resolveModel(options.model));
const task = taskOf(file);
const model = await task.load(file, options.weights);
const isOfTower = ({ site }: { site: string }) => site.startsWith('tower.');
const structure = adapterStructure(options, options.tower ? model.sites().filter(isOfTower) : []);
const adapter = new Adapter(model.sites(), structure, 1);
const optimizer = new AdamW(adapter.trainables, { ...ADAMW_DEFAULTS, clipNorm: 0 });
const reducer = new Reducer(adapter.heads, headsPerSite(structure), {
  ratio: options.frozen,
  warmup: 1,
  interval: 1_000_000,
  beta: 0.85,
  policy: options.policy ?? 'topk',
  importanceAtMost: 1,
  temperature: 1,
  schedule: 'step',
  probe: false,
  minActivePerSite: 0,
  seed: 1,
});
const step = new TrainingStep(task.objective(model), adapter, optimizer, reducer, {
  routerShare: false,
  recompute: options.recompute,
  seed: 1,
  precision: options.precision,
  warn: (line) => process.stderr.write(`${line}\n`),
});

/** Tokens up to here no text is made of: a model that takes pictures has their token among them. */
const RESERVED = 17;

/** The same tokens every step: any token of the vocabulary, a label at each. */
function batch(): TokenBatch {
  const tokens = options.rows * options.length;
  const count = file.config.vocabularySize - RESERVED;
  const inputIds = Int32Array.from({ length: tokens }, (_, t) => RESERVED + ((t * 7919 + 13) % count));
  const text = {
    rows: options.rows,
    length: options.length,
    inputIds,
    labels: inputIds,
    positions: Int32Array.from(inputIds, (_, t) => t % options.length),
    segments: new Int32Array(tokens),
  };
  return file.sees ? withPictures(text, file.sees) : text;
}

/** Noise as pictures at the beginning of each row; their tokens have no label. */
function withPictures(text: TokenBatch, { config, imageToken }: NonNullable<ModelFile['sees']>): PictureBatch {
  const { imageSize, patchSize } = config.tower as EncoderConfig;
  const side = imageSize / patchSize;
  const pictures = options.pictures ?? 0;
  const grids = Array.from({ length: options.rows * pictures }, () => ({ rows: side, columns: side }));
  const seen = pictures * featuresOf({ rows: side, columns: side }, config);
  const ofPicture = (t: number) => t % text.length < seen;
  const inputIds = text.inputIds.map((id, t) => (ofPicture(t) ? imageToken : id));
  const labels = text.labels.map((id, t) => (ofPicture(t) ? -100 : id));
  const numbers = side ** 2 * 3 * patchSize ** 2;
  const patches = new Float32Array(grids.length * numbers).map((_, i) => ((i * 7919) % 511) / 255 - 1);
  if (options.freshPictures) grids.forEach((_, picture) => (patches[picture * numbers] = Math.random()));
  return { ...text, inputIds, labels, patches, grids };
}

if (options.frozenBefore) reducer.select(1);
const loadedBytes = process.memoryUsage.rss();
let count = 0;
let firstStepSeconds = 0;
for await (const line of lines) {
  const seconds: number[] = [];
  let loss = NaN;
  const { user, system } = process.cpuUsage();
  const steps = Number(line.split(' ')[1]);
  for (let n = steps; n > 0; n--) {
    const start = performance.now();
    ({ loss } = await step.run(++count, [batch()], 1e-4));
    seconds.push((performance.now() - start) / 1000);
    // from the process's start: performance counts from there
    if (count === 1) firstStepSeconds = performance.now() / 1000;
  }
  const used = process.cpuUsage({ user, system });
  const cpuSeconds = (used.user + used.system) / 1e6 / steps;
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  const openedSeconds = started / 1000;
  process.stdout.write(
    `${JSON.stringify({ seconds, cpuSeconds, peakBytes, loss, firstStepSeconds, openedSeconds, loadedBytes })}\n`,
  );
}
process.exit(0);

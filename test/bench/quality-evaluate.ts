// Measures one adapter of the quality benchmark: `quality-evaluate.ts MODEL TEST,TEST,... FOLDER [drop]`; the folder `-` stands for the
// base model. Prints one JSON line, a `Measurement`; with `drop`, one for each of the two orders of dropping, `Drops`.
import path from 'node:path';
import { readDataset } from '../../src-main/data/dataset.ts';
import { languageOf } from '../../src-main/models/conversant.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { openForRunning } from '../../src-main/trainer/opened-model.ts';
import { meanLoss } from '../../src-main/tasks/language/evaluation.ts';
import { dropCurve, type DropOrder } from '../../src-main/trainer/drop.ts';
import { SEQUENCE_LENGTH, type Measurement } from './quality-runs.ts';
import type { Drops } from './quality-tables.ts';
import { sizeOf } from './study.ts';

const DROP_RATIOS = [0, 0.1, 0.3, 0.5, 0.7];
/** Examples of each set that a drop curve is measured on. */
const DROP_EXAMPLES = 40;

const [reference, tests, folder, what] = process.argv.slice(2) as [string, string, string, string?];
const adapterFolder = folder === '-' ? undefined : folder;
const opened = await openForRunning(
  { model: reference, engine: 'tensorflow', ...(adapterFolder && { adapter: adapterFolder }) },
  () => {},
);
const [file, model, adapter] = [opened.file, languageOf(opened.model), opened.adapter];
const options = {
  loss: 'answer',
  sequenceLength: SEQUENCE_LENGTH,
  vocabularySize: file.config.vocabularySize,
} as const;
const datasets = await Promise.all(tests.split(',').map((test, index) => readDataset({ path: test }, index, options)));
const sets = datasets.map(({ source, examples }) => ({ set: path.basename(source.path).split('.')[0]!, examples }));
const stored = adapterFolder === undefined ? undefined : await readAdapter(adapterFolder);

async function measure(): Promise<Measurement> {
  const losses: Record<string, number> = {};
  for (const { set, examples } of sets) losses[set] = (await meanLoss(model, examples, adapter)).loss;
  if (!adapter) return { losses, parameters: 0, trained: 0 };
  return { losses, ...sizeOf(adapter, stored!) };
}

async function drops(order: DropOrder): Promise<Omit<Drops, 'run'>> {
  const points: Drops['points'] = [];
  for (const { set, examples } of sets) {
    const few = examples.slice(0, DROP_EXAMPLES);
    const curve = await dropCurve(() => meanLoss(model, few, adapter), adapter!, stored!.description, DROP_RATIOS, {
      order,
    });
    points.push(...curve.map((point) => ({ ...point, set })));
  }
  return { by: order.by, points };
}

if (what === 'drop')
  for (const order of [{ by: 'importance' }, { by: 'random', seed: 0 }] as const)
    console.log(JSON.stringify(await drops(order)));
else console.log(JSON.stringify(await measure()));
process.exit(0);

// Measures a finished run's drop curves on SmolLM2-135M: `paper-drops.ts RUN TEST,TEST,...`. Prints one JSON line, a `Drops`.
import path from 'node:path';
import { readDataset } from '../../src-main/data/dataset.ts';
import { languageOf } from '../../src-main/models/conversant.ts';
import { readingOptions } from '../../src-main/data/reading-options.ts';
import { meanLoss } from '../../src-main/tasks/language/evaluation.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { openForRunning } from '../../src-main/trainer/opened-model.ts';
import { dropCurve, type DropOrder } from '../../src-main/trainer/drop.ts';

/** Drop curves on one set. */
export interface Drops {
  set: string;
  examples: number;
  curves: { by: string; points: { ratio: number; loss: number }[] }[];
}

const RATIOS = [0, 0.3, 0.5, 0.7, 1];
const SEEDS = [1];
/** Of each set. */
const EXAMPLES = 16;

const [run, tests] = process.argv.slice(2) as [string, string];
const { description } = await readAdapter(run);
const { model: reference } = description.recipe as { model: string };
const opened = await openForRunning({ model: reference, adapter: run, engine: 'tensorflow' }, () => {});
const [file, model, adapter] = [opened.file, languageOf(opened.model), opened.adapter!];
for (const [index, test] of tests.split(',').entries()) {
  const dataset = await readDataset({ path: path.resolve(test) }, index, {
    ...readingOptions(file),
    sequenceLength: 256,
  });
  const examples = dataset.examples.slice(0, EXAMPLES);
  const along = (ratios: number[], order: DropOrder) =>
    dropCurve(() => meanLoss(model, examples, adapter), adapter, description, ratios, { order });
  const told = (points: { ratio: number; loss: number }[]) => points.map(({ ratio, loss }) => ({ ratio, loss }));
  const byImportance = told(await along(RATIOS, { by: 'importance' }));
  // With none and with all left out every order is the same.
  const ends = byImportance.filter(({ ratio }) => ratio === 0 || ratio === 1);
  const curves: Drops['curves'] = [{ by: 'importance', points: byImportance }];
  for (const seed of SEEDS) {
    const inner = told(await along(RATIOS.slice(1, -1), { by: 'random', seed }));
    curves.push({ by: `random ${seed}`, points: [ends[0]!, ...inner, ends[1]!] });
  }
  const set = path.basename(test).split('.')[0]!;
  console.log(JSON.stringify({ set, examples: examples.length, curves } satisfies Drops));
}
process.exit(0);

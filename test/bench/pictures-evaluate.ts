// Measures one adapter of the study on pictures: `pictures-evaluate.ts TABLE,TABLE,... FOLDER`; the folder `-` stands for the base
// model. Prints one JSON line, a `PicturesMeasurement`.
import { readingOptions } from '../../src-main/data/reading-options.ts';
import { openForRunning } from '../../src-main/trainer/opened-model.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { taskOf } from '../../src-main/tasks/registry.ts';
import { MODEL, QUESTIONS, type PicturesMeasurement } from './pictures-runs.ts';
import { sizeOf } from './study.ts';

const [tables, folder] = process.argv.slice(2) as [string, string];
const adapterFolder = folder === '-' ? undefined : folder;
const { file, model, adapter } = await openForRunning(
  { model: MODEL, engine: 'tensorflow', ...(adapterFolder && { adapter: adapterFolder }) },
  () => {},
);
const task = taskOf(file);
const right: PicturesMeasurement['right'] = [];
for (const [index, path] of tables.split(',').entries()) {
  const { examples, close } = await task.dataset({ path }, index, file, readingOptions(file));
  const asked = Array.from({ length: Math.min(QUESTIONS, examples.count) }, (_, i) => examples.read(i));
  const answered = await task.choices.toTheLetter(model, asked, adapter);
  right.push({ of: asked.length, right: answered.filter(Boolean).length });
  close();
}
const size = adapter ? sizeOf(adapter, await readAdapter(folder)) : { parameters: 0, trained: 0 };
console.log(JSON.stringify({ right, ...size } satisfies PicturesMeasurement));
process.exit(0);

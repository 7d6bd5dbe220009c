// PEFT's LoRA on the quality benchmark's examples, in the order in which ours sees them: `quality-peft.ts RECIPE TEST,TEST,...`.
// Prints one JSON line: the held-out losses by set.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { readDataset } from '../../src-main/data/dataset.ts';
import { DataOrder } from '../../src-main/data/order.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { runPython } from '../support/python.ts';

const [file, tests] = process.argv.slice(2) as [string, string];
const { dataset, model, training } = parseRecipe(await fs.readFile(file, 'utf8'), file);
const gguf = await resolveModel(model);
const { config } = await openTextModel(gguf);
const options = { loss: training.loss, sequenceLength: training.sequenceLength, vocabularySize: config.vocabularySize };

interface Example {
  inputIds: number[];
  labels: number[];
}
const examplesOf = async (source: string): Promise<Example[]> =>
  (await readDataset({ path: source }, 0, options)).examples.map(({ inputIds, labels }) => ({
    inputIds: [...inputIds],
    labels: [...labels],
  }));

const sources = await Promise.all(dataset.map((one) => examplesOf(one.path)));
const all = sources.flat();
const weights = dataset.map(({ weight }) => weight);
const order = new DataOrder(
  sources.map(({ length }) => length),
  weights,
  training.seed,
  training.shuffle,
);
const steps = Array.from({ length: training.steps! }, () => order.next(training.batch).map((index) => all[index]!));
const sets: Record<string, Example[]> = {};
for (const test of tests.split(',')) sets[path.basename(test).split('.')[0]!] = await examplesOf(test);

const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'effilora-peft-'));
const job = path.join(folder, 'job.json');
await fs.writeFile(job, JSON.stringify({ gguf, learningRate: training.learningRate, steps, sets }));
console.log((await runPython(path.join(import.meta.dirname, 'quality-peft.py'), [job])).trim());
await fs.rm(folder, { recursive: true });
process.exit(0);

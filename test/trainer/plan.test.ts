import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { sizesOf } from '../../src-main/data/example-source.ts';
import { memoryPlan } from '../../src-main/effilora/memory-plan.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { modelFacts, runShape } from '../../src-main/tasks/text-plan.ts';
import { engineFacts } from '../../src-main/trainer/engine-facts.ts';
import { adapterOptions } from '../../src-main/recipe/vision.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { readRunData } from '../../src-main/tasks/language/examples.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { temporary } from './support.ts';

/** Peak of a process's resident memory so far, bytes; 0 once it has ended. */
function peakBytes(processId: number): number {
  const place = `/proc/${processId}/status`;
  const status = fs.existsSync(place) ? fs.readFileSync(place, 'utf8') : '';
  return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0);
}

/** Questions and answers of some words, all of about one length. */
function writeExamples(folder: string, words: number): string {
  const text = (k: number, count: number) =>
    Array.from({ length: count }, (_, i) => ['red', 'blue', 'green', 'large', 'small'][(k * 7 + i * i) % 5]).join(' ');
  const lines = Array.from({ length: 60 }, (_, k) =>
    JSON.stringify({ prompt: `Go on: ${text(k, words)}`, completion: ` ${text(k + 1, words >> 1)}` }),
  );
  const file = path.join(folder, 'examples.jsonl');
  fs.writeFileSync(file, lines.join('\n'));
  return file;
}

const work = temporary('plan');

function recipeFile(words: number, training: object): string {
  const folder = fs.mkdtempSync(path.join(work, 'run-'));
  const recipe = {
    model: 'smollm2-135m',
    dataset: writeExamples(folder, words),
    method: { rank: 16, heads: 3 },
    training: {
      // an evaluation, a step, a checkpoint, and each of them once more behind the others
      ...{ steps: 2, sequenceLength: 512, evalSplit: 3, evalEvery: 2, samples: 0, checkpointEvery: 1 },
      ...training,
    },
    engine: 'tensorflow',
  };
  const file = path.join(folder, 'recipe-in.yaml');
  fs.writeFileSync(file, stringify(recipe));
  return file;
}

async function plannedBytes(place: string): Promise<number> {
  const recipe = parseRecipe(fs.readFileSync(place, 'utf8'), place);
  const file = await openTextModel(await resolveModel(recipe.model));
  const data = await readRunData(recipe, file);
  const engine = engineFacts({ name: 'tensorflow', kind: 'cpu' }, recipe.training.precision);
  const lengths = sizesOf(data.train);
  data.close();
  const shape = runShape(recipe, adapterOptions(recipe), lengths, engine);
  await file.close();
  return memoryPlan(modelFacts(file), engine, shape).total;
}

// a run as people start them: it trains, evaluates and writes checkpoints; the first one answers, too
it.skipIf(process.platform !== 'linux').each([
  ['short examples', 15, { batch: 4, samples: 1 }],
  ['longer examples', 100, { batch: 2 }],
  ['longer examples in bf16', 100, { batch: 2, precision: 'bf16' }],
  ['short examples in integers', 15, { batch: 2, precision: 'int8' }],
])('predicts the peak of a whole run within 10 %%: %s', async (_, words, training) => {
  const recipe = recipeFile(words, training);
  let measured = 0;
  const trainer = startTrainer({
    recipe,
    folder: path.join(path.dirname(recipe), 'run'),
    resume: false,
    onEvent: () => (measured = Math.max(measured, peakBytes(trainer.processId!))),
  });
  expect(await trainer.ended).toMatchObject({ outcome: 'finished' });
  expect(Math.abs((await plannedBytes(recipe)) / measured - 1)).toBeLessThan(0.1);
});

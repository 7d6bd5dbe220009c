import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { closeRun, openRun } from '../../src-main/trainer/prepare.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { smallRun, temporary, withoutTime } from './support.ts';

const work = temporary('budget');

function recipeWith(memoryBytes: number | undefined, training: object = {}) {
  const budget = memoryBytes === undefined ? {} : { budget: { memoryBytes } };
  const file = smallRun(work, { training: { steps: 4, ...training }, ...budget });
  return parseRecipe(fs.readFileSync(file, 'utf8'), file);
}

it.each([
  [undefined, {}, 'auto', false],
  [64e9, {}, false, false],
  [1e6, {}, 1, true],
  [1e6, { recompute: false }, false, false],
  [64e9, { recompute: 2 }, 2, false],
] as const)('with a budget of %s bytes and %o computes %s blocks again', async (bytes, training, expected, says) => {
  const lines: string[] = [];
  const run = await openRun(recipeWith(bytes, training), (line) => lines.push(line));
  expect(run.step.options.recompute).toBe(expected);
  expect(lines.some((line) => line.startsWith('Blocks are computed again in backward'))).toBe(says);
  await closeRun(run);
});

it('trains to the same numbers either way', async () => {
  const losses = async (bytes: number) => {
    const folder = path.join(work, `run-${bytes}`);
    await train(recipeWith(bytes), folder);
    return withoutTime(path.join(folder, 'metrics.jsonl')).map((line) => (line as { loss: number }).loss);
  };
  const [whole, again] = [await losses(64e9), await losses(1e6)];
  expect(whole).toHaveLength(4);
  again.forEach((loss, i) => expect(loss).toBeCloseTo(whole[i]!, 5));
});

it('lets no more numbers train than the Reducer is allowed, as its files say from the first selection on', async () => {
  const folder = path.join(work, 'numbers');
  const most = 3_500;
  const method = { reducer: { warmup: 2, interval: 2, maxParameters: most } };
  const file = smallRun(work, { method, training: { steps: 5 } });
  await train(parseRecipe(fs.readFileSync(file, 'utf8'), file), folder);
  const { tensors } = await readAdapter(folder);
  const sizes = Object.fromEntries(tensors.map(({ name, data }) => [name, data.length]));
  const all = Object.values(sizes).reduce((sum, size) => sum + size, 0);
  expect(all).toBeGreaterThan(most);
  const lines = fs.readFileSync(path.join(folder, 'heads.jsonl'), 'utf8').trim().split('\n');
  const trained = lines.map((line) => {
    const { frozen } = JSON.parse(line) as { frozen: string[] };
    return frozen.reduce((left, name) => left - sizes[`layers.${name.replace(/\.\d+$/, '')}.B`]! / 3, all);
  });
  const largest = Math.max(...Object.entries(sizes).map(([name, size]) => (name.endsWith('.B') ? size / 3 : 0)));
  expect(trained.slice(0, 2)).toEqual([all, all]);
  for (const numbers of trained.slice(2)) {
    expect(numbers).toBeLessThanOrEqual(most);
    // No head of the largest site too many.
    expect(numbers).toBeGreaterThan(most - largest);
  }
});

it('lengthens no step beyond what the Reducer is allowed where freezing layers can help, and says what it does', async () => {
  const reducer = { warmup: 3, interval: 3, policy: 'prefix', importanceAtMost: 1, maxStepSeconds: 1e-5 };
  const file = smallRun(work, { method: { reducer }, training: { steps: 7 } });
  const folder = path.join(work, 'seconds');
  await train(parseRecipe(fs.readFileSync(file, 'utf8'), file), folder);
  const log = fs.readFileSync(path.join(folder, 'trainer.log'), 'utf8');
  expect(log).toMatch(/Step 3: a step took [\d.e-]+ s, at most 0\.00001 s are asked for; 95 % of the heads freeze/);
  expect(log).toContain('Freezing alone does not make steps shorter than that');
  const [last] = fs.readFileSync(path.join(folder, 'heads.jsonl'), 'utf8').trim().split('\n').slice(-1);
  // Of two layers with 21 heads each the lower one, and 39 of 42 in all.
  expect((JSON.parse(last!) as { frozen: string[] }).frozen).toHaveLength(39);
});

it('ends no further above its best held-out loss than the Reducer tolerates: else in the state that was best', async () => {
  const run = async (name: string, steps: number, tolerance?: number) => {
    const reducer = { ratio: 0.5, warmup: 100, ...(tolerance && { tolerance }) };
    // So high a rate that the held-out loss rises again.
    const training = { steps, evalEvery: 1, learningRate: 1, schedule: 'constant', clipNorm: 0 };
    const file = smallRun(work, { method: { reducer }, training });
    const folder = path.join(work, name);
    const { evalLoss } = await train(parseRecipe(fs.readFileSync(file, 'utf8'), file), folder);
    const losses = withoutTime(path.join(folder, 'metrics.jsonl')).map((line) => (line as { evalLoss: number }).evalLoss); // prettier-ignore
    return { evalLoss, losses, adapter: fs.readFileSync(path.join(folder, 'adapter.safetensors')).toString('base64') };
  };
  const heedless = await run('heedless', 12);
  const lowest = Math.min(...heedless.losses);
  const bestStep = heedless.losses.indexOf(lowest) + 1;
  const above = heedless.losses.at(-1)! - lowest;
  expect(above).toBeGreaterThan(0.01);
  const tolerant = await run('tolerant', 12, above / 2);
  expect(tolerant.losses).toEqual(heedless.losses);
  expect(tolerant.evalLoss).toBe(lowest);
  expect(tolerant.adapter).toBe((await run('stopped', bestStep)).adapter);
  expect((await run('tolerates more', 12, above * 2)).adapter).toBe(heedless.adapter);
});

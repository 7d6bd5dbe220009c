import fsp from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTextModel } from '../../src-main/models/open.ts';
import type { ModelFile } from '../../src-main/models/types.ts';
import { proposePlan } from '../../src-main/studio/work/plan.ts';
import { readingOptions } from '../../src-main/data/reading-options.ts';
import { different, flopsOnce, repeatsOf } from '../../src-main/effilora/seen.ts';
import { seededChoice } from '../../src-main/data/order.ts';
import { taskOf } from '../../src-main/tasks/registry.ts';
import { temporary } from '../trainer/support.ts';
import { writePictureData, writePictureModel } from './support.ts';

const work = temporary('picture-plan');
let file: ModelFile;
let data: string;
beforeAll(async () => {
  file = await openTextModel(await writePictureModel(work));
  data = await writePictureData(work);
});
afterAll(async () => {
  await file.close();
  await fsp.rm(work, { recursive: true });
});

// The tower: 16 patches of 4 x 4 pixels a tile, 2 layers of 16 numbers, 24 inside; a tile is 4 tokens of 32 numbers. Of the 16 pictures
// all are 2 x 2 tiles and the whole but the widest, 31 x 16 pixels: 2 tiles and the whole.
describe('the plan of a run on pictures', () => {
  it('counts the products of a tile by hand, and as many tiles as there are', async () => {
    const task = taskOf(file);
    const { examples, close } = await task.dataset({ path: data }, 0, file, readingOptions(file));
    const seen = task.plan.seen(file, examples)!;
    close();
    expect(seen).toMatchObject({ mean: (15 * 5 + 3) / 16, most: 5 });
    const layer = 4 * 16 * 16 + 2 * 16 * 24;
    const products = 16 * (3 * 4 * 4 * 16 + 2 * layer) + 4 * (4 * 16 * 32);
    const attention = 2 * (2 * 16 * 16 * 16) * 2;
    expect(seen.flops).toBe(2 * products + attention);
    // Four colours, of which each picture has its own width: all are different ones.
    expect(seen).toMatchObject({ examples: 16, repeats: expect.closeTo(1, 6) as number });
    const method = { targets: ['q_proj'] };
    expect(flopsOnce(seen, method, 1000, 0)).toBeCloseTo(78 * seen.flops, 0);
    expect(flopsOnce(seen, method, 8, 4)).toBeCloseTo((8 + 4) * (78 / 16) * seen.flops, 0);
    expect(flopsOnce(seen, { targets: ['q_proj', 'connector.proj'] }, 1000, 0)).toBe(0);
  });

  it.each([
    [450, 4, 1000],
    [450, 4, 100],
    [20, 50, 700],
    [3000, 1, 1000],
  ])(
    'tells from some examples in how many each picture is: of %i pictures in %i each, %i drawn',
    (pictures, repeats, drawn) => {
      const all = Array.from({ length: pictures * repeats }, (_, i) => i % pictures);
      const some = seededChoice(all.length, drawn, 7, 'repeats').map((i) => all[i]!);
      const found = repeatsOf(new Set(some).size, drawn, drawn, all.length);
      // Few draws tell little.
      expect(found / repeats).toBeGreaterThan(drawn < pictures ? 0.5 : 0.93);
      expect(found / repeats).toBeLessThan(drawn < pictures ? 2 : 1.07);
      const more = seededChoice(all.length, Math.floor(all.length / 2), 8, 'more').map((i) => all[i]!);
      const told = different({ examples: all.length, repeats, mean: 1 }, more.length);
      expect(told / new Set(more).size).toBeCloseTo(1, 1);
    },
  );

  it('holds what sees in f32, whatever the blocks are in', () => {
    // But for the last norm, which CLIP has no use for.
    const numbers = 784 + 256 + 2 * (1792 + 104 + 64) + 2048;
    expect(taskOf(file).plan.model(file).seesBytes).toBe(4 * numbers);
    expect(taskOf({ ...file, sees: undefined }).plan.model(file).seesBytes).toBeUndefined();
  });

  it('says what a picture takes, and lets no example be cut', async () => {
    const request = { model: path.join(work, 'model'), mix: [{ path: data, weight: 1 }], fixed: {} };
    const plan = await proposePlan(file, { ...request, memoryBytes: 64 * 2 ** 30 });
    expect(plan.choices.find(({ name }) => name === 'Pictures')?.reason).toMatch(
      /^A picture is 12 to 20 tokens, 20 on average, which count into the sequence length\. What the model sees with takes 1 MiB/,
    );
    // Sixteen pictures are few, of which some are held out; and less is trained than LoRA would, whatever learns.
    expect(plan.recipe.training['patience']).toBe(3);
    expect(plan.warnings.join()).toMatch(
      /^16 examples are few: seen .* So the run ends where held-out examples gain no more/,
    );
    const rateOf = ({ choices }: typeof plan) => choices.find(({ name }) => name === 'Learning rate')!.reason;
    expect(rateOf(plan)).toMatch(/^0\.001 at first, falling to nothing by the last step: half of /);
    const fixed = { 'method.vision.tower': 'adapted', 'training.evalSplit': 0, 'training.schedule': 'constant', 'training.learningRate': 0.003 }; // prettier-ignore
    const eyes = await proposePlan(file, { ...request, fixed, memoryBytes: 64 * 2 ** 30 });
    expect(eyes.structure.sites.length).toBeGreaterThan(plan.structure.sites.length);
    expect(eyes.warnings.join()).toMatch(/^16 examples are few: .* Hold some of them out and set patience/);
    expect(rateOf(eyes)).toMatch(/^You set this yourself\. Proposed was: 0\.001 at every step: half of /);
    for (const { choices } of [plan, eyes]) {
      const said = choices.find(({ name }) => name === 'Parameters')!.reason;
      expect(Number(/, (\d+) % of what LoRA/.exec(said)![1])).toBeLessThan(100);
    }
    // Short of memory, too: a shorter sequence would leave out what it can't cut.
    const small = await proposePlan(file, { ...request, memoryBytes: 1e6 });
    expect(small.recipe.training.sequenceLength).toBe(plan.recipe.training.sequenceLength);
  });
});

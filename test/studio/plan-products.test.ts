import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cacheFolder } from '../../src-main/engine/folders.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import type { ModelFile } from '../../src-main/models/types.ts';
import { KeptFiles, keptFolder } from '../../src-main/engine/kept-files.ts';
import { quickestProducts } from '../../src-main/engine/quickest-products.ts';
import { proposePlan } from '../../src-main/studio/work/plan.ts';
import { temporary } from '../trainer/support.ts';

let work: string;
let model: ModelFile;
let dataset: string;
beforeAll(async () => {
  work = temporary('plan-products');
  const place = await resolveModel('smollm2-135m');
  fs.symlinkSync(path.join(cacheFolder(), 'engine'), path.join(work, 'engine'));
  process.env['EFFILORA_CACHE'] = work;
  // A machine, measured: integers three times as fast.
  await quickestProducts({ name: 'tensorflow', kind: 'cpu' });
  const [name] = fs.readdirSync(keptFolder('products'));
  const kept = new KeptFiles(keptFolder('products'), '.json');
  await kept.write(path.basename(name!, '.json'), Buffer.from(JSON.stringify({ f32: 0.03, int8: 0.01 })));
  model = await openTextModel(place);
  dataset = path.join(work, 'rows.jsonl');
  const rows = Array.from({ length: 40 }, (_, k) => JSON.stringify({ instruction: `Say ${k}`, output: 'Yes.' }));
  fs.writeFileSync(dataset, rows.join('\n'));
});
afterAll(async () => {
  await model.close();
  delete process.env['EFFILORA_CACHE'];
  fs.rmSync(work, { recursive: true });
});

const plan = (fixed: Record<string, string> = {}, memoryBytes = 2 ** 31) =>
  proposePlan(model, { model: model.name, mix: [{ path: dataset, weight: 1 }], memoryBytes, fixed });
const total = ({ memory }: Awaited<ReturnType<typeof plan>>) => memory.reduce((sum, { bytes }) => sum + bytes, 0);

it('multiplies in what is quickest here, says so, and lets the user have f32', async () => {
  const { recipe, values, choices } = await plan();
  expect([recipe.training.precision, values['training.precision']]).toEqual(['int8', 'int8']);
  expect(choices.find(({ name }) => name === 'Products')!.reason).toContain(
    '3.0 times as fast as in f32 on this machine',
  );
  const own = await plan({ 'training.precision': 'f32' });
  expect(own.recipe.training.precision).toBe('f32');
  expect(own.choices.map(({ name }) => name)).not.toContain('Products');
});

it('leaves weights that are to lie in floating point to products in f32', async () => {
  expect((await plan({ 'training.weights': 'f32' })).recipe.training).toMatchObject({
    precision: 'f32',
    weights: 'f32',
  });
  expect((await plan({ 'training.weights': 'int8' })).recipe.training).toMatchObject({
    precision: 'int8',
    weights: 'int8',
  });
});

it('takes f32 where the memory holds that and no weights turned round besides', async () => {
  const [inIntegers, inFloats] = [total(await plan()), total(await plan({ 'training.precision': 'f32' }))];
  expect(inIntegers).toBeGreaterThan(inFloats);
  const narrow = await plan({}, inIntegers - 1);
  expect([narrow.fits, narrow.recipe.training.precision]).toEqual([true, 'f32']);
  const own = await plan({ 'training.precision': 'int8' }, inIntegers - 1);
  expect([own.fits, own.recipe.training.precision]).toEqual([false, 'int8']);
});

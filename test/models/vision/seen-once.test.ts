import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SeenOnce } from '../../../src-main/models/vision/seen-once.ts';
import { temporary } from '../../trainer/support.ts';

let cache: string;
let weights: string;
let looked: string[];
const before = process.env.EFFILORA_CACHE;
beforeEach(() => {
  cache = temporary('seen');
  weights = path.join(cache, 'weights.safetensors');
  fs.writeFileSync(weights, 'weights');
  process.env.EFFILORA_CACHE = cache;
  looked = [];
});
afterEach(() => {
  if (before === undefined) delete process.env.EFFILORA_CACHE;
  else process.env.EFFILORA_CACHE = before;
  fs.rmSync(cache, { recursive: true });
});

/** Sees of a picture how many patches it has, and twice its first number. */
const eyes = (config: object = { epsilon: 1 }, engine = 'tensorflow') =>
  SeenOnce.of([weights], config, engine, (pictures) =>
    Promise.resolve(
      pictures.map(({ patches, grid: { rows, columns } }) => {
        looked.push(`${rows}x${columns}:${patches.join()}`);
        return Float32Array.of(rows * columns, 2 * patches[0]!);
      }),
    ),
  );

const ONE = { patches: Float32Array.of(1, 2), grids: [{ rows: 1, columns: 1 }] };
const TWO = { patches: Float32Array.of(3, 4, 5, 6, 7, 8, 9, 10), grids: [{ rows: 2, columns: 2 }] };
const BOTH = { patches: Float32Array.of(...ONE.patches, ...TWO.patches), grids: [...ONE.grids, ...TWO.grids] };

it('looks at each picture alone and once, in the order of a batch, also in another process', async () => {
  const first = await eyes();
  expect([...(await first.features(BOTH))]).toEqual([1, 2, 4, 6]);
  expect([...(await first.features(TWO))]).toEqual([4, 6]);
  expect([...(await (await eyes()).features({ patches: BOTH.patches, grids: BOTH.grids }))]).toEqual([1, 2, 4, 6]);
  expect(looked).toEqual(['1x1:1,2', '2x2:3,4,5,6,7,8,9,10']);
  expect(await first.features({ patches: new Float32Array(0), grids: [] })).toHaveLength(0);
});

it('looks once at a picture that a batch has twice', async () => {
  const twice = {
    patches: Float32Array.of(...TWO.patches, ...ONE.patches, ...TWO.patches),
    grids: [...TWO.grids, ...ONE.grids, ...TWO.grids],
  };
  expect([...(await (await eyes()).features(twice))]).toEqual([4, 6, 1, 2, 4, 6]);
  expect(looked).toEqual(['2x2:3,4,5,6,7,8,9,10', '1x1:1,2']);
});

it('looks again at the same numbers in another form, and with other weights, another configuration or another engine', async () => {
  await (await eyes()).features(TWO);
  await (await eyes()).features({ ...TWO, grids: [{ rows: 1, columns: 4 }] });
  await (await eyes({ epsilon: 2 })).features(TWO);
  await (await eyes(undefined, 'webgpu')).features(TWO);
  fs.writeFileSync(weights, 'other weights');
  await (await eyes()).features(TWO);
  expect(looked.map((line) => line.split(':')[0])).toEqual(['2x2', '1x4', '2x2', '2x2', '2x2']);
});

it('makes again what is cut off, changed or empty, and goes on where nothing can be kept', async () => {
  const seen = await eyes();
  await seen.features(TWO);
  const [file] = fs.readdirSync(path.join(cache, 'seen')).map((name) => path.join(cache, 'seen', name));
  const whole = fs.readFileSync(file!);
  const changed = Buffer.from(whole);
  changed[6] = changed[6]! ^ 1;
  for (const bytes of [whole.subarray(0, 8), changed, Buffer.alloc(0), whole.subarray(0, 7)]) {
    fs.writeFileSync(file!, bytes);
    expect([...(await seen.features(TWO))]).toEqual([4, 6]);
    expect(fs.readFileSync(file!)).toEqual(whole);
  }
  expect(looked).toHaveLength(5);
  fs.rmSync(path.join(cache, 'seen'), { recursive: true });
  fs.writeFileSync(path.join(cache, 'seen'), 'no folder');
  expect([...(await seen.features(TWO))]).toEqual([4, 6]);
});

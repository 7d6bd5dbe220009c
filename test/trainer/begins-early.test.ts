import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { cacheFolder } from '../../src-main/engine/folders.ts';
import type { RunEvent } from '../../src-main/trainer/events.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { resultOf, smallRun, temporary } from './support.ts';

let work: string;
let data: string;
const cache = () => path.join(work, 'cache');
const folder = () => path.join(cache(), 'prepared');
const forget = () => fs.rmSync(folder(), { recursive: true, force: true });

beforeAll(() => {
  work = temporary('begins-early');
  const engine = path.join(cacheFolder(), 'engine');
  fs.mkdirSync(cache());
  fs.symlinkSync(engine, path.join(cache(), 'engine'));
  process.env['EFFILORA_CACHE'] = cache();
});
afterAll(() => {
  delete process.env['EFFILORA_CACHE'];
  fs.rmSync(work, { recursive: true });
});
beforeEach(forget);

/** Rows of more than a megabyte; those from `brokenFrom` on can't be used. */
function write(brokenFrom = Infinity): string {
  data = path.join(work, 'large.jsonl');
  const line = (k: number) => {
    const input_ids = Array.from({ length: 8 + (k % 9) }, (_, t) => (k * 7 + 3 * t) % 96);
    return JSON.stringify(k < brokenFrom ? { input_ids, note: 'n'.repeat(600) } : { input_ids: [] });
  };
  fs.writeFileSync(data, `${Array.from({ length: ROWS }, (_, k) => line(k)).join('\n')}\n`);
  return data;
}
const ROWS = 2500;

async function run(name: string, training: object = {}) {
  const file = smallRun(work, {
    dataset: data,
    training: { shuffle: false, evalSplit: 0, steps: 8, checkpointEvery: 100, ...training },
  });
  const events: RunEvent[] = [];
  const folder = path.join(work, name);
  await train(parseRecipe(fs.readFileSync(file, 'utf8'), file), folder, { onEvent: (event) => events.push(event) });
  const lines = events.flatMap((event) => (event.kind === 'log' ? [event.line] : []));
  return { folder, lines, beganEarly: lines.includes(BEGINS) };
}
const BEGINS = 'Training begins with the first rows while the others are read';

it('begins with the first rows where their order and the steps are said, and ends in the same numbers as on what was prepared', async () => {
  write();
  const early = await run('early');
  expect(early.beganEarly).toBe(true);
  expect(early.lines.filter((line) => /first rows|Data: /.test(line))).toEqual([
    BEGINS,
    `Data: ${ROWS} examples to train on, 0 held out`,
  ]);
  const later = await run('later');
  expect(later.beganEarly).toBe(false);
  expect(resultOf(later.folder)).toEqual(resultOf(early.folder));
  const description = JSON.parse(fs.readFileSync(path.join(early.folder, 'adapter.json'), 'utf8')) as {
    datasets: object[];
  };
  expect(description.datasets).toMatchObject([{ examples: ROWS }]);
});

it('goes over its data again as one that waited would', async () => {
  write();
  const few = { batch: ROWS / 5, steps: 7, packing: false, sequenceLength: 16 };
  const early = await run('over', few);
  expect(early.beganEarly).toBe(true);
  expect(resultOf((await run('over-later', few)).folder)).toEqual(resultOf(early.folder));
});

it('waits for all rows where the order, the steps or what is held out follow from how many there are', async () => {
  write();
  for (const [name, training] of Object.entries({
    shuffled: { shuffle: true },
    passes: { steps: undefined, epochs: 0.001 },
    heldOut: { evalSplit: 8 },
  })) {
    forget();
    expect((await run(name, { steps: 2, ...training })).beganEarly).toBe(false);
  }
});

it('refuses data that loses many rows behind the first, and keeps nothing of it', async () => {
  write(ROWS / 2);
  await expect(run('refused')).rejects.toThrow(/1250 of 2500 rows can't be used.*--accept-dropped/);
  expect(fs.existsSync(path.join(work, 'refused', 'adapter.json'))).toBe(false);
});

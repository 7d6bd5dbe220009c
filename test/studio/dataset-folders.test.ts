import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { openTestStudio, player } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
let open: ReturnType<typeof openTestStudio>;
let model: string;
beforeAll(() => {
  open = openTestStudio(scratch.folder, player(3, 1));
  model = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
});
afterAll(async () => {
  await open.studio.close();
  scratch.remove();
});

/** A folder with files of so many rows, and a card where one is given. */
function folder(name: string, files: Record<string, number>, card?: string): string {
  const place = join(scratch.folder, name);
  for (const [file, rows] of Object.entries(files)) {
    mkdirSync(join(place, file, '..'), { recursive: true });
    const lines = Array.from({ length: rows }, (_, i) => JSON.stringify({ instruction: `${file} ${i}`, output: 'Yes.' })); // prettier-ignore
    writeFileSync(join(place, file), `${lines.join('\n')}\n`);
  }
  if (card !== undefined) writeFileSync(join(place, 'README.md'), card);
  return place;
}

describe('a folder as a dataset', () => {
  const part = (path: string, more = {}) => ({ path, weight: 1, ...more });
  const look = async (mix: ReturnType<typeof part>[], evalSplit?: number) =>
    open.client.datasets.preview({ model, mix, sequenceLength: 64, evalSplit });
  const plan = (mix: ReturnType<typeof part>[], fixed = {}) =>
    open.client.plans.propose({ model, mix, memoryBytes: 2 ** 31, fixed });

  it('is added under its own name with the size of its files, and previewed with its splits', async () => {
    const path = folder('letters', { 'train.jsonl': 30, 'validation.jsonl': 4, 'test.jsonl': 7 });
    const bytes = ['train', 'validation', 'test'].reduce((sum, one) => sum + statSync(join(path, `${one}.jsonl`)).size, 0); // prettier-ignore
    const entry = await open.client.datasets.add({ path });
    expect(entry).toMatchObject({ name: 'letters', bytes, state: 'ready', own: false });
    expect((await open.client.datasets.rows({ id: entry.id })).rows).toHaveLength(30);
    const splits = { split: 'train', splits: ['test', 'train', 'validation'] };
    const [first] = (await look([part(path)])).parts;
    expect(first).toMatchObject({ rows: 30, ...splits, heldOut: { split: 'validation', examples: 4 } });
    const [other] = (await look([part(path, { heldOut: 'test' })], 0)).parts;
    expect(other!.heldOut).toEqual({ split: 'test', examples: 7 });
    expect((await look([part(path, { heldOut: 'part' })])).parts[0]!.heldOut).toBeUndefined();
    expect((await look([part(path)], 0)).parts[0]!.heldOut).toBeUndefined();
    await expect(look([part(path, { heldOut: 'dev' })])).rejects.toThrow(/no other split "dev" to hold out/);
  });

  it('is planned by the rows that are trained on, with what is held out in the recipe', async () => {
    const path = folder('planned', { 'train.jsonl': 40, 'validation.jsonl': 40 });
    const separate = await plan([part(path, { heldOut: 'validation' })]);
    const train = [part(join(path, 'train.jsonl'))];
    expect(separate.recipe.dataset).toEqual([part(path, { heldOut: 'validation' })]);
    expect(separate.proposed).toEqual((await plan(train, { 'training.evalSplit': 0 })).proposed);
    // Forty examples are evaluated each time, not ten.
    const alone = await plan(train, { 'training.steps': separate.proposed.steps });
    expect(separate.seconds).toBeGreaterThan(alone.seconds!);
    const [half, same] = [await plan([part(path)], { 'training.evalSplit': 0.5 }), await plan([part(path, { heldOut: 'part' })], { 'training.evalSplit': 0.5 })]; // prettier-ignore
    expect(half.seconds).toBeGreaterThan(same.seconds!);
    // The same folder with other rows in it is another plan.
    folder('planned', { 'train.jsonl': 400 });
    const more = await plan([part(path, { heldOut: 'validation' })]);
    expect(more.passesAStep).toBeLessThan(separate.passesAStep);
  });

  it('with several configurations and no default is added by the one that is chosen, and read so wherever it is used', async () => {
    const card = '---\nconfigs:\n- config_name: german\n  data_files: de.jsonl\n- config_name: french\n  data_files: fr.jsonl\n---\n'; // prettier-ignore
    const path = folder('languages', { 'de.jsonl': 3, 'fr.jsonl': 5 }, card);
    expect(await open.client.datasets.configurations({ path })).toEqual(['german', 'french']);
    await expect(open.client.datasets.add({ path })).rejects.toThrow(/several configurations/);
    const { id } = await open.client.datasets.add({ path, config: 'french' });
    expect((await open.client.datasets.rows({ id })).rows).toHaveLength(5);
    expect(await open.client.datasets.look({ id })).toMatchObject({ rows: 5 });
    expect(await open.client.datasets.add({ path, config: 'german' })).toMatchObject({ id, config: 'german' });
    expect((await open.client.datasets.rows({ id })).rows).toHaveLength(3);
    expect(await open.client.datasets.configurations({ path: folder('one', { 'a.jsonl': 1 }) })).toEqual([]);
  });

  it('has the configurations that its README.md names', async () => {
    const card = '---\nconfigs:\n- config_name: small\n  default: true\n  data_files: small/*.jsonl\n- config_name: large\n  data_files: large/*.jsonl\n---\n'; // prettier-ignore
    const path = folder('two', { 'small/a.jsonl': 3, 'large/a.jsonl': 9 }, card);
    await open.client.datasets.add({ path });
    const of = async (more = {}) => (await look([part(path, more)])).parts[0];
    expect(await of()).toMatchObject({ rows: 3, config: 'small', configs: ['small', 'large'] });
    expect(await of({ config: 'large' })).toMatchObject({ rows: 9, config: 'large' });
    const { columns } = await open.client.datasets.columns({ path, config: 'large' });
    expect(columns[0]!.example).toBe('large/a.jsonl 0');
  });

  it('is refused where it is none, and stands in no list', async () => {
    const before = await open.client.datasets.list();
    const add = (path: string) => open.client.datasets.add({ path });
    await expect(add(model)).rejects.toThrow(/holds a model \(model\.safetensors\), no dataset/);
    const mixed = folder('mixed', { 'a.jsonl': 1, 'b.json': 1 });
    await expect(add(mixed)).rejects.toThrow(/data files of several kinds/);
    mkdirSync(join(scratch.folder, 'empty'));
    await expect(add(join(scratch.folder, 'empty'))).rejects.toThrow(/holds no dataset/);
    expect(await open.client.datasets.list()).toEqual(before);
  });
});

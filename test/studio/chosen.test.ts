import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { openTestStudio, player } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
const at = (...names: string[]) => join(scratch.folder, ...names);
let close: (() => Promise<void>) | undefined;
const open = () => {
  const opened = openTestStudio(at('data'), player(1, 1));
  close = () => opened.studio.close();
  return opened;
};
afterEach(async () => {
  await close?.();
  scratch.remove();
});

it('what its owner chose or dropped is readable wherever it lies, from then on, and nothing beside it', async () => {
  for (const folder of ['data', 'disk', 'disk/sets']) mkdirSync(at(folder), { recursive: true });
  for (const file of ['disk/one.jsonl', 'disk/two.jsonl', 'disk/sets/three.jsonl'])
    writeFileSync(at(file), '{"instruction":"Say hello.","output":"Hello."}\n');
  symlinkSync(at('disk', 'one.jsonl'), at('link.jsonl'));
  const outside = /outside the folders/;
  let { studio, client } = open();
  await expect(client.datasets.columns({ path: at('disk/one.jsonl') })).rejects.toThrow(outside);
  await studio.settings.choose(at('link.jsonl'));
  await studio.settings.choose(at('disk/sets'));
  for (const again of [false, true]) {
    if (again) {
      await studio.close();
      ({ studio, client } = open());
    }
    for (const path of ['link.jsonl', 'disk/one.jsonl', 'disk/sets/three.jsonl'])
      expect(await studio.allowed.check(at(path))).toBe(at(path.replace('link', 'disk/one')));
    for (const path of ['disk/two.jsonl', 'disk', '.', 'disk/sets/../two.jsonl'])
      await expect(studio.allowed.check(at(path))).rejects.toThrow(outside);
  }
  const { entries } = await client.files.browse({ path: at('disk/sets'), show: 'datasets' });
  expect(entries.map(({ name }) => name)).toEqual(['three.jsonl']);
  // A link that leads elsewhere later was not chosen to lead there.
  rmSync(at('link.jsonl'));
  symlinkSync(at('disk', 'two.jsonl'), at('link.jsonl'));
  await expect(studio.allowed.check(at('link.jsonl'))).rejects.toThrow(outside);
});

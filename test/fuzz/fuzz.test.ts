import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTextModel } from '../../src-main/models/open.ts';
import type { ModelConfig } from '../../src-main/models/types.ts';
import { temporary, TINY_MODEL } from '../trainer/support.ts';
import { tryInput, writeInput } from './inputs.ts';
import { writeSeeds } from './seeds.ts';
import { TARGETS } from './targets.ts';

const INPUTS = 150;
const root = temporary('fuzz');
let config: ModelConfig;

beforeAll(async () => {
  await writeSeeds(path.join(root, 'seeds'));
  const file = await openTextModel(TINY_MODEL);
  config = file.config;
  await file.close();
});
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

/** A small part of `npm run fuzz`. */
describe.each(Object.keys(TARGETS))('%s', (target) => {
  it('opens as it is', async () => {
    const place = path.join(root, 'seeds', target, TARGETS[target]!.file ?? '');
    await expect(TARGETS[target]!.open(place, config)).resolves.toBeUndefined();
  });

  it('changed in any way opens or is refused in a sentence', async () => {
    const wrong: string[] = [];
    for (let seed = 1; seed <= INPUTS; seed++) {
      const place = writeInput(path.join(root, 'seeds'), target, seed, path.join(root, 'input'));
      const found = await tryInput(target, place, config);
      if (found !== undefined) wrong.push(`seed ${seed}: ${found}`);
    }
    expect(wrong).toEqual([]);
  });
});

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { formatAdapterDescription, parseAdapterDescription } from '../../src-main/effilora/adapter-schema.ts';
import { readAdapter, writeStoredAdapter } from '../../src-main/trainer/adapter-folder.ts';

/** Two blocks of one site with two heads each, one of them left out; written before there was a version 2. */
const FIRST = path.join(import.meta.dirname, 'data/adapter-version-1');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'adapter-versions-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

const written = (place: string) => JSON.parse(fs.readFileSync(path.join(place, 'adapter.json'), 'utf8')) as unknown;

describe('an adapter of version 1', () => {
  it('is read whole', async () => {
    const { description, tensors } = await readAdapter(FIRST);
    expect(description.heads).toEqual({
      '0.q_proj.0': { importance: 0.25, frozenSince: null, dropped: false },
      '0.q_proj.1': { importance: 0.125, frozenSince: 2, dropped: false },
      '1.q_proj.0': { importance: 0, frozenSince: 2, dropped: true },
      '1.q_proj.1': { importance: 0.5, frozenSince: null, dropped: false },
    });
    expect(description.baseModel.name).toBe('two-blocks');
    expect(description.metrics).toEqual({ steps: 3, loss: 1.5, evalLoss: null });
    expect(tensors.find(({ name }) => name === 'layers.0.q_proj.B')!.data).toEqual(Float32Array.of(1, 2, 3, 4));
  });

  it('is written as version 2, whose heads say their block, site and number, and read back the same', async () => {
    const first = await readAdapter(FIRST);
    await writeStoredAdapter(folder, first);
    expect(written(folder)).toMatchObject({
      formatVersion: 2,
      heads: [
        { block: 0, site: 'q_proj', head: 0, importance: 0.25, frozenSince: null, dropped: false },
        { block: 0, site: 'q_proj', head: 1, importance: 0.125, frozenSince: 2, dropped: false },
        { block: 1, site: 'q_proj', head: 0, importance: 0, frozenSince: 2, dropped: true },
        { block: 1, site: 'q_proj', head: 1, importance: 0.5, frozenSince: null, dropped: false },
      ],
    });
    expect(await readAdapter(folder)).toEqual(first);
  });

  it('is refused where a head is no head', async () => {
    const place = path.join(folder, 'bad');
    fs.cpSync(FIRST, place, { recursive: true });
    const text = fs.readFileSync(path.join(FIRST, 'adapter.json'), 'utf8');
    fs.writeFileSync(path.join(place, 'adapter.json'), text.replace('"0.q_proj.1"', '"q_proj"'));
    await expect(readAdapter(place)).rejects.toThrow(/field heads\.q_proj/);
  });
});

describe('an adapter of version 2', () => {
  const head = { block: 0, site: 'q_proj', head: 0, importance: 0, frozenSince: null, dropped: false };

  it.each([
    ['a head comes twice', [head, head], /field heads: names a head twice/],
    ['a block is no count', [{ ...head, block: -1 }], /field heads\.0\.block/],
    ['a site has no name', [{ ...head, site: '' }], /field heads\.0\.site/],
    ['heads stand under their names', { '0.q_proj.0': head }, /field heads: /],
  ])('is refused where %s', (_, heads, told) => {
    const text = JSON.stringify({ ...(written(FIRST) as object), formatVersion: 2, heads });
    expect(() => parseAdapterDescription(text, 'adapter.json')).toThrow(told);
  });

  it('keeps a site whose name has dots', () => {
    const heads = [{ ...head, site: 'attn1.to_out.0', head: 1 }];
    const text = JSON.stringify({ ...(written(FIRST) as object), formatVersion: 2, heads });
    const again = formatAdapterDescription(parseAdapterDescription(text, 'adapter.json'));
    expect(JSON.parse(again)).toMatchObject({ heads });
  });
});

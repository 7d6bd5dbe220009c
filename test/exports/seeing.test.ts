import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlainLora } from '../../src-main/effilora/exports/plain-lora.ts';
import { exportAdapter } from '../../src-main/exports/export-adapter.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { MergedTensors } from '../../src-main/exports/merge.ts';
import { writeMergedSeeing } from '../../src-main/exports/merged-seeing.ts';
import { writePeft } from '../../src-main/exports/peft.ts';
import { languageModule } from '../../src-main/exports/seeing-names.ts';
import { openModelFile } from '../../src-main/models/open.ts';
import { largestDifference } from '../models/support.ts';
import { readAll } from '../models/vision/support.ts';
import { runPython } from '../support/python.ts';
import { writePictureData, writePictureModel } from '../tasks/support.ts';
import { writeRandomAdapter } from './support.ts';

/** Tiny random models with a LoRA, and their logits by transformers and PEFT (models/data/vision/make_models.py). */
const data = path.join(import.meta.dirname, '../models/data/vision/models');
const FAMILIES = ['idefics3', 'llava', 'gemma3', 'qwen2.5-vl'];
const FORMS = ['peft', 'merged'] as const;
const TARGETS = ['q_proj', 'v_proj', 'o_proj', 'down_proj'];

let out: string;
const place = (form: string, family: string) => path.join(out, `${form}-${family}`);

async function write(family: string): Promise<void> {
  const expected = await readAll(path.join(data, family, 'expected.safetensors'));
  const tensors = [...expected].filter(([name]) => name.startsWith('layers.'));
  const plain: PlainLora = {
    options: {
      ...{ name: 'lora', rank: 2, heads: 1, alpha: 4, targets: TARGETS, share: 'module', router: 'site' },
      ...{ dropout: 0, rsLora: false, dora: false },
    },
    tensors: tensors.map(([name, { shape, values }]) => ({ name, shape, data: values })),
  };
  const file = await openModelFile(path.join(data, family));
  for (const form of FORMS) fs.mkdirSync(place(form, family));
  await writePeft(place('peft', family), plain, family, languageModule(file));
  await writeMergedSeeing(place('merged', family), file, new MergedTensors(file, plain), 'f32', () => {});
  await file.close();
}

beforeAll(async () => {
  await openEngine('cpu');
  out = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-seeing-'));
  for (const family of FAMILIES) await write(family);
  const jobs = FAMILIES.flatMap((family) =>
    FORMS.map((form) => ({
      family,
      ...(form === 'peft' ? { model: path.join(data, family), adapter: place(form, family) } : { model: place(form, family) }), // prettier-ignore
      out: `${place(form, family)}.safetensors`,
    })),
  );
  const list = path.join(out, 'jobs.json');
  fs.writeFileSync(list, JSON.stringify(jobs));
  await runPython(path.join(import.meta.dirname, 'seeing.py'), [list]);
});
afterAll(() => fs.rmSync(out, { recursive: true, force: true }));

describe.each(FAMILIES)('an adapter of %s', (family) => {
  it.each(FORMS)('is the same model to transformers as %s', async (form) => {
    const expected = await readAll(path.join(data, family, 'expected.safetensors'));
    const [theirs, ours] = [
      (await readAll(`${place(form, family)}.safetensors`)).get('logits')!,
      expected.get('logits')!,
    ];
    expect(theirs.shape).toEqual(ours.shape);
    const here = expected.get('mask')!.values;
    const width = ours.shape[2]!;
    const seen = (values: Float32Array) => values.filter((_, i) => here[Math.floor(i / width)] === 1);
    expect(largestDifference(seen(theirs.values), seen(ours.values))).toBeLessThan(1e-4);
  });
});

describe('an export of a run on pictures', () => {
  it.each(['peft', 'merged-gguf', 'effilora'] as const)('is calibrated on pictures, and measured: %s', async (to) => {
    const place = fs.mkdtempSync(path.join(out, 'run-'));
    const [model, data] = [await writePictureModel(place), await writePictureData(place)];
    const recipe = { dataset: data, training: { sequenceLength: 400, evalSplit: 4 } };
    const adapter = await writeRandomAdapter(path.join(place, 'adapter'), model, { rank: 2 }, undefined, recipe);
    const done = await exportAdapter({ adapter, to, out: path.join(place, 'out'), engine: 'cpu' });
    const names = done.files.map(({ name }) => name);
    if (to === 'effilora') return expect(names).toContain('adapter.effilora');
    expect(names).toContain(to === 'peft' ? 'adapter_model.safetensors' : 'mmproj-adapter.gguf');
    const { base, exact, exported, examples } = done.fidelity!.heldOut!;
    expect(examples).toBe(4);
    // What the rows say is about the pictures: without them there would be none.
    expect(Math.abs(exact - base)).toBeGreaterThan(0.01);
    expect(Math.abs(exported - exact)).toBeLessThan(0.5 * Math.abs(exact - base));
  });
});

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import { VisionLanguageModel } from '../../src-main/models/vision/vision-language.ts';
import { seeingOptions } from '../../src-main/recipe/vision.ts';
import { pictureObjective, withFeatures } from '../../src-main/tasks/vision-language/objective.ts';
import { batchOf } from '../tasks/seen-batches.ts';
import { plainLora, type PlainLora } from '../../src-main/effilora/exports/plain-lora.ts';
import { exportAdapter } from '../../src-main/exports/export-adapter.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { exactForms } from '../../src-main/exports/forms.ts';
import { MergedTensors } from '../../src-main/exports/merge.ts';
import { writeMergedSeeing } from '../../src-main/exports/merged-seeing.ts';
import { writePeft } from '../../src-main/exports/peft.ts';
import { openTextModel } from '../../src-main/models/open.ts';
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
  const file = await openTextModel(path.join(data, family));
  for (const form of FORMS) fs.mkdirSync(place(form, family));
  await writePeft(place('peft', family), plain, family, file);
  await writeMergedSeeing(place('merged', family), file, new MergedTensors(file, plain), 'f32', () => {});
  await file.close();
}

/** With what sees adapted, or its connector trained whole, at random: written in both forms, and its logits here. */
const KINDS = ['adapted', 'whole'] as const;
const cases = FAMILIES.flatMap((family) => KINDS.map((kind) => ({ family, kind, name: `${family}-${kind}` })));
const logitsHere = new Map<string, Float32Array>();

async function writeSeeing({ family, kind, name }: (typeof cases)[number]): Promise<void> {
  const file = await openTextModel(path.join(data, family));
  const model = await VisionLanguageModel.load(file);
  const connector = kind === 'whole' ? 'whole' : family === 'gemma3' ? 'frozen' : 'adapted';
  const parts = { sites: model.sites(), whole: model.wholeTensors() };
  const seeing = seeingOptions({ tower: 'adapted', connector }, parts);
  const options: AdapterOptions = {
    ...{ name: 'lora', rank: 2, heads: 1, alpha: 4, share: 'module', router: 'site', dropout: 0 },
    ...{ rsLora: false, dora: kind === 'adapted', whole: seeing.whole, targets: [...TARGETS, ...seeing.targets] },
  };
  const adapter = new Adapter(model.sites(), options, 1);
  adapter.initialiseMagnitudes((site) => model.siteWeight(site));
  adapter.initialiseWhole((tensor) => model.wholeTensor(tensor));
  const next = randomStream(1, name);
  const changed = (await adapter.export()).map((tensor) => ({ ...tensor, data: tensor.data.map((value) => value + 0.4 * (next() - 0.5)) })); // prettier-ignore
  adapter.import(changed);
  const forms = new Map(exactForms(adapter).map(({ site, form }) => [site, form]));
  const plain = await plainLora(adapter, forms, (site) => model.siteWeight(site));
  for (const form of FORMS) fs.mkdirSync(place(form, name));
  await writePeft(place('peft', name), plain, family, file);
  await writeMergedSeeing(place('merged', name), file, new MergedTensors(file, plain), 'f32', () => {});
  const batch = batchOf(await readAll(path.join(data, family, 'expected.safetensors')));
  const tensors = pictureObjective(model).tensors(batch);
  const logits = tf.tidy(() =>
    model.language.tokenLogits(withFeatures(model, tensors, { adaptation: adapter }), { adaptation: adapter }),
  );
  logitsHere.set(name, (await logits.data()) as Float32Array);
  tf.dispose([tensors as unknown as tf.TensorContainer, logits]);
  adapter.dispose();
  model.dispose();
  await file.close();
}

beforeAll(async () => {
  await openEngine('cpu');
  out = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-seeing-'));
  for (const family of FAMILIES) await write(family);
  for (const one of cases) await writeSeeing(one);
  const written = [...FAMILIES.map((family) => ({ family, name: family })), ...cases];
  const jobs = written.flatMap(({ family, name }) =>
    FORMS.map((form) => ({
      family,
      ...(form === 'peft' ? { model: path.join(data, family), adapter: place(form, name) } : { model: place(form, name) }), // prettier-ignore
      out: `${place(form, name)}.safetensors`,
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

it.each(cases.flatMap((one) => FORMS.map((form) => ({ ...one, form }))))(
  'what sees pictures learned goes along: $name as $form',
  async ({ family, name, form }) => {
    const { values, shape } = (await readAll(`${place(form, name)}.safetensors`)).get('logits')!;
    const expected = await readAll(path.join(data, family, 'expected.safetensors'));
    const here = expected.get('mask')!.values;
    const seen = (all: Float32Array) => all.filter((_, i) => here[Math.floor(i / shape[2]!)] === 1);
    expect(largestDifference(seen(values), seen(logitsHere.get(name)!))).toBeLessThan(1e-4);
    // Without what the tower learned it would be another model.
    const alone = (await readAll(`${place('peft', family)}.safetensors`)).get('logits')!.values;
    expect(largestDifference(seen(alone), seen(values))).toBeGreaterThan(1e-2);
  },
);

describe('an export of a run on pictures', () => {
  it.each(['peft', 'merged-gguf', 'effilora'] as const)('is calibrated on pictures, and measured: %s', async (to) => {
    const place = fs.mkdtempSync(path.join(out, 'run-'));
    const [model, data] = [await writePictureModel(place), await writePictureData(place)];
    const recipe = { dataset: data, training: { sequenceLength: 400, evalSplit: 4 } };
    const whole = [{ name: 'connector.modality_projection.proj.weight', shape: [32, 64], group: 'connector' }];
    const seeing = {
      peft: { targets: [...TARGETS, 'tower.q_proj', 'tower.fc2', 'connector.proj'] },
      'merged-gguf': { targets: [...TARGETS, 'tower.v_proj'], whole },
      effilora: {},
    }[to];
    const method = { rank: 2, ...seeing };
    const adapter = await writeRandomAdapter(
      path.join(place, 'adapter'),
      model,
      method,
      { B: 0.1, router: 0.5 },
      recipe,
    );
    if (to === 'peft')
      await expect(
        exportAdapter({ adapter, to: 'gguf', out: path.join(place, 'none'), engine: 'cpu' }),
      ).rejects.toThrow('a GGUF LoRA file is of the language model alone');
    // Random heads pull in all directions: what is left of them in one is little.
    const form = to === 'peft' ? ('rank-nr' as const) : undefined;
    const done = await exportAdapter({ adapter, to, out: path.join(place, 'out'), engine: 'cpu', form });
    const names = done.files.map(({ name }) => name);
    if (to === 'effilora') return expect(names).toContain('adapter.effilora');
    expect(names).toContain(to === 'peft' ? 'adapter_model.safetensors' : 'mmproj-adapter.gguf');
    for (const { site, exported, averaged } of done.fidelity!.sites)
      expect(exported, site).toBeLessThanOrEqual(averaged + 1e-6);
    const { base, exact, exported, examples } = done.fidelity!.heldOut!;
    expect(examples).toBe(4);
    // What the rows say is about the pictures: without them there would be none.
    expect(Math.abs(exact - base)).toBeGreaterThan(0.01);
    expect(Math.abs(exported - exact)).toBeLessThan(0.5 * Math.abs(exact - base));
    if (to !== 'merged-gguf') return;
    // What was written is a base model itself, and so is what is made of that.
    const pair = path.join(place, 'out', 'adapter.gguf');
    const second = await writeRandomAdapter(path.join(place, 'second'), pair, method, { B: 0.1, router: 0.5 }, recipe);
    const again = await exportAdapter({ adapter: second, to, out: path.join(place, 'again'), engine: 'cpu' });
    const losses = again.fidelity!.heldOut!;
    expect(losses.base).toBeCloseTo(exported, 4);
    expect(Math.abs(losses.exported - losses.exact)).toBeLessThan(0.5 * Math.abs(losses.exact - losses.base));
    await expect(
      exportAdapter({ adapter: second, to: 'merged-safetensors', out: path.join(place, 'no'), engine: 'cpu' }),
    ).rejects.toThrow('has no Hugging Face folder to be merged into');
  });
});

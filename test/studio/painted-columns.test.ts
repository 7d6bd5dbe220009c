import * as tf from '@tensorflow/tfjs-core';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterDescription } from '../../src-main/effilora/adapter-schema.ts';
import type { Adapter } from '../../src-main/effilora/adapter.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { exportAdapter } from '../../src-main/exports/export-adapter.ts';
import { DiffusionModel } from '../../src-main/models/diffusion/pipeline/model.ts';
import { openDiffusionFolder } from '../../src-main/models/diffusion/pipeline/open-folder.ts';
import { paint } from '../../src-main/models/diffusion/pipeline/paint.ts';
import { openModelFile } from '../../src-main/models/open.ts';
import { emptyStage } from '../../src-main/studio/stage/loaded.ts';
import { probeJob } from '../../src-main/studio/stage/measure.ts';
import { paintJob } from '../../src-main/studio/stage/paint.ts';
import type { PaintColumn, PaintEvent, ProbeEvent } from '../../src-main/studio/stage/types.ts';
import { importAdapter } from '../../src-main/studio/work/import-adapter.ts';
import { adapterOnModel, readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { wholePipeline } from '../models/diffusion/support.ts';
import { writeRandomPainter } from '../support/adapters.ts';
import { scratchFolder } from '../support/scratch.ts';

/** What the playground paints side by side, held to pictures that are painted by hand from the same seed. */
const scratch = scratchFolder();
const [model, data, folder] = ['model', 'data', 'adapter'].map((name) => join(scratch.folder, name)) as [string, string, string]; // prettier-ignore
const HOW = { prompt: 'a dog', negative: '', seed: 3, guidance: 3, sampler: 'ddim' as const, steps: 3, width: 16, height: 16 }; // prettier-ignore
const TARGETS = ['unet.attn1.to_q', 'unet.attn2.to_v', 'unet.ff.net_2'];
let description: AdapterDescription;

beforeAll(async () => {
  await openEngine('tensorflow');
  await wholePipeline('sd', model);
  mkdirSync(data);
  for (let i = 0; i < 6; i++) {
    const rgb = Buffer.from(Array.from({ length: 16 * 16 * 3 }, (_, at) => (at * (7 + i)) % 256));
    await sharp(rgb, { raw: { width: 16, height: 16, channels: 3 } }).png().toFile(join(data, `${i}.png`));
    writeFileSync(join(data, `${i}.txt`), `picture ${i}`);
  } // prettier-ignore
  description = await writeRandomPainter(folder, model, data, { options: { targets: TARGETS }, strength: 6 });
});
afterAll(async () => {
  await emptyStage();
  scratch.remove();
});

const rgbOf = (url: string) =>
  sharp(Buffer.from(url.split(',')[1]!, 'base64'))
    .removeAlpha()
    .raw()
    .toBuffer();

const painted = async (columns: PaintColumn[], signal = new AbortController().signal) => {
  const events: PaintEvent[] = [];
  const job = { model, engine: 'tensorflow' as const, columns, ...HOW };
  await paintJob(job, { tell: (event) => void events.push(event), signal });
  const urls = events.flatMap((event) => (event.kind === 'painted' ? [event.url] : []));
  return Promise.all(
    urls.map((url) =>
      sharp(Buffer.from(url.split(',')[1]!, 'base64'))
        .removeAlpha()
        .raw()
        .toBuffer(),
    ),
  );
};

/** The same prompt by a model of its own and an adapter that `change` has made another of. */
async function byHand(place: string, change: (adapter: Adapter) => void): Promise<Uint8Array> {
  const own = await DiffusionModel.load(await openDiffusionFolder(model));
  const vae = await own.vae();
  const adapter = adapterOnModel(await readAdapter(place), own, place);
  change(adapter);
  const { prompt, seed, ...how } = HOW;
  const [picture] = await paint(own, vae, { ...how, prompts: [prompt], seeds: [seed], adaptation: adapter });
  for (const one of [adapter, vae, own]) one.dispose();
  return picture!.rgb;
}

/** In steps of colour; one is rounding. */
const apart = (a: Uint8Array, b: Uint8Array) => Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

describe('pictures side by side', () => {
  it('without half of the heads are those of an adapter whose least important heads are dropped by hand', async () => {
    const [base, whole, half, among, none] = (await painted([
      {},
      { folder },
      { folder, leaveOut: 0.5 },
      { folder, leaveOut: 0.5, renormalize: true },
      { folder, leaveOut: 1 },
    ])) as [Buffer, Buffer, Buffer, Buffer, Buffer];
    const order = Object.entries(description.heads).sort(([, a], [, b]) => a.importance - b.importance);
    const heads = new Set(order.slice(0, Math.floor(order.length / 2)).map(([name]) => name));
    expect(apart(whole, await byHand(folder, () => undefined))).toBeLessThanOrEqual(1);
    expect(apart(half, await byHand(folder, (adapter) => adapter.drop({ heads, renormalize: false })))).toBeLessThanOrEqual(1); // prettier-ignore
    expect(apart(among, await byHand(folder, (adapter) => adapter.drop({ heads, renormalize: true })))).toBeLessThanOrEqual(1); // prettier-ignore
    expect(none.equals(base)).toBe(true);
    for (const [one, other] of [[base, whole], [whole, half], [half, among]] as const) expect(apart(one, other)).toBeGreaterThan(3); // prettier-ignore
  });

  it('at half of its strength are those of an adapter whose last factors are halved', async () => {
    const [whole, half] = (await painted([{ folder }, { folder, strength: 0.5 }])) as [Buffer, Buffer];
    const halved = (adapter: Adapter) => {
      for (const { name, variable } of adapter.trainables)
        if (name.endsWith('.B')) variable.assign(tf.tidy(() => tf.mul(variable, 0.5)));
    };
    expect(apart(half, await byHand(folder, halved))).toBeLessThanOrEqual(1);
    expect(apart(half, whole)).toBeGreaterThan(3);
  });

  it('as exported are what the exported file paints, fitted once', async () => {
    const form = 'rank-r';
    const [whole, exported, again] = (await painted([{ folder }, { folder, form }, { folder, form }])) as [Buffer, Buffer, Buffer]; // prettier-ignore
    const out = join(scratch.folder, form);
    await emptyStage();
    await exportAdapter({ adapter: folder, to: 'diffusers', out, form, model, engine: 'tensorflow' });
    const imported = join(scratch.folder, `${form}-imported`);
    const file = await openModelFile(model);
    await importAdapter(join(out, 'pytorch_lora_weights.safetensors'), file, imported);
    await file.close();
    expect(apart(exported, await byHand(imported, () => undefined))).toBeLessThanOrEqual(1);
    expect(again.equals(exported)).toBe(true);
    expect(apart(whole, exported)).toBeGreaterThan(0);
  });

  it('stay the same whatever is measured between them', async () => {
    const [before] = (await painted([{ folder }])) as [Buffer];
    const events: ProbeEvent[] = [];
    const { prompt, ...painting } = HOW;
    const probe = {
      model,
      engine: 'tensorflow' as const,
      folder,
      data: { examples: 2 },
      prompt,
      painting,
      maxTokens: 1,
    };
    for (const heads of [[], Object.keys(description.heads)]) await probeJob({ ...probe, off: { heads, renormalize: false } }, { tell: (event) => void events.push(event), signal: new AbortController().signal }); // prettier-ignore
    const losses = events.flatMap((event) => (event.kind === 'loss' ? [event.loss] : []));
    expect(losses).toHaveLength(2);
    expect(losses[0]).not.toBe(losses[1]);
    const [kept, without] = await Promise.all(events.flatMap((event) => (event.kind === 'painted' ? [rgbOf(event.url)] : []))); // prettier-ignore
    const [base, after] = (await painted([{}, { folder }])) as [Buffer, Buffer];
    expect(kept!.equals(before)).toBe(true);
    expect(without!.equals(base)).toBe(true);
    expect(after.equals(before)).toBe(true);
  });

  it('stop where nobody wants the rest', async () => {
    const stop = new AbortController();
    const events: PaintEvent[] = [];
    const tell = (event: PaintEvent) => {
      events.push(event);
      if (event.kind === 'step' && event.column === 1 && event.done === 1) stop.abort(new Error('enough'));
    };
    const job = { model, engine: 'tensorflow' as const, columns: [{}, { folder }, {}], ...HOW };
    await expect(paintJob(job, { tell, signal: stop.signal })).rejects.toThrow('enough');
    expect(events.filter(({ kind }) => kind === 'painted')).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ kind: 'step', column: 1, done: 1 });
  });
});

import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { RunEvent } from '../../src-main/trainer/events.ts';
import { readDiffusionLora } from '../../src-main/exports/diffusion/read-lora.ts';
import { loraPlaces } from '../../src-main/exports/diffusion/places.ts';
import { exportAdapter } from '../../src-main/exports/export-adapter.ts';
import { openModelFile } from '../../src-main/models/open.ts';
import type { DiffusionModelFile } from '../../src-main/models/diffusion/model-file.ts';
import { diffusionSites } from '../../src-main/models/diffusion/pipeline/network.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { proposePicturePlan } from '../../src-main/studio/work/plan-pictures.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { measure } from '../../src-main/trainer/measure.ts';
import { openForMeasuring } from '../../src-main/trainer/opened-model.ts';
import { importAdapter } from '../../src-main/studio/work/import-adapter.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { cli, cliJson } from '../cli/support.ts';
import { largestDifference } from '../models/support.ts';
import { wholePipeline } from '../models/diffusion/support.ts';
import { inEnvironment, trainerAt } from '../support/trainer-moment.ts';
import { resultOf, temporary } from '../trainer/support.ts';

const work = temporary('diffusion-run');
const [model, data] = [path.join(work, 'model'), path.join(work, 'data')];
afterAll(() => fsp.rm(work, { recursive: true }));

/** Twelve pictures of one colour, of two shapes, with captions beside them, and two that can't be used. */
beforeAll(async () => {
  await wholePipeline('sd', model);
  await fsp.mkdir(data);
  const colours = { red: [250, 20, 20], green: [20, 200, 30], blue: [30, 40, 240] };
  for (let i = 0; i < 12; i++) {
    const [name, [r, g, b]] = Object.entries(colours)[i % 3] as [string, [number, number, number]];
    const create = { width: i % 2 ? 40 : 20, height: 20, channels: 3 as const, background: { r, g, b } };
    await sharp({ create })
      .png()
      .toFile(path.join(data, `${i}.png`));
    await fsp.writeFile(path.join(data, `${i}.txt`), `a photo of ${name}`);
  }
  const small = { width: 8, height: 8, channels: 3 as const, background: '#fff' };
  await sharp({ create: small }).png().toFile(path.join(data, 'small.png'));
  await fsp.writeFile(path.join(data, 'small.txt'), 'too small');
  await fsp.writeFile(path.join(data, 'broken.png'), 'no picture');
  await fsp.writeFile(path.join(data, 'broken.txt'), 'broken');
});

const DIFFUSION = { resolution: 16, crop: 'random', flip: true, captionDropout: 0.3, noiseOffset: 0.05, trigger: 'ohwx' }; // prettier-ignore

/** A recipe of a short run, with what a test changes in it. */
function recipe(
  name: string,
  { base = model, method = {}, training = {}, diffusion = {} }: { base?: string; method?: object; training?: object; diffusion?: object } = {}, // prettier-ignore
): string {
  const file = path.join(work, `${name}.yaml`);
  const whole = {
    ...{ model: base, dataset: [{ path: data, acceptDropped: true }], engine: 'tensorflow' },
    method: {
      ...{ rank: 2, heads: 2, dropout: 0.1, reducer: { ratio: 0.5, warmup: 3, interval: 3 } },
      ...{ diffusion: { sites: ['attention', 'feed-forward', 'convolutions'], textEncoder: 'adapted' }, ...method },
    },
    training: {
      ...{ steps: 8, batch: 2, accumulate: 2, learningRate: 0.05, evalSplit: 4, evalEvery: 4, checkpointEvery: 4 },
      ...{
        ...training,
        diffusion: { ...DIFFUSION, sampling: { steps: 3, negative: 'blurred', seed: 7 }, ...diffusion },
      },
    },
  };
  fs.writeFileSync(file, stringify(whole));
  return file;
}

const run = (from: string, folder: string, resume = false, onEvent?: (event: RunEvent) => void) =>
  startTrainer({ recipe: from, folder, resume, onEvent }).ended;

interface Sample {
  step: number;
  prompt: string;
  seed: number;
  picture: string;
}
const samplesOf = (folder: string) =>
  fs
    .readFileSync(path.join(folder, 'samples.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Sample);
const bytesOf = (folder: string, { picture }: Sample) => fs.readFileSync(path.join(folder, picture)).toString('base64');

interface Inspected {
  heads: object[];
  whole: { loss: number; examples: number };
  drop: { dropped: number; loss: number }[];
  byNoise: { parts: number; examples: number; places: { site: string; shares: number[][] }[] };
}

describe('a run on captioned pictures', () => {
  const whole = path.join(work, 'whole');
  const logs: string[] = [];
  beforeAll(async () => {
    const end = await run(recipe('whole'), whole, false, (event) => event.kind === 'log' && logs.push(event.line));
    expect(end).toMatchObject({ outcome: 'finished' });
  });

  it('learns what it is shown, and leaves out by name the rows that can’t be used', () => {
    const metrics = resultOf(whole).metrics as { evalLoss?: number; tokens: { all: number } }[];
    const start = JSON.parse(fs.readFileSync(path.join(whole, 'start.json'), 'utf8')) as { evalLoss: number };
    expect(metrics.at(-1)!.evalLoss!).toBeLessThan(start.evalLoss - 0.1);
    // Counted in pictures.
    expect(metrics.at(-1)!.tokens.all).toBe(8 * 4);
    const said = logs.join('\n');
    expect(said).toContain('8 examples to train on, 4 held out');
    expect(said).toMatch(/small\.png has 8 x 8 pixels, fewer than .* \(rows 14\)/);
    expect(said).toMatch(/broken\.png .*\(rows 13\)/);
    // Text encoders learn: what captions become is not made beforehand.
    expect(said).toMatch(/Prepared once for all steps: (\d+) of \1 pictures and texts/);
  });

  it('says in its recipe all that it ran with, and nothing of texts', () => {
    const text = fs.readFileSync(path.join(whole, 'recipe.yaml'), 'utf8');
    expect(text).not.toMatch(/sequenceLength|packing|targets|rateOfConnector/);
    expect(text).toContain('sampler: dpm++-2m');
    expect(text).toContain('minSnr: 5');
    const { method, baseModel } = JSON.parse(fs.readFileSync(path.join(whole, 'adapter.json'), 'utf8')) as {
      method: { targets: string[] };
      baseModel: { architecture: string };
    };
    expect(baseModel.architecture).toBe('sd');
    expect(method.targets).toEqual(expect.arrayContaining(['unet.attn1.to_q', 'unet.attn2.to_out', 'unet.ff.net_0', 'text.q_proj'])); // prettier-ignore
    expect(method.targets).not.toContain('unet.proj_in');
  });

  it('paints the same prompts from the same noise at every evaluation, beginning with the base model', async () => {
    const samples = samplesOf(whole);
    expect(samples.map(({ step }) => step)).toEqual([0, 0, 4, 4, 8, 8]);
    for (const [i, sample] of samples.entries()) {
      expect(sample).toMatchObject({ seed: 7 + (i % 2), prompt: samples[i % 2]!.prompt, negative: 'blurred' });
      expect(sample.prompt).toMatch(/^ohwx, a photo of /);
      const { width, height, format } = await sharp(fs.readFileSync(path.join(whole, sample.picture))).metadata();
      expect([width, height, format]).toEqual([16, 16, 'png']);
    }
    const [before, , , , after] = samples.map((sample) => bytesOf(whole, sample));
    expect(after).not.toBe(before);
  });

  /** The command line on its heads: left out, and by noise. */
  async function inspected([base, tuned]: [number, number]) {
    const args = ['inspect', whole, '--drop', '0.5,1', '--by-noise', '3', '--dataset', data];
    const { whole: full, drop, byNoise, heads } = await cliJson<Inspected>(args);
    expect([full.examples, full.loss]).toEqual([12, expect.closeTo(tuned, 5)]);
    expect(drop.map(({ dropped }) => dropped)).toEqual([heads.length / 2, heads.length]);
    // Without any head it is the base model.
    expect(drop[1]!.loss).toBeCloseTo(base, 5);
    expect([byNoise.parts, byNoise.examples]).toEqual([3, 12]);
    const sites = new Set(byNoise.places.map(({ site }) => site));
    expect(sites).toContain('unet.attn1.to_q');
    expect([...sites].some((site) => site.startsWith('text'))).toBe(false);
    for (const { shares } of byNoise.places)
      expect(shares.map(([one, two]) => one! + two!)).toEqual([1, 1, 1].map((sum) => expect.closeTo(sum, 4) as number));
    const { stdout } = await cli(['inspect', whole, '--by-noise', '3', '--dataset', data]);
    expect(stdout).toMatch(
      /in 3 parts, on 12 pictures\nlayer +where +site +changes by +head 0, % +head 1, %\n +\d+ +\S.*unet\.\S+ +\d+% +\d+ \d+ \d+ +\d+ \d+ \d+\n/,
    );
  }

  it('is measured as its recipe read pictures, and planned for', async () => {
    const said = () => undefined;
    const losses: number[] = [];
    for (const adapter of [undefined, whole]) {
      const opened = await openForMeasuring({ model, adapter, engine: 'tensorflow' }, said);
      const wish = adapter ? undefined : { pictures: { resolution: 16, trigger: 'ohwx' } };
      const { loss, examples, ...more } = await measure(opened, { path: data }, wish);
      expect([examples, more.perplexity, more.tokens]).toEqual([12, undefined, undefined]);
      losses.push(loss);
      await expect(measure(opened, { path: data }, { sequenceLength: 9 })).rejects.toThrow('for models that write');
      await opened.close();
    }
    expect(losses[1]).toBeLessThan(losses[0]! - 0.05);
    await inspected(losses as [number, number]);
    const file = await openModelFile(model);
    const mix = [{ path: data, weight: 1 }];
    const request = {
      model,
      mix: mix.map((part) => ({ ...part, acceptDropped: true })),
      memoryBytes: 2 ** 33,
      fixed: {},
    };
    const plan = await proposePicturePlan(file as DiffusionModelFile, request);
    expect(plan).toMatchObject({ fits: true, heldOut: { examples: 3, of: 13 }, passesAStep: 8 / 10 });
    const proposed = parseRecipe(stringify(plan.recipe), 'plan.yaml');
    expect(proposed.training.batch).toBe(8);
    // Never more numbers than LoRA of its rank on its sites: told, and counted from the shapes.
    const sites = diffusionSites((file as DiffusionModelFile).diffusion).filter(({ site }) =>
      plan.structure.sites.includes(site),
    );
    const lora = sites.reduce(
      (sum, { inFeatures, outFeatures }) => sum + proposed.method.rank * (inFeatures + outFeatures),
      0,
    );
    expect(plan.structure.trainableParameters).toBeLessThan(lora);
    const share = Math.round((100 * plan.structure.trainableParameters) / lora);
    const words = plan.choices.map(({ reason }) => reason).join(' ');
    expect(words).toContain(`${share} % of what LoRA of rank ${proposed.method.rank} would`);
    expect(words).toContain('the 60 % least important heads are frozen');
    const small = await proposePicturePlan(file as DiffusionModelFile, { ...request, memoryBytes: 2 ** 20 });
    expect([small.fits, small.warnings.at(-1)]).toEqual([false, expect.stringContaining('Raise the memory budget')]);
  });

  it.each(['diffusers', 'kohya'] as const)('goes out for %s, with what that keeps of it', async (to) => {
    const out = path.join(work, to);
    const { files, fidelity } = await exportAdapter({ adapter: whole, to, out, engine: 'tensorflow' });
    const { base, exact, exported } = fidelity!.heldOut!;
    expect(exact).toBeLessThan(base - 0.1);
    expect(Math.abs(exported - exact)).toBeLessThan((base - exact) / 2);
    const name = to === 'diffusers' ? 'pytorch_lora_weights.safetensors' : 'whole.safetensors';
    expect(files.map((file) => file.name)).toEqual(expect.arrayContaining([name, 'README.md', 'fidelity.json']));
    const file = (await openModelFile(model)) as DiffusionModelFile;
    const places = loraPlaces(file.diffusion);
    const { pairs } = await readDiffusionLora(path.join(out, name), places);
    const { method } = JSON.parse(fs.readFileSync(path.join(whole, 'adapter.json'), 'utf8')) as {
      method: { targets: string[] };
    };
    const adapted = places.adapted.filter(({ site }) => method.targets.includes(site)).map(({ path: place }) => place);
    expect(pairs.map(({ place }) => place.path)).toEqual(adapted);
    expect(pairs.every(({ rank, b }) => rank === 2 && b.some((value) => value !== 0))).toBe(true);
    // And in again, as an adapter of its own.
    await importAdapter(path.join(out, name), file, `${out}-in`);
    const opened = await openForMeasuring({ model, adapter: `${out}-in`, engine: 'tensorflow' }, () => undefined);
    expect(opened.adapter!.options).toMatchObject({ name: 'lora', rank: 2, targets: method.targets });
    const again = await exportAdapter({ adapter: `${out}-in`, to, out: `${out}-again`, engine: 'tensorflow', model });
    expect(again.fidelity!.form).toBe('exact');
    const second = await readDiffusionLora(
      path.join(`${out}-again`, to === 'diffusers' ? name : `${to}-in.safetensors`),
      places,
    );
    const change = ({ rank, alpha, b }: (typeof pairs)[number]) => [...b].map((value) => (value * alpha) / rank);
    expect(second.pairs.map(({ place }) => place.path)).toEqual(adapted);
    second.pairs.forEach((pair, i) => {
      expect(largestDifference(change(pair), change(pairs[i]!))).toBeLessThan(1e-6);
      expect(largestDifference(pair.a, pairs[i]!.a), pair.place.path).toBeLessThan(1e-6);
    });
    await opened.close();
    await expect(exportAdapter({ adapter: whole, to: 'gguf', out: `${out}-2` })).rejects.toThrow(
      'take diffusers, kohya, merged-diffusers, merged-checkpoint or effilora',
    );
  });

  it('goes out merged into its model’s folder, measured as that was written, and as no file that couldn’t say what it is', async () => {
    const out = path.join(work, 'merged');
    const asked = { adapter: whole, engine: 'tensorflow', drop: 0.25 } as const;
    const { files, fidelity } = await exportAdapter({ ...asked, to: 'merged-diffusers', out });
    const { base, exact, exported } = fidelity!.heldOut!;
    expect(exact).toBeLessThan(base - 0.05);
    expect(Math.abs(exported - exact)).toBeLessThan((base - exact) / 2);
    expect(files.map((file) => file.name)).toEqual(expect.arrayContaining(['README.md', 'fidelity.json', 'tokenizer/merges.txt', 'unet/diffusion_pytorch_model.safetensors'])); // prettier-ignore
    expect(fs.readFileSync(path.join(out, 'README.md'), 'utf8')).toContain('Numbers are as in the base model.');
    const [was, is] = [await openModelFile(model), await openModelFile(out)] as DiffusionModelFile[];
    expect(is!.diffusion.tensors).toEqual(was!.diffusion.tensors);
    // What is a plain LoRA already is merged exactly, but for the halves that the file holds.
    const plain = await exportAdapter({ ...asked, adapter: path.join(work, 'kohya-in'), model, calibrate: data, to: 'merged-diffusers', out: `${out}-plain`, drop: 0 }); // prettier-ignore
    expect(plain.fidelity!.form).toBe('exact');
    expect(Math.abs(plain.fidelity!.heldOut!.exported - plain.fidelity!.heldOut!.exact)).toBeLessThan(1e-3);
    await expect(exportAdapter({ ...asked, to: 'merged-checkpoint', out: `${out}-file` })).rejects.toThrow("can't be written as one checkpoint file: it doesn't say the number of groups"); // prettier-ignore
    await expect(exportAdapter({ ...asked, to: 'merged-diffusers', out })).rejects.toThrow('holds files already');
    expect(fs.existsSync(`${out}-file`)).toBe(false);
  });

  it('goes out as one file to share, which is the adapter itself, and comes in again', async () => {
    const out = path.join(work, 'shared');
    const { files, fidelity } = await exportAdapter({ adapter: whole, to: 'effilora', out, drop: 0.5 });
    expect([files.map(({ name }) => name), fidelity]).toEqual([['README.md', 'head-map.svg', 'whole.effilora'], null]);
    expect(fs.readFileSync(path.join(out, 'README.md'), 'utf8')).toContain('pipeline_tag: text-to-image');
    const file = (await openModelFile(model)) as DiffusionModelFile;
    await importAdapter(path.join(out, 'whole.effilora'), file, `${out}-in`);
    const [was, is] = [await readAdapter(whole), await readAdapter(`${out}-in`)];
    const names = Object.keys(was.description.heads);
    const dropped = names.filter((name) => is.description.heads[name]!.dropped);
    expect(dropped.length).toBe(Math.floor(names.length / 2));
    expect(is.description.baseModel).toEqual(was.description.baseModel);
    const shared = was.tensors.filter(({ name }) => name.startsWith('shared.A.'));
    expect(shared.length).toBeGreaterThan(0);
    expect(is.tensors.filter(({ name }) => name.startsWith('shared.A.'))).toEqual(shared);
  });

  it('killed after a checkpoint and resumed ends as if it had never been', async () => {
    const folder = path.join(work, 'killed');
    const moment = { kind: 'metrics', step: 6 } as const;
    const killed = await inEnvironment(trainerAt(moment, 'SIGKILL').env, () => run(path.join(work, 'whole.yaml'), folder)); // prettier-ignore
    expect(killed).toMatchObject({ outcome: 'failed', message: expect.stringContaining('SIGKILL') as string });
    expect(await run(path.join(folder, 'recipe.yaml'), folder, true)).toMatchObject({ outcome: 'finished' });
    expect(resultOf(folder)).toEqual(resultOf(whole));
    expect(samplesOf(folder)).toEqual(samplesOf(whole));
    for (const sample of samplesOf(whole)) expect(bytesOf(folder, sample)).toBe(bytesOf(whole, sample));
  });

  it('is had by a flow, too, whose weights are held in few bits', async () => {
    const flow = path.join(work, 'z-image');
    await wholePipeline('z-image', flow);
    const method = { diffusion: { sites: ['attention', 'feed-forward'] } };
    const from = recipe('flow', { base: flow, method, training: { steps: 4, evalEvery: 2, weights: 'int8' } });
    const folder = path.join(work, 'flow');
    expect(await run(from, folder)).toMatchObject({ outcome: 'finished' });
    const written = JSON.parse(fs.readFileSync(path.join(folder, 'adapter.json'), 'utf8')) as {
      method: { targets: string[] };
      baseModel: { architecture: string };
    };
    expect(written.baseModel.architecture).toBe('z-image');
    expect(written.method.targets).toEqual(expect.arrayContaining(['transformer.attention.to_q', 'transformer.feed_forward.w2'])); // prettier-ignore
    const samples = samplesOf(folder);
    expect(samples.map(({ step }) => step)).toEqual([0, 0, 2, 2, 4, 4]);
    expect(bytesOf(folder, samples[4]!)).not.toBe(bytesOf(folder, samples[0]!));
  });

  it('stops where the loss is no number, and keeps the last good state', async () => {
    const folder = path.join(work, 'broken');
    const end = await run(
      recipe('broken', { method: { alpha: 1e18 }, training: { evalEvery: 100, samples: 0 } }),
      folder,
    );
    expect(end).toMatchObject({ outcome: 'failed', forPeople: true, message: expect.stringMatching(/The loss of step 2 is .*state of step 1 is kept/) as string }); // prettier-ignore
    expect(fs.existsSync(path.join(folder, 'checkpoints/step-00000001/adapter.safetensors'))).toBe(true);
  });
});

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { refuseUntold } from '../../src-main/exports/diffusion/checkpoint-fit.ts';
import { rewriteCheckpoint, writeCheckpoint } from '../../src-main/exports/diffusion/merged-checkpoint.ts';
import { writeMergedFolder } from '../../src-main/exports/diffusion/merged-folder.ts';
import { pairsOfPlain } from '../../src-main/exports/diffusion/pairs.ts';
import { loraPlaces } from '../../src-main/exports/diffusion/places.ts';
import type { DiffusionFile, PartName, UNetFile } from '../../src-main/models/diffusion/pipeline/file.ts';
import { openDiffusionFolder } from '../../src-main/models/diffusion/pipeline/open-folder.ts';
import { readHeader } from '../../src-main/models/diffusion/single/file.ts';
import { openSingleFile } from '../../src-main/models/diffusion/single/open.ts';
import type { ExportResult } from '../../src-main/exports/request.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { quantize } from '../../src-main/models/gguf/quantize.ts';
import { encodeSafetensors, readFloats, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { cli, type Ended } from '../cli/support.ts';
import { SHAPED, shapedPipeline, type Shaped } from '../models/diffusion/shaped.ts';
import { wholePipeline } from '../models/diffusion/support.ts';
import { readAll } from '../models/vision/support.ts';
import { writeRandomPainter } from '../support/adapters.ts';
import { packagesOf, runPython } from '../support/python.ts';
import { plainly, randomPairs } from './diffusion-pairs.ts';

/** Models that an adapter is merged into are opened by diffusers: folders of tiny pipelines, and checkpoints of such as are shaped like the real ones. */
const FOLDERS = {
  'a tiny sd': 'sd',
  'a tiny sdxl': 'sdxl',
  'a tiny z-image': 'z-image',
  'a tiny sd with DoRA': 'sd',
} as const;
const COMMANDED = 'a shaped sd1 by the command line';
const NAMES = [...Object.keys(FOLDERS), ...SHAPED, COMMANDED];
const SINGLES = path.join(import.meta.dirname, '../models/data/diffusion/singles');
let folder: string;
const at = (...names: string[]) => path.join(folder, ...names);
const told = new Map<string, { moved: number[]; off: number[] }>();
const bases = {} as Record<Shaped, UNetFile>;
const silent = () => undefined;
let commanded: Ended;

/** Four of 16 px with captions, of which two are held out. */
async function writePictures(place: string) {
  await fs.mkdir(place);
  for (let i = 0; i < 4; i++) {
    const create = { width: 16, height: 16, channels: 3 as const, background: { r: 60 * i, g: 200 - 40 * i, b: 90 } };
    await sharp({ create })
      .png()
      .toFile(path.join(place, `${i}.png`));
    await fs.writeFile(path.join(place, `${i}.txt`), `picture ${i}`);
  }
}

beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'diffusion-merged-'));
  await openEngine('tensorflow');
  const jobs: object[] = [];
  const job = async (
    name: string,
    kind: string,
    base: DiffusionFile,
    isDora: boolean,
    write: (pairs: ReturnType<typeof randomPairs>) => Promise<string>,
  ) => {
    // prettier-ignore
    const pairs = randomPairs(loraPlaces(base), isDora, 0.1);
    await fs.writeFile(at(`${name}.plain`), plainly(pairs));
    jobs.push({ do: 'merged', kind, model: base.path, place: await write(pairs), plain: at(`${name}.plain`) });
  };
  for (const [name, kind] of Object.entries(FOLDERS)) {
    await wholePipeline(kind, at(name));
    const base = await openDiffusionFolder(at(name));
    await job(name, kind, base, name.endsWith('DoRA'), async (pairs) => {
      await fs.mkdir(at(`${name}-merged`));
      await writeMergedFolder(at(`${name}-merged`), base, pairs, silent);
      return at(`${name}-merged`);
    });
  }
  for (const kind of SHAPED) {
    await shapedPipeline(kind, at(kind));
    const base = (bases[kind] = (await openDiffusionFolder(at(kind))) as UNetFile);
    await job(kind, kind === 'sdxl' ? 'sdxl' : 'sd', base, false, async (pairs) => {
      await writeCheckpoint(at(`${kind}-merged.safetensors`), base, pairs, 'it', silent);
      await writeCheckpoint(at(`${kind}-base.safetensors`), base, [], 'it', silent);
      return at(`${kind}-merged.safetensors`);
    });
  }
  await writePictures(at('pictures'));
  // A plain LoRA is exact in every form.
  const options = { name: 'lora' as const, heads: 1, targets: ['unet.attn1.to_q', 'unet.attn2.to_v', 'text.v_proj'] };
  await writeRandomPainter(at('adapter'), at('sd1'), at('pictures'), { options, strength: 3 });
  const { description, tensors } = await readAdapter(at('adapter'));
  const pairs = pairsOfPlain({ options: description.method, tensors }, loraPlaces(bases.sd1));
  await fs.writeFile(at('commanded.plain'), plainly(pairs));
  commanded = await cli(['export', at('adapter'), '--to', 'merged-checkpoint', '--out', at('out'), '--json']);
  jobs.push({ do: 'merged', kind: 'sd', model: at('sd1'), place: at('out', 'adapter.safetensors'), plain: at('commanded.plain') }); // prettier-ignore
  await fs.writeFile(at('jobs.json'), JSON.stringify(jobs));
  const script = path.join(import.meta.dirname, 'diffusion_peers.py');
  const answers = JSON.parse(await runPython(script, [at('jobs.json')], await packagesOf('requirements-diffusers.txt'))) as never[]; // prettier-ignore
  NAMES.forEach((name, i) => told.set(name, answers[i]!));
});
afterAll(() => fs.rm(folder, { recursive: true }));

const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);

/** Parts of two models have the same tensors. */
async function expectSame(ours: DiffusionFile, theirs: DiffusionFile, ...parts: PartName[]) {
  for (const part of parts) {
    const [our, their] = [await ours.source(part), await theirs.source(part)];
    expect(our.infos.map(({ name }) => name).sort()).toEqual(their.infos.map(({ name }) => name).sort());
    // In millions of numbers a comparison of arrays takes minutes.
    for (const { name } of their.infos)
      expect(bytes(await our.find(name)!.read()).equals(bytes(await their.find(name)!.read())), name).toBe(true);
    await our.close();
    await their.close();
  }
}

/** A file of weights as two, with the index that names them. */
async function shards(file: string, into: string): Promise<string[]> {
  const all = [...(await readAll(file))].map(([name, { shape, values }]) => ({ ...{ name, shape, dtype: 'F16' as const }, data: quantize(values, 'f16') })); // prettier-ignore
  const map: Record<string, string> = {};
  const names = ['1', '2'].map((i) => `diffusion_pytorch_model-0000${i}-of-00002.safetensors`);
  for (const [i, name] of names.entries()) {
    const own = all.slice(i * 100, i ? undefined : 100);
    await fs.writeFile(path.join(into, name), encodeSafetensors(own, { format: 'pt' }));
    for (const tensor of own) map[tensor.name] = name;
  }
  await fs.writeFile(path.join(into, 'diffusion_pytorch_model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map })); // prettier-ignore
  return names;
}

it.each(NAMES)('%s is in diffusers what the same numbers in its weights make of it', (name) => {
  const { moved, off } = told.get(name)!;
  // Text features and the network's steps, and last the autoencoder's pictures and latents, which no adapter changes.
  const [pictures, latents] = [moved.pop(), moved.pop()];
  expect([pictures, latents]).toEqual([0, 0]);
  expect(Math.min(...moved)).toBeGreaterThan(0.005);
  expect(Math.max(...off)).toBeLessThan(1e-4);
});

describe('a merged folder', () => {
  it('is read here as the base model is, with the same tensors in the same types, and what is beside them goes along', async () => {
    const [was, is] = [await openDiffusionFolder(at('a tiny sd')), await openDiffusionFolder(at('a tiny sd-merged'))];
    expect(is.tensors).toEqual(was.tensors);
    expect((await fs.readdir(at('a tiny sd-merged', 'tokenizer'))).sort()).toEqual(
      await fs.readdir(at('a tiny sd', 'tokenizer')),
    );
    expect(await fs.readdir(at('a tiny sd-merged'))).not.toContain('expected.safetensors');
  });

  it('leaves out what would be the model as it was, and says so; shards stay shards, links become files', async () => {
    const model = at('sharded');
    await wholePipeline('sd', model);
    const whole = await fs.readFile(path.join(model, 'unet/diffusion_pytorch_model.safetensors'));
    await fs.rename(path.join(model, 'unet/diffusion_pytorch_model.safetensors'), at('whole.safetensors'));
    const names = await shards(at('whole.safetensors'), path.join(model, 'unet'));
    await fs.writeFile(path.join(model, 'unet/diffusion_pytorch_model.fp16.safetensors'), whole);
    await fs.writeFile(path.join(model, 'LICENSE.md'), 'be kind');
    await fs.writeFile(path.join(model, 'all-in-one.ckpt'), 'not read');
    await fs.rename(path.join(model, 'vae/config.json'), at('vae-config.json'));
    await fs.symlink(at('vae-config.json'), path.join(model, 'vae/config.json'));
    const base = await openDiffusionFolder(model);
    await fs.mkdir(at('sharded-merged'));
    const counts: number[][] = [];
    const pairs = randomPairs(loraPlaces(base), false, 0.1).filter(({ place }) => place.group === 'unet');
    const notes = await writeMergedFolder(at('sharded-merged'), base, pairs, (...count) => counts.push(count));
    expect(notes).toEqual([expect.stringMatching(/^Of unet .*diffusion_pytorch_model\.fp16\.safetensors.*left out/)]);
    const written = (await fs.readdir(at('sharded-merged/unet'))).sort();
    expect(written).toEqual(['config.json', ...names, 'diffusion_pytorch_model.safetensors.index.json']);
    expect((await fs.readdir(at('sharded-merged'))).sort()).toEqual([
      'LICENSE.md',
      'model_index.json',
      'scheduler',
      'text_encoder',
      'tokenizer',
      'unet',
      'vae',
    ]);
    expect((await fs.lstat(at('sharded-merged/vae/config.json'))).isFile()).toBe(true);
    expect([counts[0], counts.at(-1)]).toEqual([
      [1, 206],
      [206, 206],
    ]);
    const [both, one] = await Promise.all(
      ['sharded-merged', 'a tiny sd-merged'].map((name) => openDiffusionFolder(at(name))),
    );
    await expectSame(both!, one!, 'unet');
    await expectSame(both!, base, 'text');
  });
});

describe('a checkpoint in one file', () => {
  it.each([
    ['sd1', 'sd', 'quick_gelu'],
    ['sd2', 'sd', 'gelu'],
    ['sdxl', 'sdxl', 'quick_gelu'],
  ] as const)('of %s holds what diffusers turns into the folder that it is of', async (single, tiny, activation) => {
    const base = (await openDiffusionFolder(at(`a tiny ${tiny}`))) as UNetFile;
    const [text, ...others] = base.texts;
    const texts = [{ ...text!, config: { ...text!.config, activation } }, ...others];
    await writeCheckpoint(at('plain.safetensors'), { ...base, texts }, [], 'it', silent);
    const written = await readAll(at('plain.safetensors'));
    const theirs = await FileReader.open(path.join(SINGLES, `${single}.safetensors`));
    const { tensors } = await readSafetensorsHeader(theirs);
    const more = [...tensors.keys()].filter((name) => !written.has(name));
    expect(
      more.every((name) =>
        /position_ids$|logit_scale$|^alphas_cumprod$|^model_ema|^cond_stage_model.*text_projection$/.test(name),
      ),
    ).toBe(true);
    for (const [name, { shape, values }] of written)
      expect([name, shape, values]).toEqual([
        name,
        tensors.get(name)?.shape,
        await readFloats(theirs, tensors.get(name)!),
      ]);
    await theirs.close();
  });

  it.each(SHAPED)(
    'of %s is read here with the folder’s structure, and is written again as from the folder',
    async (kind) => {
      const base = bases[kind];
      const [merged, plain] = [
        await openSingleFile(at(`${kind}-merged.safetensors`)),
        await openSingleFile(at(`${kind}-base.safetensors`)),
      ];
      await refuseUntold(base);
      expect(merged.noise).toMatchObject({ prediction: base.noise.prediction });
      const pairs = randomPairs(loraPlaces(plain), false, 0.1);
      expect(pairs.map(({ place }) => place.path)).toEqual(
        randomPairs(loraPlaces(base)).map(({ place }) => place.path),
      );
      expect(await rewriteCheckpoint(at('again.safetensors'), plain, pairs, silent)).toEqual([]);
      const parts: PartName[] = ['unet', 'vae', 'text', ...(kind === 'sdxl' ? (['text_2'] as const) : [])];
      await expectSame(await openSingleFile(at('again.safetensors')), merged, ...parts);
    },
  );

  it('says in its header, and to programs that know a mark, what its network is asked for', async () => {
    const noise = { ...bases.sd1.noise, prediction: 'v_prediction', zeroTerminal: true } as UNetFile['noise'];
    await writeCheckpoint(at('velocity.safetensors'), { ...bases.sd1, noise }, [], 'it', silent);
    const velocity = await openSingleFile(at('velocity.safetensors'));
    expect(velocity.noise).toMatchObject({ prediction: 'v_prediction', zeroTerminal: true });
    const told = { ...bases.sd2, noise: { ...bases.sd2.noise, prediction: 'epsilon' } as UNetFile['noise'] };
    await writeCheckpoint(at('epsilon.safetensors'), told, [], 'it', silent);
    expect((await openSingleFile(at('epsilon.safetensors'))).noise.prediction).toBe('epsilon');
  });

  it('is written by the command line with its card, measured on held-out pictures as it was written', async () => {
    expect(commanded).toMatchObject({ code: 0 });
    const { files, fidelity } = JSON.parse(commanded.stdout.trim().split('\n').at(-1)!) as ExportResult;
    expect(files.map(({ name }) => name)).toEqual(['README.md', 'adapter.safetensors', 'fidelity.json', 'head-map.svg']); // prettier-ignore
    const { base, exact, exported } = fidelity!.heldOut!;
    expect(Math.abs(exact - base)).toBeGreaterThan(1e-3);
    expect(Math.abs(exported - exact)).toBeLessThan(1e-3 * Math.abs(exact - base) + 1e-4);
  });

  it('is refused by the command line in a sentence, and nothing is written', async () => {
    const asked = ['export', at('adapter'), '--to', 'merged-checkpoint', '--model', at('a tiny sd'), '--out', at('no')];
    const { code, stdout, stderr } = await cli(asked);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.trim().split('\n').at(-1)).toMatch(
      /a tiny sd can't be written as one checkpoint file: it doesn't say the number of groups in a norm of the UNet \(2 here, 32 as programs read such a file\)\. Take merged-diffusers, which keeps everything\.$/,
    );
    await expect(fs.stat(at('no'))).rejects.toThrow('ENOENT');
  });

  it('leaves out moving averages and says so, and keeps what is no weight', async () => {
    const base = await openSingleFile(path.join(SINGLES, 'sd1.safetensors'));
    const notes = await rewriteCheckpoint(at('averages.safetensors'), base, [], silent);
    expect(notes).toEqual([expect.stringMatching(/moving averages \(1 tensors/)]);
    const [was, is] = await Promise.all(
      [base.path, at('averages.safetensors')].map(async (file) => (await readHeader(file)).tensors),
    );
    const told = (all: typeof was) => [...all!].map(([name, { dtype, shape }]) => [name, dtype, shape]);
    expect(told(is)).toEqual(told(was).filter(([name]) => name !== 'model_ema.decay'));
  });

  it.each<[string, () => Promise<DiffusionFile>, RegExp]>([
    ['of another kind', () => openDiffusionFolder(at('a tiny z-image')), /a Z-Image, whose parts/],
    [
      'with fewer groups',
      () => openDiffusionFolder(at('a tiny sd')),
      /doesn't say the number of groups in a norm of the UNet \(2 here, 32 as programs read such a file\)\. Take merged-diffusers/,
    ],
    [
      'with other noise',
      async () => ({
        ...bases.sd1,
        noise: { ...bases.sd1.noise, betas: { form: 'linear', start: 0.1, end: 0.2 } } as UNetFile['noise'],
      }),
      /nothing of the noise/,
    ],
    [
      'with other words',
      async () => ({
        ...bases.sd1,
        texts: [
          {
            ...bases.sd1.texts[0]!,
            tokenizer: ((await openDiffusionFolder(at('a tiny sd'))) as UNetFile).texts[0]!.tokenizer,
          },
        ],
      }),
      /no tokenizer.*another than CLIP's/,
    ],
    [
      'with other latents',
      async () => ({ ...bases.sd1, vae: { ...bases.sd1.vae, scale: 1 } }),
      /the scale of latents of the autoencoder \(1 here, 0\.18215 as/,
    ],
    [
      'with other heads on one level',
      async () => {
        const { down } = bases.sd1.unet;
        const other = down.map((level, i) => (i === 1 ? { ...level, heads: 4 } : level));
        return { ...bases.sd1, unet: { ...bases.sd1.unet, down: other } };
      },
      /the number of attention heads of level 2 of the way down of the UNet \(4 here, 8 as/,
    ],
    [
      'with another order of the time’s features',
      async () => ({ ...bases.sd1, unet: { ...bases.sd1.unet, time: { cosineFirst: false, shift: 0 } } }),
      /the cosines standing first of the time features of the UNet \(no here, yes as/,
    ],
  ])('is refused of a model %s, by what it couldn’t say', async (_, open, what) => {
    // prettier-ignore
    await expect(open().then(refuseUntold)).rejects.toThrow(what);
  });

  it('is not written with numbers that its type has no place for', async () => {
    const [pair] = randomPairs(loraPlaces(bases.sd1));
    const broken = { ...pair!, alpha: 1e9 };
    await expect(writeCheckpoint(at('broken.safetensors'), bases.sd1, [broken], 'it', silent)).rejects.toThrow(/proj_in\.weight would hold numbers that F16 has no place for/); // prettier-ignore
  });
});

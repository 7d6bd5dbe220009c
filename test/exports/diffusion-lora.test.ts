import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { siteTensor } from '../../src-main/effilora/names.ts';
import { pairsOfPlain, type LoraPair } from '../../src-main/exports/diffusion/pairs.ts';
import { COMPONENTS, loraPlaces, type LoraPlace, type LoraPlaces } from '../../src-main/exports/diffusion/places.ts';
import { readDiffusionLora } from '../../src-main/exports/diffusion/read-lora.ts';
import { DIFFUSERS_FILE, encodeDiffusersLora } from '../../src-main/exports/diffusion/write-diffusers.ts';
import { encodeKohyaLora } from '../../src-main/exports/diffusion/write-kohya.ts';
import type { DiffusionFile } from '../../src-main/models/diffusion/pipeline/file.ts';
import { openDiffusionFolder } from '../../src-main/models/diffusion/pipeline/open-folder.ts';
import { encodeSafetensors } from '../../src-main/models/safetensors.ts';
import { readNamedTensors } from '../../src-main/trainer/tensor-file.ts';
import { wholePipeline } from '../models/diffusion/support.ts';
import { largestDifference } from '../models/support.ts';
import { readAll } from '../models/vision/support.ts';
import { packagesOf, runPython } from '../support/python.ts';
import { plainly, randomPairs } from './diffusion-pairs.ts';

/** Files of LoRAs written here are loaded by diffusers, and those that diffusers and PEFT write are read here, on tiny random pipelines. */
type Kind = 'sd' | 'sdxl';
const KINDS: Kind[] = ['sd', 'sdxl'];
const KOHYA_FILE = 'mine.safetensors';
const FORMS = ['diffusers', 'kohya', 'dora', 'queries'] as const;

let folder: string;
/** Nothing of a flow but its transformer is adapted; PEFT's own writing of one is no other than a UNet's. */
const FLOW_FORMS = ['diffusers', 'kohya', 'dora'] as const;
const models = {} as Record<Kind | 'z-image', { file: DiffusionFile; places: LoraPlaces; pairs: LoraPair[] }>;
const answers = new Map<string, { moved: number[]; off: number[] }>();

/** What is written of each form, and the job that loads it. */
async function writeForm(kind: Kind | 'z-image', form: (typeof FORMS)[number]) {
  const { file, places, pairs } = models[kind];
  const name = path.basename(file.path);
  const written = {
    diffusers: pairs,
    kohya: pairs,
    dora: randomPairs(places, true),
    // diffusers knows a text encoder's keys by `out_proj` alone.
    queries: pairs.filter(({ place }) => /[q1]_proj$|fc1$/.test(place.path)),
  }[form];
  const here = path.join(folder, `${kind}-${form}`);
  await fsp.mkdir(here);
  const isKohya = form === 'kohya' || form === 'queries';
  const bytes = isKohya ? encodeKohyaLora(written, places, { name, base: file }) : encodeDiffusersLora(written, places);
  const target = isKohya ? KOHYA_FILE : DIFFUSERS_FILE;
  await fsp.writeFile(path.join(here, target), bytes);
  await fsp.writeFile(path.join(here, 'plain.safetensors'), plainly(written));
  return {
    do: 'load',
    convert: form === 'kohya' && kind !== 'z-image',
    kind,
    model: file.path,
    folder: here,
    file: target,
    plain: path.join(here, 'plain.safetensors'),
  };
}

beforeAll(async () => {
  folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'diffusion-lora-'));
  const jobs: object[] = [];
  const open = async (kind: Kind | 'z-image') => {
    const model = path.join(folder, kind);
    await wholePipeline(kind, model);
    const file = await openDiffusionFolder(model);
    const places = loraPlaces(file);
    models[kind] = { file, places, pairs: randomPairs(places) };
    return model;
  };
  for (const kind of KINDS) {
    const model = await open(kind);
    for (const form of FORMS) jobs.push(await writeForm(kind, form));
    for (const use_dora of [false, true]) {
      const here = path.join(folder, `${kind}-peft${use_dora ? '-dora' : ''}`);
      await fsp.mkdir(here);
      const text = { r: 2, lora_alpha: 3, use_dora };
      const unet = { r: 4, lora_alpha: 6, use_rslora: true, rank_pattern: { 'attn2.to_k': 3 }, alpha_pattern: { proj_in: 1 }, use_dora }; // prettier-ignore
      jobs.push({ do: 'make', kind, model, folder: here, config: { unet, text_encoder: text, text_encoder_2: { ...text, lora_alpha: 1 } } }); // prettier-ignore
    }
  }
  await open('z-image');
  for (const form of FLOW_FORMS) jobs.push(await writeForm('z-image', form));
  await fsp.writeFile(path.join(folder, 'jobs.json'), JSON.stringify(jobs));
  const script = path.join(import.meta.dirname, 'diffusion_peers.py');
  const told = await runPython(
    script,
    [path.join(folder, 'jobs.json')],
    await packagesOf('requirements-diffusers.txt'),
  );
  const loaded = (JSON.parse(told) as { moved: number[]; off: number[] }[]).filter(({ off }) => off);
  const names = [...KINDS.flatMap((kind) => FORMS.map((form) => `${kind} ${form}`)), ...FLOW_FORMS.map((form) => `z-image ${form}`)]; // prettier-ignore
  names.forEach((name, i) => answers.set(name, loaded[i]!));
});
afterAll(() => fsp.rm(folder, { recursive: true }));

describe.each(KINDS)('a LoRA of %s', (kind) => {
  it.each(FORMS)('written as %s does in diffusers what the same numbers do in the weights', (form) => {
    const { moved, off } = answers.get(`${kind} ${form}`)!;
    // Text features; the UNet's step with them; its step with the features as they were, and for SDXL the whole text's own as it is.
    expect(Math.min(...moved.slice(0, 2))).toBeGreaterThan(0.01);
    expect(moved[2]! > 0.01).toBe(form !== 'queries' || kind === 'sdxl');
    expect(Math.max(...off)).toBeLessThan(1e-4);
  });

  it.each(['diffusers', 'kohya', 'dora'] as const)('written as %s is read again as it was', async (form) => {
    const { places } = models[kind];
    const read = await readDiffusionLora(path.join(folder, `${kind}-${form}`, form === 'kohya' ? KOHYA_FILE : DIFFUSERS_FILE), places); // prettier-ignore
    const expected = randomPairs(places, form === 'dora');
    expect(read.notes).toEqual([]);
    expect(read.name).toBe(form === 'kohya' ? kind : undefined);
    expect(read.pairs.map(({ place }) => place.path)).toEqual(expected.map(({ place }) => place.path));
    for (const [i, { a, b, rank, alpha, magnitude }] of read.pairs.entries()) {
      const was = expected[i]!;
      // For diffusers the scale is worked into B.
      const factor = form === 'kohya' ? 1 : was.alpha / was.rank;
      expect([rank, alpha, a, magnitude]).toEqual([was.rank, form === 'kohya' ? was.alpha : was.rank, was.a, was.magnitude]); // prettier-ignore
      expect(b).toEqual(was.b.map((value) => value * factor));
    }
  });

  it.each(['', '-dora'])(
    'that PEFT made%s is read with its scales, in every form that diffusers writes',
    async (dora) => {
      const here = path.join(folder, `${kind}-peft${dora}`);
      const { places } = models[kind];
      const told = await readDiffusionLora(path.join(here, 'told.safetensors'), places);
      // PEFT adapts the last layer of SDXL's first text encoder, too, which no picture sees: four linears.
      const idle = kind === 'sdxl' ? 4 : 0;
      const left = `${dora ? 3 * idle : 2 * idle} tensors of a text encoder's last layer are left out`;
      expect(told.notes.map((note) => note.split(':')[0])).toEqual(idle ? [left] : []);
      const deltas = await readAll(path.join(here, 'deltas.safetensors'));
      expect(told.pairs.length).toBe([...deltas.keys()].filter((name) => name.endsWith('.delta')).length - idle);
      for (const { place, rank, alpha, a, b, magnitude } of told.pairs) {
        const name = `${COMPONENTS[place.group]}.${place.path}`;
        const { inFeatures, outFeatures } = place;
        const product = Float32Array.from({ length: inFeatures * outFeatures }, (_, at) => {
          const [row, column] = [Math.floor(at / inFeatures), at % inFeatures];
          let sum = 0;
          for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[k * inFeatures + column]!;
          return (alpha / rank) * sum;
        });
        expect(largestDifference(product, deltas.get(`${name}.delta`)!.values)).toBeLessThan(1e-5);
        expect(magnitude).toEqual(deltas.get(`${name}.magnitude`)?.values);
      }
      // Those say no alpha, or the rank for it.
      for (const form of dora ? [] : ['older', 'kohya']) {
        const { pairs, notes } = await readDiffusionLora(path.join(here, `${form}.safetensors`), places);
        expect(pairs).toEqual(told.pairs.map((pair) => ({ ...pair, alpha: pair.rank })));
        expect(notes.some((note) => note.startsWith('The file says no alpha for its linears'))).toBe(form === 'older');
      }
    },
  );

  it('says in a kohya header what it is for', async () => {
    const { metadata } = await readNamedTensors(path.join(folder, `${kind}-kohya`, KOHYA_FILE));
    const versions = { sd: ['sd_v1', 'stable-diffusion-v1/lora'], sdxl: ['sdxl_base_v1-0', 'stable-diffusion-xl-v1-base/lora'] }; // prettier-ignore
    expect([metadata.ss_base_model_version, metadata['modelspec.architecture']]).toEqual(versions[kind]);
    expect(metadata).toMatchObject({
      ...{ ss_network_module: 'networks.lora', ss_network_dim: 'Dynamic', ss_network_alpha: '1.5' },
      ...{ ss_output_name: kind, ss_v2: 'False' },
    });
  });

  it('comes from a plain LoRA of the studio', () => {
    const { places } = models[kind];
    const [first] = places.adapted as [LoraPlace];
    const options = {
      ...{ name: 'lora' as const, rank: 2, heads: 1, alpha: 3, targets: [first.site], dropout: 0, rsLora: false },
      ...{ share: 'global' as const, router: 'site' as const, dora: false },
    };
    const { inFeatures, outFeatures } = first;
    const tensors = [
      { name: siteTensor(first, 'A'), shape: [2, inFeatures], data: new Float32Array(2 * inFeatures) },
      { name: siteTensor(first, 'B'), shape: [1, outFeatures, 2], data: new Float32Array(2 * outFeatures) },
    ];
    expect(pairsOfPlain({ options, tensors }, places)).toEqual([
      { place: first, rank: 2, alpha: 3, a: tensors[0]!.data, b: tensors[1]!.data, magnitude: undefined },
    ]);
    const other = { ...tensors[0]!, name: 'layers.99.unet.proj_in.A' };
    expect(() => pairsOfPlain({ options, tensors: [...tensors, other] }, places)).toThrow(/layers.99.unet.proj_in.A/);
  });

  it('with DoRA is not written for kohya, nor is one of nothing', () => {
    const { file, places } = models[kind];
    const header = { name: 'it', base: file };
    expect(() => encodeKohyaLora(randomPairs(places, true), places, header)).toThrow(/in different ways/);
    expect(() => encodeKohyaLora([], places, header)).toThrow(/nothing to write/);
    expect(() => encodeDiffusersLora([], places)).toThrow(/nothing to write/);
  });
});

describe('a LoRA of a flow', () => {
  it.each(FLOW_FORMS)(
    'written as %s does in diffusers what the same numbers do in the weights, and is read again',
    async (form) => {
      const { moved, off } = answers.get(`z-image ${form}`)!;
      expect([moved.length, moved[0]! > 0.01, off[0]! < 1e-4]).toEqual([1, true, true]);
      const { places } = models['z-image'];
      const file = form === 'kohya' ? KOHYA_FILE : DIFFUSERS_FILE;
      const { pairs, notes } = await readDiffusionLora(path.join(folder, `z-image-${form}`, file), places);
      expect(notes).toEqual([]);
      const was = randomPairs(places, form === 'dora');
      expect(pairs.map(({ place, a, magnitude }) => [place.path, a, magnitude])).toEqual(was.map(({ place, a, magnitude }) => [place.path, a, magnitude])); // prettier-ignore
    },
  );

  it('says in a kohya header what it is for, and is known by the name that ComfyUI gives the network, too', async () => {
    const { metadata } = await readNamedTensors(path.join(folder, 'z-image-kohya', KOHYA_FILE));
    expect(metadata).toMatchObject({ ss_base_model_version: 'z_image', 'modelspec.architecture': 'z-image/lora' });
    const { places } = models['z-image'];
    const [first] = randomPairs(places) as [LoraPair];
    const tensor = (name: string, shape: number[], data: Float32Array) => ({ name: `diffusion_model.${first.place.path}.${name}.weight`, dtype: 'F32' as const, shape, data }); // prettier-ignore
    const file = path.join(folder, 'comfy.safetensors');
    await fsp.writeFile(file, encodeSafetensors([
      tensor('lora_A', [first.rank, first.place.inFeatures], first.a),
      tensor('lora_B', [first.place.outFeatures, first.rank], first.b),
    ])); // prettier-ignore
    const { pairs } = await readDiffusionLora(file, places);
    expect(pairs.map(({ place, a, b }) => [place.path, a, b])).toEqual([[first.place.path, first.a, first.b]]);
  });
});

import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openEngine } from '../../../src-main/engine/index.ts';
import { PackedMatrix } from '../../../src-main/engine/packed.ts';
import { MOST_TOKENS } from '../../../src-main/models/diffusion/flow/prompt.ts';
import { heldInFlow } from '../../../src-main/models/diffusion/flow/held.ts';
import type { FlowFile } from '../../../src-main/models/diffusion/pipeline/file.ts';
import { DiffusionModel } from '../../../src-main/models/diffusion/pipeline/model.ts';
import { openDiffusionFolder } from '../../../src-main/models/diffusion/pipeline/open-folder.ts';
import { developed, paintLatents, type PaintOptions } from '../../../src-main/models/diffusion/pipeline/paint.ts';
import { asTensors } from '../../../src-main/models/feeds.ts';
import { scratchFolder } from '../../support/scratch.ts';
import { largestDifference } from '../support.ts';
import { readAll } from '../vision/support.ts';
import { wholePipeline } from './support.ts';

/** A tiny random Z-Image pipeline with what diffusers makes of texts and noise (../data/diffusion/make_flow.py). */
const LONG = 'the quick brown fox jumps over the lazy dog '.repeat(3);
const PROMPTS = ['a photo of a cat', '', LONG];

let scratch: ReturnType<typeof scratchFolder>;
beforeEach(async () => {
  await openEngine('tensorflow');
  scratch = scratchFolder();
  await wholePipeline('z-image', scratch.folder);
});
afterEach(() => scratch.remove());

const open = async () => DiffusionModel.load(await openDiffusionFolder(scratch.folder));
const expectedNumbers = () => readAll(path.join(scratch.folder, 'expected.safetensors'));

describe('a pipeline of a flow', () => {
  it('reads texts as diffusers does, each with its own length, and says what there is no room for', async () => {
    const before = tf.memory().numTensors;
    const model = await open();
    const expected = await expectedNumbers();
    const { feeds, left } = model.texts.feeds(PROMPTS);
    expect(left).toEqual([undefined, undefined, undefined]);
    const inputs = asTensors(feeds);
    const { context, pooled } = model.texts.features(inputs);
    const theirs = PROMPTS.map((_, i) => expected.get(`features.${i}`)!);
    expect([...(await pooled!.data())]).toEqual(theirs.map(({ shape }) => shape[0]));
    const values = await context.data();
    const size = values.length / PROMPTS.length;
    for (const [i, { values: own }] of theirs.entries())
      expect(largestDifference(values.slice(i * size, i * size + own.length), own), PROMPTS[i]).toBeLessThan(1e-4);
    tf.dispose([inputs, context, pooled!]);

    const tooLong = model.texts.feeds([`${'cat '.repeat(MOST_TOKENS)}at last`]);
    expect(tooLong.left[0]).toMatch(/^\s?(at )?cat .*cat at last$/);
    expect(tooLong.feeds['text.ids']!.shape).toEqual([MOST_TOKENS]);
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each([
    // diffusers' guidance counts from the prompt on, and is 0 where there is none.
    { name: 'guided', guidance: 3, prompts: [LONG, PROMPTS[0]!] },
    { name: 'plain', guidance: 1, prompts: [LONG] },
  ])('paints what diffusers paints in 20 steps: $name', async ({ name, guidance, prompts }) => {
    const before = tf.memory().numTensors;
    const model = await open();
    const expected = await expectedNumbers();
    const count = prompts.length;
    const noise = Float32Array.from({ length: count * 6 * 8 * 4 }, (_, i) => 1.4 * Math.sin(1 + 2.3 * i + 0.37 * i * i)); // prettier-ignore
    const start = tf.tensor4d(noise, [count, 6, 8, 4]);
    const options: PaintOptions = {
      ...{ prompts, guidance, negative: 'the dog', sampler: 'flow-euler', steps: 20, height: 12, width: 16, seeds: [] },
    };
    const latents = await paintLatents(model, options, start);
    expect(largestDifference(await latents.data(), expected.get(`${name}:latents`)!.values)).toBeLessThan(1e-3);
    const vae = await model.vae();
    const pictures = await developed(vae, latents);
    // A half of rounding, and a little.
    expect(largestDifference(pictures.flatMap(({ rgb }) => [...rgb]), expected.get(`${name}:picture`)!.values)).toBeLessThan(0.75); // prettier-ignore
    tf.dispose([start, latents]);
    vae.dispose();
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('refuses sizes and samplers that are not its own, and holds all its matrices in few bits where asked', async () => {
    const model = await DiffusionModel.load(await openDiffusionFolder(scratch.folder), 'int8');
    const options: PaintOptions = {
      ...{ prompts: ['a cat'], guidance: 1, negative: '', sampler: 'flow-euler', steps: 2, height: 8, width: 8, seeds: [1] }, // prettier-ignore
    };
    await expect(paintLatents(model, { ...options, width: 10 })).rejects.toThrow('take sides that are multiples of 4');
    await expect(paintLatents(model, { ...options, sampler: 'ddim' })).rejects.toThrow('take one of flow-euler');
    expect(model.matrices.filter((matrix) => matrix instanceof PackedMatrix).length).toBeGreaterThan(4 * 7 + 2 * 7);
    // The text encoder's matrices, but for those of the last layer, are what the file is said to hold.
    const text = model.file.tensors.text!.filter(
      (tensor) => heldInFlow(model.file as FlowFile, 'text', tensor) === 'held',
    );
    expect(model.texts.matrices.map(({ shape }) => shape.join()).sort()).toEqual(text.map(({ shape }) => shape.join()).sort()); // prettier-ignore
    (await paintLatents(model, options)).dispose();
    model.dispose();
  });

  type Json = Record<string, unknown>;
  it.each<[string, Json, string]>([
    ['model_index.json', { transformer: ['diffusers', 'FluxTransformer2DModel'] }, '"transformer" is ["diffusers","FluxTransformer2DModel"], which is not supported; supported is "ZImageTransformer2DModel"'], // prettier-ignore
    ['model_index.json', { text_encoder: ['transformers', 'T5EncoderModel'] }, '"text_encoder" is'],
    ['text_encoder/config.json', { model_type: 'llama' }, '"model_type" is "llama", which is not supported; supported is "qwen3"'], // prettier-ignore
    [
      'transformer/config.json',
      { cap_feat_dim: 12 },
      'its texts have 10 features a token, and its transformer takes 12',
    ],
    ['transformer/config.json', { in_channels: 16 }, 'latents have 4 channels, and its transformer takes 16'],
    [
      'scheduler/scheduler_config.json',
      {
        _class_name: 'DDIMScheduler',
        shift: null,
        base_shift: null,
        max_shift: null,
        base_image_seq_len: null,
        max_image_seq_len: null,
      },
      'its scheduler is none of a flow',
    ],
  ])('whose %s says %j is refused by name', async (file, changed, what) => {
    const place = path.join(scratch.folder, file);
    fs.writeFileSync(place, JSON.stringify({ ...(JSON.parse(fs.readFileSync(place, 'utf8')) as Json), ...changed }));
    await expect(openDiffusionFolder(scratch.folder)).rejects.toThrow(what);
  });

  it('without its chat template or its tokenizer is refused, and is another one when one of its parts is', async () => {
    const hash = async () => (await openDiffusionFolder(scratch.folder)).sha256();
    const hashes = [await hash()];
    for (const part of ['transformer/diffusion_pytorch_model', 'text_encoder/model', 'vae/diffusion_pytorch_model']) {
      const place = path.join(scratch.folder, `${part}.safetensors`);
      const bytes = await fsp.readFile(place);
      bytes[bytes.length - 1]! ^= 1;
      await fsp.writeFile(place, bytes);
      hashes.push(await hash());
    }
    expect(new Set(hashes).size).toBe(4);
    await fsp.rm(path.join(scratch.folder, 'tokenizer/chat_template.jinja'));
    await expect(openDiffusionFolder(scratch.folder)).rejects.toThrow('has no chat template');
    await fsp.rm(path.join(scratch.folder, 'tokenizer/tokenizer.json'));
    await expect(openDiffusionFolder(scratch.folder)).rejects.toThrow('holds no tokenizer.json');
  });
});

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { MergedTensors } from '../../src-main/exports/merge.ts';
import { writeMergedGguf } from '../../src-main/exports/merged-gguf.ts';
import { mmprojNotes, writeMmproj } from '../../src-main/exports/mmproj.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { decodePicture } from '../../src-main/models/vision/pictures/decode.ts';
import { isHashOf } from '../../src-main/models/identity.ts';
import { mmprojBeside } from '../../src-main/models/vision/mmproj/beside.ts';
import { openPictureProcessor } from '../../src-main/models/vision/preparation/open.ts';
import { patchRows } from '../../src-main/models/vision/preparation/patches.ts';
import { withPictures } from '../../src-main/models/vision/preparation/placeholders.ts';
import { preparePicture } from '../../src-main/models/vision/preparation/prepare.ts';
import { VisionLanguageModel } from '../../src-main/models/vision/vision-language.ts';
import { pictureBatch } from '../../src-main/tasks/vision-language/batch.ts';
import { pictureObjective, withFeatures } from '../../src-main/tasks/vision-language/objective.ts';
import { largestDifference } from '../models/support.ts';
import { packagesOf, runPython } from '../support/python.ts';

/** Tiny random models with a tokenizer (models/data/vision/make_talking.py). */
const data = path.join(import.meta.dirname, '../models/data/vision/talking');
const PROMPT = '<|im_start|>User:{}What is it?<end_of_utterance>\nAssistant:';
/** What stands for a picture in our text, and a picture's pixels a side: idefics3 cuts it into tiles of 16, the others take it as it is. */
const FAMILIES = [
  { family: 'idefics3', mark: '<image>', side: 64 },
  { family: 'llava', mark: '<image>', side: 16 },
  { family: 'gemma3', mark: '<start_of_image>', side: 16 },
  // Not of whole windows of 112.
  { family: 'qwen2.5-vl', mark: '<|vision_start|><|image_pad|><|vision_end|>', side: 168 },
];

let out: string;
beforeAll(() => (out = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-mmproj-'))));
afterAll(() => fs.rmSync(out, { recursive: true, force: true }));

/** Colours that change slowly, so that every way of making a picture smaller gives nearly the same. */
async function picture(side: number, name: string, colour: (x: number, y: number) => number[]): Promise<string> {
  const parts = Array.from(
    { length: side * side },
    (_, i) => [(i % side) / side, Math.floor(i / side) / side] as const,
  );
  const rgb = Buffer.from(parts.flatMap(([x, y]) => colour(x, y)));
  const file = path.join(out, `${name}-${side}.png`);
  await sharp(rgb, { raw: { width: side, height: side, channels: 3 } }).toFile(file);
  return file;
}

const sizeOf = ({ width, height }: { width: number; height: number }, patch: number) => ({ rows: height / patch, columns: width / patch }); // prettier-ignore

/** log p of every next token by our own model. */
async function ours(
  model: VisionLanguageModel,
  place: string,
  mark: string,
  file: string,
): Promise<[number, number][]> {
  const opened = await openTextModel(place);
  const { options, placeholder } = await openPictureProcessor(opened.sees!.place);
  const prepared = preparePicture(await decodePicture(fs.readFileSync(file), file), options, file);
  const text = withPictures(PROMPT.replace('{}', mark), placeholder, [prepared]);
  const ids = opened.tokenizer!.encode(text, { addSpecialTokens: false });
  await opened.close();
  const layout = options.kind === 'grid' ? options : { patch: 4, frames: 1, merge: 1 };
  const batch = pictureBatch([
    {
      inputIds: Int32Array.from(ids),
      labels: new Int32Array(ids.length).fill(-100),
      patches: patchRows(prepared, layout, options.normalization),
      grids: Array.from({ length: prepared.tiles }, () => sizeOf(prepared, layout.patch)),
    },
  ]);
  const tensors = pictureObjective(model).tensors(batch);
  const last = tf.tidy(() => {
    const logits = model.language.tokenLogits(withFeatures(model, tensors));
    return tf.logSoftmax(tf.slice(logits, [ids.length - 1, 0], [1, -1]));
  });
  const values = (await last.data()) as Float32Array;
  tf.dispose([tensors as unknown as tf.TensorContainer, last]);
  return [...values.entries()];
}

describe.each(FAMILIES)('the mmproj of $family', ({ family, mark, side }) => {
  it('is, beside its GGUF, the same model to llama.cpp, which sees its pictures', async () => {
    await openEngine('cpu');
    const folder = path.join(data, family);
    const base = await openTextModel(folder);
    const [text, mmproj] = [path.join(out, `${family}.gguf`), path.join(out, `mmproj-${family}.gguf`)];
    const unchanged = new MergedTensors(base, { options: {} as AdapterOptions, tensors: [] });
    await writeMergedGguf(text, base, unchanged, family, 'f16', () => {});
    await writeMmproj(mmproj, base.sees!, unchanged);
    const [note] = mmprojNotes(base.sees!);
    const pictures = [
      await picture(side, 'across', (x, y) => [250 * x, 250 * y, 128]),
      await picture(side, 'down', (x, y) => [250 - 250 * y, 60, 250 * x]),
    ];
    // Of gemma3, the processor puts two line breaks around a picture; llama.cpp leaves them to the text.
    const prompt = family === 'gemma3' ? PROMPT.replace('{}', '\n\n{}\n\n') : PROMPT;
    const talk = path.join(import.meta.dirname, 'talk.py');
    const packages = await packagesOf('requirements-mtmd.txt');
    const told = JSON.parse(await runPython(talk, [text, mmproj, ...pictures, prompt], packages)) as [
      number,
      number,
    ][][];
    const model = await VisionLanguageModel.load(base);
    await base.close();
    const own = [await ours(model, folder, mark, pictures[0]!), await ours(model, folder, mark, pictures[1]!)];
    // The pair is a base model itself: it sees what the folder's sees.
    const pair = await openTextModel(text);
    const again = await VisionLanguageModel.load(pair);
    expect(pair.sees).toMatchObject({ place: mmproj, imageToken: base.sees!.imageToken });
    expect(rounded(again.vision.config)).toEqual(rounded(model.vision.config));
    expect(rounded(await openPictureProcessor(mmproj))).toEqual(rounded(await openPictureProcessor(folder)));
    const seen = [...model.vision.tensors.keys()];
    expect([...again.vision.tensors.keys()].sort()).toEqual(seen.sort());
    for (const name of seen) {
      // In f32, so that none is packed.
      const [one, other] = [model, again].map(({ vision }) => vision.tensors.get(name) as tf.Tensor) as [tf.Tensor, tf.Tensor]; // prettier-ignore
      expect(other.shape).toEqual(one.shape);
      expect(largestDifference(await other.data(), (await one.data()) as Float32Array), name).toBeLessThan(1e-6);
    }
    const alone = path.join(fs.mkdtempSync(path.join(out, 'alone-')), 'alone.gguf');
    fs.copyFileSync(text, alone);
    const without = await openTextModel(alone);
    expect(without.sees).toBeUndefined();
    // An adapter that was trained before the mmproj came is still this model's.
    expect(await isHashOf(await without.sha256(), pair)).toBe(true);
    expect(await pair.sha256()).not.toBe(await without.sha256());
    await without.close();
    // Its language model lies in f16.
    expect(apart(await ours(again, text, mark, pictures[0]!), own[0]!)).toBeLessThan(0.02);
    await pair.close();
    for (const one of [again, model]) one.dispose();
    // Of another picture, it is another answer.
    expect(apart(told[0]!, told[1]!)).toBeGreaterThan(0.2);
    for (const [i, theirs] of told.entries()) {
      expect(theirs.length).toBeGreaterThan(300);
      // With the class token behind the patches in ours, too, they are 0.011 apart.
      if (note === undefined) expect(apart(own[i]!, theirs)).toBeLessThan(0.02);
    }
    expect(note?.includes('25814') ?? false).toBe(family === 'llava');
  });
});

describe('an mmproj beside a GGUF', () => {
  const folderOf = (...names: string[]) => {
    const folder = fs.mkdtempSync(path.join(out, 'beside-'));
    for (const name of names) fs.writeFileSync(path.join(folder, name), '');
    return folder;
  };

  it.each([
    ['by its name', ['model.gguf', 'mmproj-model.gguf', 'mmproj-other.gguf'], 'mmproj-model.gguf', true],
    ['whatever their numbers', ['model.gguf', 'mmproj-model-F16.gguf', 'x.gguf'], 'mmproj-model-F16.gguf', true],
    ['where both are alone', ['model.gguf', 'mmproj-f16.gguf'], 'mmproj-f16.gguf', false],
  ])('is the model’s %s', (_, names, file, isNamed) => {
    const folder = folderOf(...names);
    expect(mmprojBeside(path.join(folder, 'model.gguf'))).toEqual({ file: path.join(folder, file), isNamed });
  });

  it.each([
    ['several could be', ['model.gguf', 'mmproj-model-f16.gguf', 'mmproj-model-q8_0.gguf']],
    ['it may be of another model', ['model.gguf', 'other.gguf', 'mmproj.gguf']],
  ])('is not guessed where %s', (_, names) => {
    expect(mmprojBeside(path.join(folderOf(...names), 'model.gguf'))).toBeUndefined();
  });

  it('of another family is said and left, or refused where it is the model’s by its name', async () => {
    const folder = folderOf();
    const [text, file] = [path.join(folder, 'model.gguf'), path.join(folder, 'mmproj.gguf')];
    fs.copyFileSync(path.join(out, 'idefics3.gguf'), text);
    fs.copyFileSync(path.join(out, 'mmproj-gemma3.gguf'), file);
    const alone = await openTextModel(text);
    expect(alone.sees).toBeUndefined();
    expect(alone.warnings?.join()).toContain('so that the model reads text alone: ');
    await alone.close();
    fs.renameSync(file, path.join(folder, 'mmproj-model.gguf'));
    await expect(openTextModel(text)).rejects.toThrow("it is another model's");
    fs.writeFileSync(path.join(folder, 'mmproj-model.gguf'), fs.readFileSync(text));
    await expect(openTextModel(text)).rejects.toThrow('is no mmproj file: its general.architecture is llama');
  });
});

/** Numbers as an mmproj has them, in f32. */
const rounded = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_, one: unknown) => (typeof one === 'number' ? Math.fround(one) : one));

/** How far apart the log-probabilities are at most. */
const apart = (ours: [number, number][], theirs: [number, number][]) => {
  const found = new Map(ours);
  return Math.max(...theirs.map(([id, logProbability]) => Math.abs(found.get(id)! - logProbability)));
};

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
import { openModelFile } from '../../src-main/models/open.ts';
import { decodePicture } from '../../src-main/models/vision/pictures/decode.ts';
import { openPictureProcessor } from '../../src-main/models/vision/preparation/open.ts';
import { patchRows } from '../../src-main/models/vision/preparation/patches.ts';
import { withPictures } from '../../src-main/models/vision/preparation/placeholders.ts';
import { preparePicture } from '../../src-main/models/vision/preparation/prepare.ts';
import { VisionLanguageModel } from '../../src-main/models/vision/vision-language.ts';
import { pictureBatch } from '../../src-main/tasks/vision-language/batch.ts';
import { pictureObjective, withFeatures } from '../../src-main/tasks/vision-language/objective.ts';
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
  folder: string,
  mark: string,
  file: string,
): Promise<[number, number][]> {
  const { options, placeholder } = await openPictureProcessor(folder);
  const opened = await openModelFile(folder);
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
    const base = await openModelFile(folder);
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
    model.dispose();
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

/** How far apart the log-probabilities are at most. */
const apart = (ours: [number, number][], theirs: [number, number][]) => {
  const found = new Map(ours);
  return Math.max(...theirs.map(([id, logProbability]) => Math.abs(found.get(id)! - logProbability)));
};

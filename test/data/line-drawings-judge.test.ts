import fs from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { readFloats, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import { decodePicture } from '../../src-main/models/vision/pictures/decode.ts';
import { kernelDistance } from '../../src-main/tasks/kernel-distance.ts';
import { PictureJudge } from '../../src-main/tasks/picture-judge.ts';
import { packagesOf, runPython } from '../support/python.ts';
import { temporary } from '../trainer/support.ts';

const folder = path.join(import.meta.dirname, '../../resources/line-drawings');
const STRIDES = [2, 1, 2, 1, 2, 1];

/** A picture [side, side, channels], its channels last. */
interface Plane {
  side: number;
  channels: number;
  values: Float32Array;
}

/** 3x3, one pixel of nothing around, and ReLU, written out; weights [out, in, 3, 3]. */
function convolved({ side, channels, values }: Plane, weight: Float32Array, bias: Float32Array, stride: number): Plane {
  const [to, out] = [side / stride, bias.length];
  const made = new Float32Array(to * to * out);
  for (let y = 0; y < to; y++)
    for (let x = 0; x < to; x++)
      for (let o = 0; o < out; o++) {
        let sum = bias[o]!;
        for (let ky = 0; ky < 3; ky++)
          for (let kx = 0; kx < 3; kx++) {
            const [row, column] = [y * stride + ky - 1, x * stride + kx - 1];
            if (row < 0 || row >= side || column < 0 || column >= side) continue;
            const [from, at] = [(row * side + column) * channels, o * channels * 9 + ky * 3 + kx];
            for (let c = 0; c < channels; c++) sum += values[from + c]! * weight[at + c * 9]!;
          }
        made[(y * to + x) * out + o] = Math.max(0, sum);
      }
  return { side: to, channels: out, values: made };
}

const rows = fs.readFileSync(path.join(folder, 'held-out/metadata.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { file_name: string; concept: string }); // prettier-ignore
const pictureAt = (file: string) => decodePicture(fs.readFileSync(file), file);
const heldOut = () => Promise.all(rows.map(({ file_name: name }) => pictureAt(path.join(folder, 'held-out', name))));

it('the judge knows the things of the held-out line drawings, by what its convolutions come to', async () => {
  const file = await FileReader.open(path.join(folder, 'judge.safetensors'));
  const { tensors, metadata } = await readSafetensorsHeader(file);
  const read = (name: string) => readFloats(file, tensors.get(name)!);
  const things = JSON.parse(metadata.things!) as string[];
  const layers = await Promise.all(STRIDES.map(async (stride, i) => ({ stride, weight: await read(`conv${i}.weight`), bias: await read(`conv${i}.bias`) }))); // prettier-ignore
  const [weight, bias] = [await read('things.weight'), await read('things.bias')];
  await file.close();

  const pictures = (await heldOut()).filter((_, i) => i % 10 === 0);
  const written = pictures.map(({ rgb }) => {
    let plane: Plane = { side: 64, channels: 3, values: Float32Array.from(rgb, (value) => value / 127.5 - 1) };
    for (const layer of layers) plane = convolved(plane, layer.weight, layer.bias, layer.stride);
    const features = Array.from({ length: plane.channels }, (_, c) => plane.values.filter((_, i) => i % plane.channels === c).reduce((sum, value) => sum + value, 0) / plane.side ** 2); // prettier-ignore
    const scores = things.map((_, t) => bias[t]! + features.reduce((sum, value, c) => sum + value * weight[t * features.length + c]!, 0)); // prettier-ignore
    return { features, thing: things[scores.indexOf(Math.max(...scores))]! };
  });
  const asked = rows.filter((_, i) => i % 10 === 0).map(({ concept }) => concept);
  expect(asked.length).toBe(12);
  expect(written.map(({ thing }) => thing)).toEqual(asked);

  await openEngine('tensorflow');
  const judge = await PictureJudge.open(path.join(folder, 'judge.safetensors'));
  const said = await judge.judge(pictures);
  expect(said.map(({ thing }) => thing)).toEqual(asked);
  const furthest = said.flatMap(({ features }, i) => [...features].map((value, c) => Math.abs(value - written[i]!.features[c]!))); // prettier-ignore
  expect(furthest.length).toBe(12 * 128);
  expect(Math.max(...furthest)).toBeLessThan(1e-4);
  await expect(judge.judge([{ width: 32, height: 64, rgb: new Uint8Array(32 * 64 * 3) }])).rejects.toThrow('32 x 64');
  judge.dispose();
});

it('how near pictures come to the style, and how many show their thing, is what measure.py says', async () => {
  await openEngine('tensorflow');
  // Grey ones, in part hidden: neither far from the drawings nor all recognised.
  const work = temporary('line-drawings-judge');
  for (const [i, { file_name: name }] of rows.entries())
    await sharp(fs.readFileSync(path.join(folder, 'held-out', name)))
      .removeAlpha()
      .linear(0.8, 40)
      .blur(0.4 + (i % 4) / 2)
      .png()
      .toFile(path.join(work, name));
  const training = path.join(folder, '../diffusion-default/training');
  const packages = await packagesOf('requirements-diffusers.txt');
  const told = await runPython(path.join(training, 'measure.py'), ['--pictures', work, '--threads', '1'], packages);
  const { kid, conceptAccuracy } = JSON.parse(told) as Record<string, number>;
  expect(kid).toBeGreaterThan(0.01);
  expect(conceptAccuracy).toBeGreaterThan(0.1);
  expect(conceptAccuracy).toBeLessThan(0.9);

  const judge = await PictureJudge.open(path.join(folder, 'judge.safetensors'));
  const said = await judge.judge(
    await Promise.all(rows.map(({ file_name: name }) => pictureAt(path.join(work, name)))),
  );
  const real = await judge.judge(await heldOut());
  judge.dispose();
  const features = (of: typeof said) => of.map((each) => each.features);
  expect(kernelDistance(features(said), features(real))).toBeCloseTo(kid!, 3);
  const right = said.filter(({ thing }, i) => thing === rows[i]!.concept).length;
  expect(right / rows.length).toBeCloseTo(conceptAccuracy!, 2);
  // Of one kind with themselves: no further than by chance.
  expect(Math.abs(kernelDistance(features(real), features(real)))).toBeLessThan(kid! / 2);
});

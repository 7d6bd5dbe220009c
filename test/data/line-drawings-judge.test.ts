import fs from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { readFloats, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';

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

it('the judge knows the things of the held-out line drawings', async () => {
  const file = await FileReader.open(path.join(folder, 'judge.safetensors'));
  const { tensors, metadata } = await readSafetensorsHeader(file);
  const read = (name: string) => readFloats(file, tensors.get(name)!);
  const things = JSON.parse(metadata.things!) as string[];
  const layers = await Promise.all(STRIDES.map(async (stride, i) => ({ stride, weight: await read(`conv${i}.weight`), bias: await read(`conv${i}.bias`) }))); // prettier-ignore
  const [weight, bias] = [await read('things.weight'), await read('things.bias')];
  await file.close();

  const rows = fs.readFileSync(path.join(folder, 'held-out/metadata.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { file_name: string; concept: string }); // prettier-ignore
  const seen: string[] = [];
  const asked = rows.filter((_, i) => i % 10 === 0);
  for (const { file_name: name } of asked) {
    const pixels = await sharp(path.join(folder, 'held-out', name))
      .removeAlpha()
      .toColorspace('srgb')
      .raw()
      .toBuffer();
    let plane: Plane = { side: 64, channels: 3, values: Float32Array.from(pixels, (value) => value / 127.5 - 1) };
    for (const layer of layers) plane = convolved(plane, layer.weight, layer.bias, layer.stride);
    const features = Array.from({ length: plane.channels }, (_, c) => plane.values.filter((_, i) => i % plane.channels === c).reduce((sum, value) => sum + value, 0) / plane.side ** 2); // prettier-ignore
    const scores = things.map((_, t) => bias[t]! + features.reduce((sum, value, c) => sum + value * weight[t * features.length + c]!, 0)); // prettier-ignore
    seen.push(things[scores.indexOf(Math.max(...scores))]!);
  }
  expect(asked.length).toBe(12);
  expect(seen).toEqual(asked.map(({ concept }) => concept));
});

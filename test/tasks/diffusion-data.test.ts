import fs from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { groupedOrder } from '../../src-main/data/grouped-order.ts';
import { DataOrder } from '../../src-main/data/order.ts';
import { exampleSource } from '../../src-main/data/example-source.ts';
import { latentsOf } from '../../src-main/models/diffusion/latents.ts';
import { normals, trainingPlace } from '../../src-main/models/diffusion/noise/draws.ts';
import { noiseConfig } from '../../src-main/models/diffusion/noise/config.ts';
import { noiseSchedule } from '../../src-main/models/diffusion/noise/schedule.ts';
import { evaluationBatch, trainingBatch, type BatchOptions } from '../../src-main/tasks/diffusion/batch.ts';
import { bucketsFor, coveringSize, nearestBucket } from '../../src-main/tasks/diffusion/buckets.ts';
import { captionWith, drawCaption } from '../../src-main/tasks/diffusion/captions.ts';
import {
  openCaptionedDataset,
  openCaptionedSample,
  type CaptionedExample,
  type CaptionedReading,
} from '../../src-main/tasks/diffusion/dataset.ts';
import { drawCut, EVALUATED_TIMES, middleCut } from '../../src-main/tasks/diffusion/draws.ts';
import { bucketOrder, repeated } from '../../src-main/tasks/diffusion/examples.ts';
import { noisedBatch, type FrozenParts } from '../../src-main/tasks/diffusion/noised.ts';
import { pixelsOf, sizesOf } from '../../src-main/tasks/diffusion/pixels.ts';
import type { Recipe } from '../../src-main/recipe/recipe.ts';
import type { RunData } from '../../src-main/tasks/task.ts';
import type { Run } from '../../src-main/trainer/prepare.ts';
import { StepData } from '../../src-main/trainer/step-data.ts';
import { scratchFolder } from '../support/scratch.ts';

let scratch: ReturnType<typeof scratchFolder>;
beforeEach(() => {
  scratch = scratchFolder();
  vi.stubEnv('EFFILORA_CACHE', path.join(scratch.folder, 'cache'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  scratch.remove();
});

const READING: CaptionedReading = {
  pictures: { resolution: 64, step: 32, shapes: true, enlarge: false },
  captions: {},
};
const said = ({ width, height }: { width: number; height: number }) => `${width}x${height}`;

/** Red is the column, green the row, blue 9. */
async function picture(name: string, width: number, height: number, caption?: string): Promise<void> {
  const rgb = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) rgb.set([i % width, Math.floor(i / width), 9], 3 * i);
  const file = path.join(scratch.folder, 'set', name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(file);
  if (caption !== undefined) fs.writeFileSync(file.replace(/png$/, 'txt'), caption);
}

const opened = (reading = READING) => openCaptionedDataset({ path: path.join(scratch.folder, 'set') }, 0, reading);

describe('buckets', () => {
  it('of 512 pixels by 64 are those that were worked out by hand', () => {
    // Of a long side the short one is 512^2 / long, down to a multiple of 64, and no less than 256.
    const wide = ['1024x256', '960x256', '896x256', '832x256', '768x320', '704x320', '640x384', '576x448'];
    const high = wide.map((size) => size.split('x').reverse().join('x')).reverse();
    expect(bucketsFor({ resolution: 512, step: 64, shapes: true }).map(said)).toEqual([...wide, '512x512', ...high]);
    expect(bucketsFor({ resolution: 500, step: 64, shapes: false }).map(said)).toEqual(['448x448']);
  });

  it.each([
    [[1500, 1000], '640x384', '640x427'],
    [[1000, 1000], '512x512', '512x512'],
    [[900, 1600], '384x640', '384x683'],
    [[2048, 512], '1024x256', '1024x256'],
  ] as const)('a picture of %j goes to %s, from %s', ([width, height], bucket, covering) => {
    const nearest = nearestBucket({ width, height }, bucketsFor({ resolution: 512, step: 64, shapes: true }));
    expect([said(nearest), said(coveringSize({ width, height }, nearest))]).toEqual([bucket, covering]);
  });
});

describe('captioned pictures', () => {
  it('are read with what they become, and what can’t be used is named by row', async () => {
    await picture('a.png', 96, 64, 'a cat');
    await picture('b.png', 40, 40, 'too small');
    await picture('c.png', 600, 64, 'too long');
    await picture('d.png', 96, 64);
    await picture('e.png', 300, 600, 'high');
    fs.writeFileSync(path.join(scratch.folder, 'set', 'f.png'), 'GIF89a');
    fs.writeFileSync(path.join(scratch.folder, 'set', 'f.txt'), 'another kind');
    const dataset = await opened();
    const read = [...dataset.examples];
    expect(read.map(({ row, caption, picture: p }) => [row, caption, p.bucketWidth, p.bucketHeight, p.width, p.height, p.ownWidth])).toEqual([
      [1, 'a cat', 64, 64, 96, 64, 96], [5, 'high', 32, 96, 48, 96, 300],
    ]); // prettier-ignore
    expect(dataset.report.dropped).toEqual([
      { rows: [2], reason: expect.stringContaining('b.png has 40 x 40 pixels, fewer than the 64 x 64') as string },
      {
        rows: [3],
        reason: expect.stringContaining(
          'c.png has 600 x 64 pixels, of which less than half would be seen at 128 x 32',
        ) as string,
      },
      { rows: [4], reason: 'd.png has no caption; write it into d.txt beside it' },
      { rows: [6], reason: expect.stringContaining('f.png is a GIF') as string },
    ]);
    expect([dataset.examples.size(0), dataset.report.kept, dataset.report.examples]).toEqual([1, 2, 6]);
    const noted = await opened({ ...READING, left: (caption) => (caption.length > 4 ? caption.slice(4) : undefined) });
    expect(noted.notes).toEqual(['The end of 1 of 2 captions is not learned, as the model reads no more (rows 1)']);
    const sample = await openCaptionedSample({ path: path.join(scratch.folder, 'set') }, 0, READING);
    expect([sample.whole, sample.examples.count, sample.sha256 === dataset.sha256]).toEqual([true, 2, true]);
    const enlarged = await opened({ ...READING, pictures: { ...READING.pictures, enlarge: true }, captions: { trigger: 'ohwx' } }); // prettier-ignore
    expect([...enlarged.examples].map(({ row, caption }) => [row, caption])).toEqual([[1, 'a cat'], [2, 'too small'], [4, ''], [5, 'high']]); // prettier-ignore
    expect(enlarged.sha256).not.toBe(dataset.sha256);
  });

  it('in tables whose pictures lie inside them are read from records on the disk', async () => {
    await picture('a.png', 64, 64);
    const bytes = fs.readFileSync(path.join(scratch.folder, 'set', 'a.png'));
    const row = (text: string) => JSON.stringify({ image: `data:image/png;base64,${bytes.toString('base64')}`, text });
    const file = path.join(scratch.folder, 'set.jsonl');
    // More than a small dataset, which stays in memory.
    fs.writeFileSync(file, `${row('one')}\n${row('two')}\n${JSON.stringify({ text: 'x'.repeat(2 ** 20) })}\n`);
    const dataset = await openCaptionedDataset({ path: file }, 0, READING);
    expect([...dataset.examples].map(({ caption }) => caption)).toEqual(['one', 'two']);
    expect((await dataset.examples.read(1).pixels()).rgb.length).toBe(64 * 64 * 3);
    dataset.close();
  });

  it('are cut where it was drawn, mirrored where it was drawn, and told to SDXL so', async () => {
    await picture('a.png', 96, 64, 'a cat');
    const example = (await opened()).examples.read(0);
    const red = async (cut: Parameters<typeof pixelsOf>[1]) => {
      const { values, width, height } = await pixelsOf(example, cut);
      expect([width, height]).toEqual([64, 64]);
      const at = (x: number, y: number, channel: number) =>
        Math.round((values[(y * 64 + x) * 3 + channel]! + 1) * 127.5);
      expect([at(5, 7, 1), at(5, 7, 2)]).toEqual([7, 9]);
      return [at(0, 0, 0), at(63, 63, 0)];
    };
    const left = { left: 10, top: 0, flipped: false };
    expect(await red(left)).toEqual([10, 73]);
    expect(await red({ ...left, flipped: true })).toEqual([73, 10]);
    expect(sizesOf(example, left)).toEqual([64, 96, 0, 10, 64, 64]);
    // Of the mirrored picture, 96 - 64 - 10 lie left of it.
    expect(sizesOf(example, { ...left, flipped: true })).toEqual([64, 96, 0, 22, 64, 64]);
    expect(middleCut(example.picture)).toEqual({ left: 16, top: 0, flipped: false });
    const places = Array.from({ length: 200 }, (_, step) => trainingPlace(3, step, 0, 0));
    const cuts = places.map((place) => drawCut(place, example.picture, { crop: 'random', flip: true }));
    // 32 pixels are free: at 0, a third, two thirds and all of them.
    expect([...new Set(cuts.map((cut) => cut.left))].sort((a, b) => a - b)).toEqual([0, 10, 21, 32]);
    const mirrored = cuts.filter(({ flipped }) => flipped).length;
    expect(mirrored > 70 && mirrored < 130).toBe(true);
    expect(drawCut(places[9]!, example.picture, { crop: 'random', flip: true })).toEqual(cuts[9]);
  });
});

describe('an order by buckets', () => {
  const groupOf = (index: number) => index % 3;

  it('has batches of one group each, every example at least once, and is filled with what was seen longest ago', () => {
    expect(groupedOrder([0, 1, 3, 4, 2, 6, 7], groupOf, 2)).toEqual([0, 3, 1, 4, 6, 0, 7, 1, 2, 2]);
    expect(groupedOrder([0, 1, 2], () => 0, 1)).toEqual([0, 1, 2]);
  });

  it('goes on where a run stopped', () => {
    const arranged = (order: number[]) => groupedOrder(order, groupOf, 4);
    const order = (at?: { epoch: number; taken: number }) => new DataOrder([50], [1], 7, true, at, arranged);
    const whole = order();
    const all = Array.from({ length: 40 }, () => whole.next(4));
    for (const batch of all) expect(new Set(batch.map(groupOf)).size).toBe(1);
    const first = order();
    for (let i = 0; i < 17; i++) first.next(4);
    expect(order(first.state).next(4)).toEqual(all[17]);
    // 17 of each of two groups and 16 of one are five batches, five and four.
    expect(new Set(all.slice(0, 14).flat()).size).toBe(50);
    expect(order({ epoch: 0, taken: 56 }).next(4)).toEqual(order({ epoch: 1, taken: 0 }).next(4));
  });

  it('is what steps take, which tell the task where their batches stand', async () => {
    const given: unknown[] = [];
    const run = {
      data: { sizes: [6], train: exampleSource(6, () => 1, (i) => i), arranged: () => (order: number[]) => order.toReversed() }, // prettier-ignore
      task: { batch: (examples: number[], _: unknown, at: unknown) => given.push([examples, at]) },
    };
    const training = { batch: 2, accumulate: 2, seed: 9, shuffle: false };
    const recipe = { dataset: [{ weight: 1 }], training };
    const data = new StepData(recipe as unknown as Recipe, run as unknown as Run, () => {}, { epoch: 0, taken: 2 });
    await data.next(5);
    expect(given).toEqual([[[3, 2], { seed: 9, step: 5, micro: 0 }], [[1, 0], { seed: 9, step: 5, micro: 1 }]]); // prettier-ignore
  });

  it('of captioned pictures is by their buckets, those of a repeated folder as often as it says', async () => {
    await picture('3_wide/a.png', 128, 64, 'a');
    await picture('1_square/b.png', 64, 64, 'b');
    const { examples } = await opened();
    const data = { train: examples, sizes: [2] } as RunData<CaptionedExample>;
    const { train, sizes } = repeated(data);
    expect([...train].map(({ caption }) => caption)).toEqual(['b', 'a', 'a', 'a']);
    expect([sizes, bucketOrder(train, 2)([1, 0, 2, 3])]).toEqual([[4], [1, 2, 3, 1, 0, 0]]);
    const once = { ...data, train: exampleSource(1, () => 1, () => examples.read(0)), sizes: [1] }; // prettier-ignore
    expect(repeated(once)).toBe(once);
  });
});

describe('a caption', () => {
  const place = (step: number) => trainingPlace(1, step, 0, 0);

  it('has the trigger word before it, once', () => {
    const trigger = 'ohwx man';
    expect(captionWith('a photo', { trigger })).toBe('ohwx man, a photo');
    expect(captionWith('a photo of OHWX man.', { trigger })).toBe('a photo of OHWX man.');
    expect(captionWith('ohwx manor', { trigger })).toBe('ohwx man, ohwx manor');
    expect([captionWith('', { trigger }), captionWith('a', { trigger: ' ' })]).toEqual(['ohwx man', 'a']);
  });

  it('is left out as often as asked for, its tags moved only if asked for', () => {
    const steps = Array.from({ length: 400 }, (_, step) => step);
    const left = steps.filter((step) => drawCaption('a', place(step), { dropout: 0.25 }) === '').length;
    // Three standard deviations of 400 draws.
    expect(Math.abs(left - 100)).toBeLessThan(26);
    const tags = '1girl, solo,  red hair , ohwx, hat';
    expect(drawCaption(tags, place(1), { dropout: 0 })).toBe(tags);
    const moved = steps.map((step) => drawCaption(tags, place(step), { dropout: 0, trigger: 'ohwx', shuffleTags: { keep: 1 } })); // prettier-ignore
    expect(moved.every((one) => one.startsWith('ohwx, 1girl, '))).toBe(true);
    expect([...new Set(moved)].sort()).toEqual(
      ['hat, red hair, solo', 'hat, solo, red hair', 'red hair, hat, solo', 'red hair, solo, hat', 'solo, hat, red hair', 'solo, red hair, hat'].map((rest) => `ohwx, 1girl, ${rest}`),
    ); // prettier-ignore
  });
});

describe('a batch', () => {
  const OPTIONS: BatchOptions = {
    vary: { crop: 'center', flip: true },
    captions: { dropout: 0.3 },
    noise: { offset: 0.05, times: 'uniform', minSnr: 5 },
  };
  const CUT = { left: 16, top: 0 };

  /** A VAE whose mean is where a picture is cut, and texts that are their length. */
  const PARTS: FrozenParts = {
    schedule: noiseSchedule(noiseConfig({ _class_name: 'DDIMScheduler' }, 'scheduler')),
    ...{ form: { channels: 2, scale: 0.5, shift: 0 }, factor: 8 },
    moments: ({ cut }) => Promise.resolve(Float32Array.from({ length: 8 * 8 * 4 }, (_, i) => [cut.left, 5, -40, 0][i % 4]!)), // prettier-ignore
    text: ({ length }) => Promise.resolve({ context: Float32Array.of(length, 1), pooled: Float32Array.of(2) }),
  };

  it('is the same whenever its step is taken', async () => {
    await picture('a.png', 96, 64, 'a cat');
    await picture('b.png', 64, 64, 'a dog');
    const examples = [...(await opened()).examples];
    const made = async (step: number, micro = 0, withTexts = true) =>
      noisedBatch(trainingBatch(examples, { seed: 4, step, micro }, OPTIONS), PARTS, withTexts);
    const ninth = await made(9);
    expect(await made(9)).toEqual(ninth);
    for (const other of [await made(8), await made(9, 1)]) expect(other.noised).not.toEqual(ninth.noised);
    const { noised, times, weights, sizes, texts, ...size } = ninth;
    expect([size.pictures, size.height, size.width, size.channels, noised.length]).toEqual([2, 8, 8, 2, 256]);
    expect([times.every(Number.isInteger), weights.every((weight) => weight > 0 && weight <= 1)]).toEqual([true, true]);
    expect(sizes).toEqual([[64, 96, 0, 16, 64, 64], [64, 64, 0, 0, 64, 64]]); // prettier-ignore
    const { captions } = (await made(9, 0, false)).texts as { captions: string[] };
    expect(texts).toEqual({ context: Float32Array.from(captions.flatMap(({ length }) => [length, 1])), pooled: Float32Array.of(2, 2) }); // prettier-ignore
    const drawn = Array.from({ length: 60 }, (_, step) => trainingBatch(examples, { seed: 4, step, micro: 0 }, OPTIONS).drawn[0]!); // prettier-ignore
    expect(new Set(drawn.map(({ caption }) => caption))).toEqual(new Set(['a cat', '']));
    expect(new Set(drawn.map(({ cut }) => cut.flipped))).toEqual(new Set([true, false]));
  });

  it('of two buckets is none', async () => {
    await picture('a.png', 64, 64, 'a');
    await picture('b.png', 128, 64, 'b');
    const batch = trainingBatch([...(await opened()).examples], { seed: 4, step: 1, micro: 0 }, OPTIONS);
    await expect(noisedBatch(batch, PARTS, true)).rejects.toThrow('one bucket');
  });

  it('for evaluation is in the middle, with its whole caption, at times of every part', async () => {
    await picture('a.png', 96, 64, 'a cat');
    const examples = [...(await opened()).examples];
    const parts: number[] = [];
    for (let turn = 0; turn < EVALUATED_TIMES; turn++) {
      const batch = evaluationBatch(examples, turn);
      expect(batch.drawn[0]).toMatchObject({ cut: { ...CUT, flipped: false }, caption: 'a cat' });
      const { times, weights } = await noisedBatch(batch, PARTS, true);
      parts.push(Math.floor(times[0]! / 250));
      expect([...weights]).toEqual([1]);
    }
    expect(parts).toEqual([0, 1, 2, 3]);
  });

  it('has latents drawn around their mean, by their variance', () => {
    const place = trainingPlace(1, 2, 3, 4);
    const drawn = normals(place, 'latents', 4);
    // Two pixels of two channels: means 1, 2 and 3, 4; logarithms of the variance 0, ln 4, below all sense, and above it.
    const moments = Float32Array.of(1, 2, 0, Math.log(4), 3, 4, -100, 100);
    const form = { channels: 2, scale: 0.5, shift: 1 };
    const deviations = [1, 2, Math.exp(-15), Math.exp(10)];
    latentsOf(moments, form, place).forEach((value, i) => expect(value).toBeCloseTo((i + deviations[i]! * drawn[i]!) / 2, 3)); // prettier-ignore
    expect([...latentsOf(moments, form)]).toEqual([0, 0.5, 1, 1.5]);
  });
});

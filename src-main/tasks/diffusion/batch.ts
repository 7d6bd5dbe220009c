import { latentsOf, type LatentForm } from '../../models/diffusion/latents.ts';
import type { MadeOnce } from '../../models/diffusion/made-once.ts';
import { drawNoise, drawTime, trainingPlace, type Place, type TimeDraw } from '../../models/diffusion/noise/draws.ts';
import type { NoiseSchedule } from '../../models/diffusion/noise/schedule.ts';
import { noiseInto, type LossOptions } from '../../models/diffusion/noise/training.ts';
import { joined } from '../../models/floats.ts';
import type { BatchPlace } from '../task.ts';
import { captionWith, drawCaption, type CaptionOptions } from './captions.ts';
import type { CaptionedExample } from './dataset.ts';
import { drawCut, middleCut, type Cut, type VaryOptions } from './draws.ts';
import { pixelsOf, sizesOf, type Pixels } from './pixels.ts';

/** The frozen parts of a model that its network learns with. */
export interface FrozenParts {
  schedule: NoiseSchedule;
  form: LatentForm;
  /** pixels a side that become one latent */
  factor: number;
  /** mean and logarithm of the variance of a picture's latents, [height / factor, width / factor, 2 * channels] */
  encode(pixels: Pixels): Promise<Float32Array>;
  /** a text's features, [tokens, width], and behind them its own as a whole, `pooled` numbers */
  tell(caption: string): Promise<Float32Array>;
  /** numbers of a text as a whole; 0 where the network takes none */
  pooled: number;
  latents: MadeOnce;
  texts: MadeOnce;
}

export interface NoiseOptions extends LossOptions {
  /** of each channel as a whole; usually 0 to 0.1 */
  offset: number;
  times: TimeDraw;
  /** of a flow, `shiftFor`'s */
  shift: number;
}

export interface BatchOptions {
  vary: VaryOptions;
  captions: CaptionOptions;
  noise: NoiseOptions;
}

/** Examples of one bucket with their noise. Latents are [height, width, channels], one after the other. */
export interface NoisedBatch {
  pictures: number;
  height: number;
  width: number;
  channels: number;
  noised: Float32Array;
  target: Float32Array;
  /** of each picture: its time, its weight in the loss */
  times: Float32Array;
  weights: Float32Array;
  /** [pictures, tokens, width] */
  context: Float32Array;
  /** [pictures, pooled] */
  pooled: Float32Array;
  /** of each picture, as SDXL is told them */
  sizes: number[][];
}

/** A micro-batch of a training. @throws UserError where a picture can't be read any more */
export async function trainingBatch(
  examples: CaptionedExample[],
  { seed, step, micro }: BatchPlace,
  parts: FrozenParts,
  { vary, captions, noise }: BatchOptions,
): Promise<NoisedBatch> {
  const rows: NoisedRow[] = [];
  for (const [i, example] of examples.entries()) {
    const place = trainingPlace(seed, step, micro, i);
    const cut = drawCut(place, example.picture, vary);
    const caption = drawCaption(example.caption, place, captions);
    rows.push(await noisedRow(example, cut, caption, place, drawTime(place, parts.schedule, noise.times, noise.shift), parts, noise)); // prettier-ignore
  }
  return batchOf(rows, parts);
}

/** Times that a held-out example is seen at: spread over all, so that few examples tell of all. */
export const EVALUATED_TIMES = 4;

/**
 * Held-out examples with the noise that they always have: each in the middle, with its whole caption, at one of EVALUATED_TIMES times spread
 * over those of training. All weigh the same.
 * @param turn which of them, from 0
 */
export async function evaluationBatch(
  examples: CaptionedExample[],
  turn: number,
  parts: FrozenParts,
  { captions, noise }: Pick<BatchOptions, 'captions' | 'noise'>,
): Promise<NoisedBatch> {
  const rows: NoisedRow[] = [];
  for (const example of examples) {
    const place = { seed: 0, name: `evaluation.${example.source}.${example.row}.${turn}` };
    const time = evaluatedTime(parts.schedule, place, turn, noise.shift);
    const told = captionWith(example.caption, captions);
    rows.push(await noisedRow(example, middleCut(example.picture), told, place, time, parts, { offset: 0 }));
  }
  return batchOf(rows, parts);
}

/** Drawn within the turn's own part of all times. */
function evaluatedTime(schedule: NoiseSchedule, place: Place, turn: number, shift: number): number {
  const { trainSteps, kind } = schedule.config;
  const drawn = drawTime(place, schedule) / trainSteps;
  const part = (turn + drawn) / EVALUATED_TIMES;
  if (kind === 'variance') return Math.min(trainSteps - 1, Math.floor(part * trainSteps));
  return ((shift * part) / (1 + (shift - 1) * part)) * trainSteps;
}

interface NoisedRow {
  noised: Float32Array;
  target: Float32Array;
  time: number;
  weight: number;
  text: Float32Array;
  sizes: number[];
  height: number;
  width: number;
}

async function noisedRow(
  example: CaptionedExample,
  cut: Cut,
  caption: string,
  place: Place,
  time: number,
  parts: FrozenParts,
  { offset, ...loss }: Pick<NoiseOptions, 'offset'> & LossOptions,
): Promise<NoisedRow> {
  const { form, schedule, factor } = parts;
  const { picture } = example;
  const moments = await parts.latents.take(keyOf(example, cut), async () => parts.encode(await pixelsOf(example, cut)));
  const size = { height: picture.bucketHeight / factor, width: picture.bucketWidth / factor };
  const noise = drawNoise(place, { ...size, channels: form.channels }, offset);
  const { noised, target, weight } = noiseInto(latentsOf(moments, form, place), noise, time, schedule, loss);
  const text = await parts.texts.take(caption, () => parts.tell(caption));
  return { noised, target, time, weight, text, sizes: sizesOf(example, cut), ...size };
}

/** Everything that a picture's latents are made of, without looking at its pixels. */
const keyOf = ({ picture }: CaptionedExample, { left, top, flipped }: Cut) =>
  [picture.sha256, picture.width, picture.height, picture.bucketWidth, picture.bucketHeight, left, top, Number(flipped)].join(' '); // prettier-ignore

function batchOf(rows: NoisedRow[], { form, pooled }: FrozenParts): NoisedBatch {
  const { height, width } = rows[0]!;
  if (rows.some((row) => row.height !== height || row.width !== width))
    throw new Error('a batch holds pictures of one bucket');
  return {
    ...{ pictures: rows.length, height, width, channels: form.channels },
    noised: joined(rows.map((row) => row.noised)),
    target: joined(rows.map((row) => row.target)),
    times: Float32Array.from(rows, (row) => row.time),
    weights: Float32Array.from(rows, (row) => row.weight),
    context: joined(rows.map(({ text }) => text.subarray(0, text.length - pooled))),
    pooled: joined(rows.map(({ text }) => text.subarray(text.length - pooled))),
    sizes: rows.map((row) => row.sizes),
  };
}

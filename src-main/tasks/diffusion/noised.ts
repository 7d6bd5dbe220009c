import { latentsOf, type LatentForm } from '../../models/diffusion/latents.ts';
import { drawNoise, drawTime, type Place, type TimeDraw } from '../../models/diffusion/noise/draws.ts';
import { shifted, shiftFor, type NoiseSchedule } from '../../models/diffusion/noise/schedule.ts';
import { joinedTexts, type TextNumbers } from '../../models/diffusion/pipeline/read-texts.ts';
import { noiseInto } from '../../models/diffusion/noise/training.ts';
import { joined } from '../../models/floats.ts';
import type { DiffusionBatch, DrawnExample } from './batch.ts';
import { EVALUATED_TIMES } from './draws.ts';
import { sizesOf } from './pixels.ts';

/** What the frozen parts of a model make of an example. */
export interface FrozenParts {
  schedule: NoiseSchedule;
  form: LatentForm;
  /** pixels a side that become one latent */
  factor: number;
  /** mean and logarithm of the variance of a picture's latents, [height / factor, width / factor, 2 * channels]. @throws UserError */
  moments(drawn: DrawnExample): Promise<Float32Array>;
  /** a text's features, [tokens, width], and its own as a whole, which is empty where the network takes none */
  text(caption: string): Promise<TextNumbers>;
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
  /** of each picture, as SDXL is told them */
  sizes: number[][];
  /** each picture's text; where its encoder learns, as it is written */
  texts: TextNumbers | { captions: string[] };
}

/**
 * A batch's latents with their noise, as it is drawn for each example's place.
 * @param withTexts false: texts stay as they are written, as their encoder learns
 * @throws UserError where a picture can't be read any more
 */
export async function noisedBatch(batch: DiffusionBatch, parts: FrozenParts, withTexts: boolean): Promise<NoisedBatch> {
  const { form, factor } = parts;
  const { bucketHeight, bucketWidth } = batch.drawn[0]!.example.picture;
  if (
    batch.drawn.some(
      ({ example: { picture } }) => picture.bucketHeight !== bucketHeight || picture.bucketWidth !== bucketWidth,
    )
  )
    // prettier-ignore
    throw new Error('a batch holds pictures of one bucket');
  const size = { height: bucketHeight / factor, width: bucketWidth / factor, channels: form.channels };
  const rows = [];
  for (const drawn of batch.drawn) {
    const { place } = drawn;
    const time = timeOf(batch, place, parts.schedule, size);
    const latents = latentsOf(await parts.moments(drawn), form, place);
    rows.push(noiseInto(latents, drawNoise(place, size, batch.noise.offset), time, parts.schedule, batch.noise));
  }
  return {
    ...{ pictures: rows.length, ...size },
    noised: joined(rows.map((row) => row.noised)),
    target: joined(rows.map((row) => row.target)),
    times: Float32Array.from(rows, (row) => row.time),
    weights: Float32Array.from(rows, (row) => row.weight),
    sizes: batch.drawn.map(({ example, cut }) => sizesOf(example, cut)),
    texts: await textsOf(batch.drawn, parts, withTexts),
  };
}

async function textsOf(drawn: DrawnExample[], parts: FrozenParts, withTexts: boolean): Promise<NoisedBatch['texts']> {
  const captions = drawn.map(({ caption }) => caption);
  if (!withTexts) return { captions };
  const texts: TextNumbers[] = [];
  for (const caption of captions) texts.push(await parts.text(caption));
  return joinedTexts(texts);
}

/** Pixels of latents a side that transformers of flows see as one. */
const PATCH = 2;

/** Of a training drawn over all times, of an evaluation within its turn's part of them. */
function timeOf(
  { turn, turns = EVALUATED_TIMES, noise: { times } }: DiffusionBatch,
  place: Place,
  schedule: NoiseSchedule,
  { height, width }: { height: number; width: number },
): number {
  const shift = shiftFor(schedule, (height * width) / PATCH ** 2);
  const { trainSteps, kind } = schedule.config;
  if (turn === undefined) return drawTime(place, schedule, times ?? usualTimes(kind), shift);
  const part = (turn + drawTime(place, schedule) / trainSteps) / turns;
  return kind === 'variance' ? Math.floor(part * trainSteps) : shifted(part, shift) * trainSteps;
}

/** Flows are learned around their middle, as SD3 was. */
export const usualTimes = (kind: 'variance' | 'flow'): TimeDraw => (kind === 'flow' ? 'logit-normal' : 'uniform');

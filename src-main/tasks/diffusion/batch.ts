import { trainingPlace, type Place, type TimeDraw } from '../../models/diffusion/noise/draws.ts';
import type { LossOptions } from '../../models/diffusion/noise/training.ts';
import type { BatchPlace } from '../task.ts';
import { captionWith, drawCaption, type CaptionOptions } from './captions.ts';
import type { CaptionedExample } from './dataset.ts';
import { drawCut, EVALUATED_TIMES, middleCut, type Cut, type VaryOptions } from './draws.ts';
import type { NoisedBatch } from './noised.ts';

export interface NoiseOptions extends LossOptions {
  /** of each channel as a whole; usually 0 to 0.1 */
  offset: number;
  /** undefined: as it is usual for the model's noise */
  times?: TimeDraw;
}

export interface BatchOptions {
  vary: VaryOptions;
  captions: CaptionOptions;
  noise: NoiseOptions;
}

/** An example as it is seen once: where it stands, how its picture is cut, and what is told of it. */
export interface DrawnExample {
  example: CaptionedExample;
  place: Place;
  cut: Cut;
  caption: string;
}

/** Examples of one bucket as they are seen once. */
export interface DiffusionBatch {
  drawn: DrawnExample[];
  noise: NoiseOptions;
  /** of an evaluation: which part of all times its times lie in, from 0, and of how many */
  turn?: number;
  turns?: number;
  /** with its noise, once the model's frozen parts have looked at it */
  noised?: NoisedBatch;
}

/** A micro-batch of a training: pictures and texts as they are drawn for this place. */
export function trainingBatch(
  examples: CaptionedExample[],
  { seed, step, micro }: BatchPlace,
  { vary, captions, noise }: BatchOptions,
): DiffusionBatch {
  const drawn = examples.map((example, i): DrawnExample => {
    const place = trainingPlace(seed, step, micro, i);
    const cut = drawCut(place, example.picture, vary);
    return { example, place, cut, caption: drawCaption(example.caption, place, captions) };
  });
  return { drawn, noise };
}

/** Held-out examples as evaluations always see them: the middle of the picture, the whole caption; every time weighs the same. */
export function evaluationBatch(
  examples: CaptionedExample[],
  turn: number,
  turns: number = EVALUATED_TIMES,
): DiffusionBatch {
  const drawn = examples.map((example): DrawnExample => {
    const place = { seed: 0, name: `evaluation.${example.source}.${example.row}.${turn}` };
    return { example, place, cut: middleCut(example.picture), caption: captionWith(example.caption, example) };
  });
  return { drawn, noise: { offset: 0 }, turn, turns };
}

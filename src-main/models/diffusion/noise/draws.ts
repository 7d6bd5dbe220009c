import { normalNumbers, randomStream } from '../../../engine/random.ts';
import { shifted, type NoiseSchedule } from './schedule.ts';

/**
 * What numbers are drawn for: the seed, and a name of the place. An example of a training by its step, micro-batch and place in it, so that a
 * resumed run draws what the first one would have drawn.
 */
export interface Place {
  seed: number;
  name: string;
}

/** An example's place in a training. */
export const trainingPlace = (seed: number, step: number, micro: number, example: number): Place => ({
  seed,
  name: `${step}.${micro}.${example}`,
});

/** `size` numbers of the normal distribution with variance 1. @param what is drawn at this place */
export const normals = ({ seed, name }: Place, what: string, size: number) =>
  normalNumbers(randomStream(seed, `${what}.${name}`), size);

export interface LatentSize {
  height: number;
  width: number;
  channels: number;
}

/**
 * The noise of one example, [height, width, channels].
 * @param offset of each channel as a whole, by so much of a normal number, so that bright and dark pictures are learned; usually 0 to 0.1
 */
export function drawNoise(place: Place, { height, width, channels }: LatentSize, offset = 0): Float32Array {
  const noise = normals(place, 'noise', height * width * channels);
  if (offset === 0) return noise;
  const shifts = normals(place, 'noise offset', channels);
  return noise.map((value, i) => value + offset * shifts[i % channels]!);
}

/** How times are drawn: each as likely as any other, or around the middle of a flow (the logistic of a normal number, as for SD3). */
export type TimeDraw = 'uniform' | 'logit-normal';

/**
 * The time of one example, as the network is told it: of noise by variance a whole step.
 * @param shift of a flow, `shiftFor`'s
 */
export function drawTime(place: Place, { config }: NoiseSchedule, draw: TimeDraw = 'uniform', shift = 1): number {
  const { trainSteps, kind } = config;
  const part = draw === 'uniform' ? uniformPart(place) : 1 / (1 + Math.exp(-normals(place, 'time', 1)[0]!));
  if (kind === 'variance') return Math.min(trainSteps - 1, Math.floor(part * trainSteps));
  return shifted(part, shift) * trainSteps;
}

/** In (0, 1]: a flow has no noise to tell of at 0. */
const uniformPart = ({ seed, name }: Place) => 1 - randomStream(seed, `time.${name}`)();

import type { NoiseConfig } from './config.ts';
import { picturesShare } from './curve.ts';

/** x_t = picture * x0 + noise * eps. */
export interface Mixture {
  picture: number;
  noise: number;
}

/** How much noise there is at which time, and what a network is to say of it. */
export interface NoiseSchedule {
  readonly config: NoiseConfig;
  /** of noise by variance: abar of each step of training, [trainSteps] */
  readonly shares?: Float32Array;
  /** @param time as the network is told it: a whole step of training, or of a flow anything in (0, trainSteps] */
  mixture(time: number): Mixture;
}

/** Opens a schedule by what its file says. */
export function noiseSchedule(config: NoiseConfig): NoiseSchedule {
  if (config.kind === 'flow') {
    const { trainSteps } = config;
    return { config, mixture: (time) => ({ picture: 1 - time / trainSteps, noise: time / trainSteps }) };
  }
  const shares = picturesShare(config);
  return {
    ...{ config, shares },
    mixture: (time) => ({ picture: Math.sqrt(shares[time]!), noise: Math.sqrt(1 - shares[time]!) }),
  };
}

/** Of a flow by its shift: s as it is drawn or spaced -> s as it is used. */
export const shifted = (s: number, shift: number): number => (shift * s) / (1 + (shift - 1) * s);

/**
 * The shift of a flow for pictures of so many tokens (patches that the network sees of one).
 * @param tokens needed where the configuration lets the shift follow from them
 */
export function shiftFor({ config }: NoiseSchedule, tokens?: number): number {
  if (config.kind !== 'flow') return 1;
  const { dynamic, shift } = config;
  if (!dynamic) return shift;
  if (tokens === undefined) throw new Error('the shift of this flow follows from the tokens of a picture');
  const { form, base, max, baseTokens, maxTokens } = dynamic;
  const mu = base + ((max - base) / (maxTokens - baseTokens)) * (tokens - baseTokens);
  return form === 'exponential' ? Math.exp(mu) : mu;
}

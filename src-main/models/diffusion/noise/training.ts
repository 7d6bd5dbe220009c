import type { NoiseSchedule } from './schedule.ts';

/** What a network sees of an example, and what it is to say; of one example's latents, in their order. */
export interface NoisedExample {
  /** the time, as the network is told it */
  time: number;
  noised: Float32Array;
  /** epsilon: the noise. v_prediction: picture * eps - noise * x0. flow: eps - x0 */
  target: Float32Array;
  /** of its squared error in the loss */
  weight: number;
}

export interface LossOptions {
  /** min-SNR's gamma (arXiv 2303.09556), usually 5; undefined: every time weighs the same. Flows know none. */
  minSnr?: number;
}

/** Mixes noise into an example's latents at a time. */
export function noiseInto(
  latents: Float32Array,
  noise: Float32Array,
  time: number,
  schedule: NoiseSchedule,
  options: LossOptions = {},
): NoisedExample {
  const { picture, noise: share } = schedule.mixture(time);
  const { prediction } = schedule.config;
  const target = (x0: number, eps: number) => {
    switch (prediction) {
      case 'epsilon':
        return eps;
      case 'v_prediction':
        return picture * eps - share * x0;
      case 'flow':
        return eps - x0;
    }
  };
  return {
    time,
    noised: latents.map((x0, i) => picture * x0 + share * noise[i]!),
    target: latents.map((x0, i) => target(x0, noise[i]!)),
    weight: lossWeight(schedule, time, options),
  };
}

/** min(SNR, gamma) / SNR for epsilon, min(SNR, gamma) / (SNR + 1) for v; without signal at all what they come to: 1 and 0. */
export function lossWeight({ config, mixture }: NoiseSchedule, time: number, { minSnr }: LossOptions): number {
  if (minSnr === undefined || config.prediction === 'flow') return 1;
  const { picture, noise } = mixture(time);
  const snr = (picture / noise) ** 2;
  if (config.prediction === 'v_prediction') return Math.min(snr, minSnr) / (snr + 1);
  return snr <= minSnr ? 1 : minSnr / snr;
}

import type { VarianceConfig } from '../config.ts';
import type { SamplingStep } from './plan.ts';

/** For the last step of zero-terminal noise, whose level would be infinite; as diffusers has it. */
const LEAST_SHARE = 2 ** -24;

/** sigma = sqrt((1 - abar) / abar) of every step of training: x0 + sigma eps is the picture with its noise. */
export function noiseLevels(shares: Float32Array, { zeroTerminal }: VarianceConfig): Float32Array {
  return shares.map((share, t) => {
    const left = zeroTerminal && t === shares.length - 1 ? LEAST_SHARE : share;
    return Math.sqrt(Math.fround(1 - left) / left);
  });
}

/** x0 from x = x0 + level eps and what the network says of x / sqrt(level^2 + 1). */
export function guessAt(level: number, prediction: VarianceConfig['prediction']): SamplingStep['guess'] {
  if (prediction === 'epsilon') return { x: 1, prediction: -level };
  return { x: 1 / (level ** 2 + 1), prediction: -level / Math.sqrt(level ** 2 + 1) };
}

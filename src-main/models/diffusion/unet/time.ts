import type { TimeConfig } from './config.ts';

const LONGEST_PERIOD = 10_000;

/**
 * Sinusoids of times, or of other numbers (diffusers: get_timestep_embedding), [numbers, width]. Made on the host: engines' sines of
 * large angles differ.
 */
export function sinusoids(numbers: ArrayLike<number>, width: number, { cosineFirst, shift }: TimeConfig): Float32Array {
  const half = Math.floor(width / 2);
  const out = new Float32Array(numbers.length * width);
  for (let row = 0; row < numbers.length; row++)
    for (let i = 0; i < half; i++) {
      const frequency = Math.fround(Math.exp(Math.fround((-Math.log(LONGEST_PERIOD) * i) / (half - shift))));
      const angle = Math.fround(numbers[row]! * frequency);
      const [sine, cosine] = cosineFirst ? [half + i, i] : [i, half + i];
      out[row * width + sine] = Math.sin(angle);
      out[row * width + cosine] = Math.cos(angle);
    }
  return out;
}

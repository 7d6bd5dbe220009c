import { normalNumbers, randomStream } from '../engine/random.ts';

export { randomStream };

/** `size` numbers, normal around 0. */
export const normal = (seed: number, name: string, size: number, deviation: number): Float32Array =>
  normalNumbers(randomStream(seed, name), size).map((value) => deviation * value);

/** `size` numbers, uniform in [low, high). */
export function uniform(seed: number, name: string, size: number, low: number, high: number): Float32Array {
  const next = randomStream(seed, name);
  const numbers = new Float32Array(size);
  for (let i = 0; i < size; i++) numbers[i] = low + (high - low) * next();
  return numbers;
}

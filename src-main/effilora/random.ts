import { randomStream } from '../engine/random.ts';

export { randomStream };

/** `size` numbers, uniform in [low, high). */
export function uniform(seed: number, name: string, size: number, low: number, high: number): Float32Array {
  const next = randomStream(seed, name);
  const numbers = new Float32Array(size);
  for (let i = 0; i < size; i++) numbers[i] = low + (high - low) * next();
  return numbers;
}

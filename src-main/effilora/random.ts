import { randomStream } from '../engine/random.ts';

export { randomStream };

/** `size` numbers, uniform in [low, high). */
export function uniform(seed: number, name: string, size: number, low: number, high: number): Float32Array {
  const next = randomStream(seed, name);
  return Float32Array.from({ length: size }, () => low + (high - low) * next());
}

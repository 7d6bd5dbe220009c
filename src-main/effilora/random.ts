import { randomStream } from '../engine/random.ts';

export { randomStream };

/** `size` numbers, normal around 0 (Box and Muller's transform). */
export function normal(seed: number, name: string, size: number, deviation: number): Float32Array {
  const next = randomStream(seed, name);
  return Float32Array.from(
    { length: size },
    () => deviation * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
}

/** `size` numbers, uniform in [low, high). */
export function uniform(seed: number, name: string, size: number, low: number, high: number): Float32Array {
  const next = randomStream(seed, name);
  const numbers = new Float32Array(size);
  for (let i = 0; i < size; i++) numbers[i] = low + (high - low) * next();
  return numbers;
}

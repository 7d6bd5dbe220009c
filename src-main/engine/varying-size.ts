/** A shape's size that is another at every run. */
export const VARYING = -1;

/** Below this, sizes that a step computes from small numbers could be multiples by chance. */
const LEAST = 257;

const isPrime = (n: number) => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
};

/**
 * What stands for a varying size while a step is recorded: the next prime from `near` on that divides none of the step's other
 * sizes, so that every size that is a multiple of it depends on it.
 */
export function standInFor(near: number, otherSizes: number[]): number {
  let size = Math.max(near, LEAST);
  while (!isPrime(size) || otherSizes.some((other) => other > 0 && other % size === 0)) size++;
  return size;
}

/** The shape with what depends on the stand-in left open. */
export const openShape = (shape: number[], standIn: number | undefined): number[] =>
  standIn === undefined ? shape : shape.map((size) => (size > 0 && size % standIn === 0 ? VARYING : size));

/** The shape that so many numbers have; at most one of its sizes is open. */
export function closedShape(shape: number[], count: number): number[] {
  const known = shape.reduce((product, size) => (size === VARYING ? product : product * size), 1);
  return shape.map((size) => (size === VARYING ? count / known : size));
}

/**
 * The kernel inception distance of two sets of pictures by their features: the squared maximum mean discrepancy by the kernel
 * (x y / d + 1)^3, without the diagonals. 0 for two sets of one kind, now and then a little below.
 */
export function kernelDistance(some: Float32Array[], others: Float32Array[]): number {
  return within(some) + within(others) - 2 * mean(some, others);
}

/** Of a set's features with each other: each pair of two. */
function within(features: Float32Array[]): number {
  const own = features.reduce((sum, one) => sum + kernel(one, one), 0);
  const { length } = features;
  return (mean(features, features) * length ** 2 - own) / (length * (length - 1));
}

function mean(some: Float32Array[], others: Float32Array[]): number {
  let sum = 0;
  for (const one of some) for (const other of others) sum += kernel(one, other);
  return sum / (some.length * others.length);
}

function kernel(one: Float32Array, other: Float32Array): number {
  let product = 0;
  for (let i = 0; i < one.length; i++) product += one[i]! * other[i]!;
  return (product / one.length + 1) ** 3;
}

import type { Tensor } from '@tensorflow/tfjs-core';

/** Makes x once `earlier` is there. */
type After = (x: Tensor, earlier: Tensor) => Tensor;

let inGraph: After | undefined;

/** Runs `record` with orders put into its graph by `after`. */
export function withOrder<T>(after: After, record: () => T): T {
  const outer = inGraph;
  inGraph = after;
  try {
    return record();
  } finally {
    inGraph = outer;
  }
}

/**
 * x itself, which what is made of it waits with until `earlier` is there. Eager code does one thing after the other anyway; a graph
 * begins at once with all that it can, and holds the results until something needs them. What is made of x again is not taken for
 * what was made of it before. No gradient passes.
 */
export function after<T extends Tensor>(x: T, earlier: Tensor | undefined): T {
  return inGraph && earlier ? (inGraph(x, earlier) as T) : x;
}

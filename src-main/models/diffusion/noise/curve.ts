import type { VarianceConfig } from './config.ts';

/**
 * How much of the picture is left at each step of training: abar_t, the product of 1 - beta up to t, [trainSteps]. Rounded where diffusers
 * rounds, so that steps of a sampler are its own to the last bits.
 */
export function picturesShare(config: VarianceConfig): Float32Array {
  const betas = betasOf(config);
  return products(config.zeroTerminal ? withZeroTerminal(betas) : betas);
}

function betasOf({ betas, trainSteps }: VarianceConfig): Float32Array {
  if (Array.isArray(betas)) return Float32Array.from(betas);
  switch (betas.form) {
    case 'linear':
      return evenly(betas.start, betas.end, trainSteps);
    case 'scaled_linear':
      return evenly(Math.sqrt(betas.start), Math.sqrt(betas.end), trainSteps).map((root) => root * root);
    case 'squaredcos_cap_v2':
      return Float32Array.from({ length: trainSteps }, (_, t) =>
        Math.min(1 - cosine((t + 1) / trainSteps) / cosine(t / trainSteps), MOST_BETA),
      );
  }
}

const MOST_BETA = 0.999;
const cosine = (part: number) => Math.cos((((part + 0.008) / 1.008) * Math.PI) / 2) ** 2;

/** `count` numbers from `first` to `last`, the second half reckoned from the end, as PyTorch does. */
export function evenly(first: number, last: number, count: number): Float32Array {
  const apart = count > 1 ? (last - first) / (count - 1) : 0;
  return Float32Array.from({ length: count }, (_, i) =>
    i < count / 2 ? first + apart * i : last - apart * (count - 1 - i),
  );
}

function products(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => (product *= Math.fround(1 - beta)));
}

/** Shifted and stretched, in the square root, so that the first step stays and nothing of the picture is left in the last. */
function withZeroTerminal(betas: Float32Array): Float32Array {
  const roots = products(betas).map(Math.sqrt);
  const [first, last] = [roots[0]!, roots.at(-1)!];
  const left = roots.map((root) => ((root - last) * first) / (first - last)).map((root) => root * root);
  return left.map((share, t) => 1 - (t === 0 ? share : share / left[t - 1]!));
}

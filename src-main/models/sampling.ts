/** How the next token is chosen. */
export interface SamplingOptions {
  /** 0 takes the likeliest token; else logits are divided by it */
  temperature: number;
  /** the fewest tokens whose probabilities reach this sum are kept (nucleus sampling, arXiv 1904.09751); 1 keeps all */
  topP: number;
  /** so many of the likeliest tokens are kept; 0 keeps all */
  topK: number;
}

export interface TokenProbability {
  id: number;
  /** natural logarithm of the model's own probability, before temperature, top-k and top-p */
  logProbability: number;
}

/** log(sum(exp(logits))) */
export function logSumExp(logits: Float32Array): number {
  let largest = -Infinity;
  for (const value of logits) if (value > largest) largest = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

/** The `count` likeliest tokens, likeliest first; of equal ones the lower id. */
export function likeliest(logits: Float32Array, count: number): TokenProbability[] {
  if (count === 0) return [];
  const total = logSumExp(logits);
  const ids: number[] = [];
  for (let id = 0; id < logits.length && count > 0; id++) {
    if (ids.length === count && logits[id]! <= logits[ids[count - 1]!]!) continue;
    let place = ids.length;
    while (place > 0 && logits[ids[place - 1]!]! < logits[id]!) place--;
    ids.splice(place, 0, id);
    if (ids.length > count) ids.pop();
  }
  return ids.map((id) => ({ id, logProbability: logits[id]! - total }));
}

/** Draws a token. `random` gives numbers in [0, 1); it is not called at temperature 0. */
export function sample(logits: Float32Array, options: SamplingOptions, random: () => number): TokenProbability {
  if (options.temperature === 0) return likeliest(logits, 1)[0]!;
  const weights = keptWeights(logits, options);
  let total = 0;
  for (const weight of weights) total += weight;
  let left = random() * total;
  let id = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    id = i;
    left -= weights[i]!;
    if (left < 0) break;
  }
  return { id, logProbability: logits[id]! - logSumExp(logits) };
}

/** exp(logit / temperature) relative to the largest, 0 for tokens that top-k or top-p leave out. Tied tokens stay together. */
function keptWeights(logits: Float32Array, { temperature, topP, topK }: SamplingOptions): Float64Array {
  const largest = likeliest(logits, 1)[0]!.id;
  const weights = new Float64Array(logits).map((logit) => Math.exp((logit - logits[largest]!) / temperature));
  if (topK > 0 || topP < 1) {
    const falling = weights.slice().sort().reverse();
    const kept = topK > 0 ? falling.subarray(0, topK) : falling;
    const least = kept[nucleusSize(kept, topP) - 1]!;
    for (let i = 0; i < weights.length; i++) if (weights[i]! < least) weights[i] = 0;
  }
  return weights;
}

/** How many of the falling weights reach `topP` of their sum; at least 1. */
function nucleusSize(falling: Float64Array, topP: number): number {
  if (topP >= 1) return falling.length;
  const goal = topP * falling.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  for (let i = 0; i < falling.length; i++) {
    sum += falling[i]!;
    if (sum >= goal) return i + 1;
  }
  return falling.length;
}

import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { AttentionOptions } from '../../fused-kernels.ts';
import type { Backend } from '../backend.ts';
import { empty, run, type Kernel } from '../kernel.ts';
import {
  constants,
  eachVector,
  eachVectorOut,
  KEYS,
  load,
  overKeys,
  PARAMS,
  paramsOf,
  QUERIES,
  SEES,
  THREADS,
  tileTokens,
  wholeVectors,
  withoutPadding,
} from './attention-tile.ts';

const text = (tokens: number, headSize: number) => `${constants(tokens, headSize)}
var<workgroup> queries: array<vec4f, T * W>;
var<workgroup> keys: array<vec4f, T * W>; // then values
var<workgroup> scores: array<f32, T * T>; // then weights
var<workgroup> highest: array<f32, T>;
var<workgroup> total: array<f32, T>;
var<workgroup> shrink: array<f32, T>;
const NONE = -1e30;
${SEES}
${overKeys({
  begin: 'if (thread < T) { highest[thread] = NONE; total[thread] = 0.0; }',
  each: `
    workgroupBarrier();
    for (var s = thread; s < T * T; s += ${THREADS}u) {
      var score = NONE;
      if (sees(first, start + s / T, keyStart + s % T)) {
        score = 0.0;
        for (var i = 0u; i < W; i++) { score += dot(queries[s / T * W + i], keys[s % T * W + i]); }
        score *= p.scale;
      }
      scores[s] = score;
    }
    workgroupBarrier();
    ${load('keys', 'v', KEYS, 'keyHead', 'keyStart')}
    if (thread < T) {
      var most = highest[thread];
      for (var i = thread * T; i < thread * T + T; i++) { most = max(most, scores[i]); }
      var sum = 0.0;
      for (var i = thread * T; i < thread * T + T; i++) {
        let weight = select(0.0, exp(scores[i] - most), scores[i] > NONE);
        scores[i] = weight;
        sum += weight;
      }
      shrink[thread] = exp(highest[thread] - most);
      total[thread] = total[thread] * shrink[thread] + sum;
      highest[thread] = most;
    }
    workgroupBarrier();
    ${eachVector(`
      var sum = sums[n] * shrink[i / W];
      for (var key = 0u; key < T; key++) { sum += scores[i / W * T + key] * keys[key * W + i % W]; }
      sums[n] = sum;`)}`,
  end: `
  ${eachVectorOut(QUERIES, 'head', 'start', 'out[at] = sums[n] / total[i / W];')}
  if (thread < T && start + thread < p.length) {
    logSums[(first + start + thread) * p.heads + head] = highest[thread] + log(total[thread]);
  }`,
})}`;

/**
 * Attention without the score matrix (FlashAttention, arXiv 2205.14135): a workgroup a tile of queries of one head, which goes
 * through the keys it sees tile by tile with a running maximum and sum. Causal, packed segments, window, grouped-query; or all of a row's keys.
 */
function kernel(tokens: number, headSize: number): Kernel {
  return {
    name: `attention ${tokens} ${headSize}`,
    reads: { q: 'vec4f', k: 'vec4f', v: 'vec4f', segments: 'i32' },
    writes: { out: 'vec4f', logSums: 'f32' },
    params: PARAMS,
    code: text(tokens, headSize),
  };
}

/** q [tokens, heads * size], k and v [tokens, or rows * keyLength, keyValueHeads * size] -> output as q, and log sum exp of every query [tokens, heads] */
export function attention(
  backend: Backend,
  [q, k, v]: [Tensor2D, Tensor2D, Tensor2D],
  segments: Tensor1D,
  options: AttentionOptions,
): [Tensor2D, Tensor2D] {
  const { length, heads, keyValueHeads } = options;
  const wide = wholeVectors(q, heads);
  const headSize = wide.shape[1] / heads;
  const tokens = tileTokens(backend, headSize, 2, 1);
  const out = empty<Tensor2D>(backend, wide.shape);
  const logSums = empty<Tensor2D>(backend, [q.shape[0], heads]);
  const groups = [Math.ceil(length / tokens), heads, q.shape[0] / length] as [number, number, number];
  const reads = [wide, wholeVectors(k, keyValueHeads), wholeVectors(v, keyValueHeads), segments];
  run(backend, kernel(tokens, headSize), reads, [out, logSums], paramsOf(options), groups);
  return [withoutPadding(out, heads, q.shape[1] / heads), logSums];
}

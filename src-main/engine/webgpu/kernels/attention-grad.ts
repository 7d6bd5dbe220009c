import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { AttentionOptions } from '../../fused-kernels.ts';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, run, spread, type Kernel } from '../kernel.ts';
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
  ROWS,
  SEES,
  THREADS,
  tileTokens,
  wholeVectors,
  withoutPadding,
} from './attention-tile.ts';

// Backward of attention (FlashAttention-2, arXiv 2307.08691): weights P are made again from the saved log sums, then
// dV = P^T dO, dS = P (dO V^T - rowsum(dO O)), dQ = scale dS K, dK = scale dS^T Q.

/** rowsum(dO O), [tokens, heads]. A thread a number. */
const ALONG: Kernel = {
  name: 'attentionAlong',
  reads: { dOut: 'vec4f', out: 'vec4f' },
  writes: { along: 'f32' },
  params: { size: 'u32', vectors: 'u32' },
  code: `@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let row = flat(group, groups) * ${THREADS}u + thread;
  if (row >= p.size) { return; }
  var sum = 0.0;
  for (var i = row * p.vectors; i < (row + 1u) * p.vectors; i++) { sum += dot(dOut[i], out[i]); }
  along[row] = sum;
}`,
};

const READS = {
  q: 'vec4f',
  k: 'vec4f',
  v: 'vec4f',
  segments: 'i32',
  dOut: 'vec4f',
  logSums: 'f32',
  along: 'f32',
};

const tiles = (tokens: number, headSize: number) => `${constants(tokens, headSize)}
var<workgroup> queries: array<vec4f, T * W>;
var<workgroup> keys: array<vec4f, T * W>;
var<workgroup> values: array<vec4f, T * W>;
var<workgroup> slopes: array<vec4f, T * W>; // of dOut
${SEES}`;

/** P and dS of query start + s / T and key keyStart + s % T, into `weight` and `slope`. */
const SCORE = `
      var weight = 0.0;
      var slope = 0.0;
      if (sees(first, start + s / T, keyStart + s % T)) {
        var score = 0.0;
        for (var i = 0u; i < W; i++) {
          score += dot(queries[s / T * W + i], keys[s % T * W + i]);
          slope += dot(slopes[s / T * W + i], values[s % T * W + i]);
        }
        let row = (first + start + s / T) * p.heads + head;
        weight = exp(score * p.scale - logSums[row]);
        slope = weight * (slope - along[row]);
      }`;

/** A workgroup a tile of queries of one head. */
const toQueries = (tokens: number, headSize: number): Kernel => ({
  name: `attentionToQueries ${tokens} ${headSize}`,
  reads: READS,
  writes: { dQ: 'vec4f' },
  params: PARAMS,
  code: `${tiles(tokens, headSize)}
var<workgroup> dScores: array<f32, T * T>;
${overKeys({
  begin: load('slopes', 'dOut', QUERIES, 'head', 'start'),
  each: `
    ${load('values', 'v', KEYS, 'keyHead', 'keyStart')}
    workgroupBarrier();
    for (var s = thread; s < T * T; s += ${THREADS}u) {
      ${SCORE}
      dScores[s] = slope;
    }
    workgroupBarrier();
    ${eachVector('for (var key = 0u; key < T; key++) { sums[n] += dScores[i / W * T + key] * keys[key * W + i % W]; }')}`,
  end: eachVectorOut(QUERIES, 'head', 'start', 'dQ[at] = sums[n] * p.scale;'),
})}`,
});

/** A workgroup a tile of keys of one key head, through all query heads that share it. */
const toKeys = (tokens: number, headSize: number): Kernel => ({
  name: `attentionToKeys ${tokens} ${headSize}`,
  reads: READS,
  writes: { dK: 'vec4f', dV: 'vec4f' },
  params: PARAMS,
  code: `${tiles(tokens, headSize)}
var<workgroup> weights: array<f32, T * T>;
var<workgroup> dScores: array<f32, T * T>;
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let keyStart = group.x * T;
  let keyHead = group.y;
  let shared_ = p.heads / p.keyHeads;
  ${ROWS}
  ${load('keys', 'k', KEYS, 'keyHead', 'keyStart')}
  ${load('values', 'v', KEYS, 'keyHead', 'keyStart')}
  var toK: array<vec4f, N>;
  var toV: array<vec4f, N>;
  let nearest = select(keyStart, 0u, p.all == 1u);
  let end = select(p.length, min(p.length, keyStart + T + p.window), p.window > 0u);
  for (var head = keyHead * shared_; head < (keyHead + 1u) * shared_; head++) {
    for (var start = nearest; start < end; start += T) {
      workgroupBarrier();
      ${load('queries', 'q', QUERIES, 'head', 'start')}
      ${load('slopes', 'dOut', QUERIES, 'head', 'start')}
      workgroupBarrier();
      for (var s = thread; s < T * T; s += ${THREADS}u) {
        ${SCORE}
        weights[s] = weight;
        dScores[s] = slope;
      }
      workgroupBarrier();
      ${eachVector(`
        for (var query = 0u; query < T; query++) {
          toV[n] += weights[query * T + i / W] * slopes[query * W + i % W];
          toK[n] += dScores[query * T + i / W] * queries[query * W + i % W];
        }`)}
    }
  }
  ${eachVectorOut(KEYS, 'keyHead', 'keyStart', 'dK[at] = toK[n] * p.scale; dV[at] = toV[n];')}
}`,
});

/** `saved` = q, k, v, segments, output, log sums. The gradients to q, k, v. */
export function attentionGrad(
  backend: Backend,
  saved: Tensor[],
  dOut: Tensor2D,
  options: AttentionOptions,
): [Tensor2D, Tensor2D, Tensor2D] {
  const { length, heads, keyValueHeads } = options;
  const size = (saved[0] as Tensor2D).shape[1] / heads;
  const [segments, logSums] = [saved[3]!, saved[5] as Tensor2D];
  const wide = (x: Tensor, count: number) => wholeVectors(x as Tensor2D, count);
  const [q, out, slopes] = [wide(saved[0]!, heads), wide(saved[4]!, heads), wide(dOut, heads)];
  const [k, v] = [wide(saved[1]!, keyValueHeads), wide(saved[2]!, keyValueHeads)];
  const headSize = q.shape[1] / heads;
  const along = empty<Tensor2D>(backend, logSums.shape);
  run(backend, ALONG, [slopes, out], [along], [along.size, headSize / 4], spread(Math.ceil(along.size / THREADS)));
  const tokens = tileTokens(backend, headSize, 4, 2);
  const [dQ, dK, dV] = [q, k, v].map(({ shape }) => empty<Tensor2D>(backend, shape)) as [Tensor2D, Tensor2D, Tensor2D];
  const reads = [q, k, v, segments, slopes, logSums, along];
  const rows = q.shape[0] / length;
  const groups = (along: number, count: number): [number, number, number] => [Math.ceil(along / tokens), count, rows];
  run(backend, toQueries(tokens, headSize), reads, [dQ], paramsOf(options), groups(length, heads));
  const keys = options.keyLength ?? length;
  run(backend, toKeys(tokens, headSize), reads, [dK, dV], paramsOf(options), groups(keys, keyValueHeads));
  along.dispose();
  return [
    withoutPadding(dQ, heads, size),
    withoutPadding(dK, keyValueHeads, size),
    withoutPadding(dV, keyValueHeads, size),
  ];
}

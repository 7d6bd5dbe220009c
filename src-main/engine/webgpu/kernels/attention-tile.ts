import type { AttentionOptions } from '../../fused-kernels.ts';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { INVOCATION } from '../kernel.ts';

/** Threads of a workgroup of every attention kernel. */
export const THREADS = 64;

/** Queries and keys are taken this many at a time, the most whose `tiles` vectors fit into a workgroup's memory. */
export function tileTokens(backend: Backend, headSize: number, tiles: number, matrices: number): number {
  const most = backend.opened.gpu.limits.maxComputeWorkgroupStorageSize;
  const bytes = (tokens: number) => 4 * (tiles * tokens * headSize + matrices * tokens * tokens + 4 * tokens);
  return [16, 8, 4, 2].find((tokens) => bytes(tokens) <= most) ?? 1;
}

/** Sizes every attention kernel takes, in the order of `PARAMS`. */
export const PARAMS = {
  ...({ length: 'u32', keys: 'u32', heads: 'u32', keyHeads: 'u32', window: 'u32' } as const),
  ...({ all: 'u32', scale: 'f32' } as const),
} as const;
export const paramsOf = ({ length, keyLength, heads, keyValueHeads, window, scale }: AttentionOptions) => [
  ...[length, keyLength ?? length, heads, keyValueHeads, window ?? 0],
  ...[Number(keyLength !== undefined), scale],
];

/** Constants of a tile: T tokens, W vectors of four a head, N of them a thread. */
export function constants(tokens: number, headSize: number): string {
  const vectors = headSize / 4;
  return `const T = ${tokens}u; const W = ${vectors}u; const N = ${Math.ceil((tokens * vectors) / THREADS)}u;`;
}

/** Whether query `q` sees key `k` (tokens of a row whose first token is `first`): all of its row, or causal, in one segment, in the window. */
export const SEES = `fn sees(first: u32, q: u32, k: u32) -> bool {
  if (q >= p.length || k >= p.keys) { return false; }
  if (p.all == 1u) { return true; }
  return k <= q && (p.window == 0u || q - k < p.window) && segments[first + q] == segments[first + k];
}`;

/** How queries, or keys, lie: where a row of them begins, how many it has, and of how many heads. */
export interface Lie {
  first: string;
  length: string;
  heads: string;
}
export const QUERIES: Lie = { first: 'first', length: 'p.length', heads: 'p.heads' };
export const KEYS: Lie = { first: 'firstKey', length: 'p.keys', heads: 'p.keyHeads' };

/** Where the rows of this workgroup begin. */
export const ROWS = `let first = group.z * p.length;
  let firstKey = group.z * p.keys;`;

/** Reads T tokens' vectors of one head into workgroup memory, zeros past the row's end. */
export const load = (tile: string, from: string, { first, length, heads }: Lie, head: string, start: string) => `
  for (var i = thread; i < T * W; i += ${THREADS}u) {
    let token = ${start} + i / W;
    ${tile}[i] = vec4f(0.0);
    if (token < ${length}) { ${tile}[i] = ${from}[((${first} + token) * ${heads} + ${head}) * W + i % W]; }
  }`;

/** Does `body` for every vector `i` of a tile that is this thread's, its `n`-th. */
export const eachVector = (body: string) => `
  for (var n = 0u; n < N; n++) {
    let i = thread + n * ${THREADS}u;
    if (i < T * W) { ${body} }
  }`;

/** As `eachVector`, but for tokens past the row's end; `at` is where the vector lies. */
export const eachVectorOut = ({ first, length, heads }: Lie, head: string, start: string, body: string) =>
  eachVector(`
      let token = ${start} + i / W;
      let at = ((${first} + token) * ${heads} + ${head}) * W + i % W;
      if (token < ${length}) { ${body} }`);

/**
 * A kernel whose workgroups have a tile of queries of one head each, go through the tiles of keys that these see, `each`, and come
 * to an `end`; `begin` comes before.
 */
export const overKeys = ({ begin, each, end }: { begin: string; each: string; end: string }) => `
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let start = group.x * T;
  let head = group.y;
  let keyHead = head / (p.heads / p.keyHeads);
  ${ROWS}
  ${load('queries', 'q', QUERIES, 'head', 'start')}
  ${begin}
  var sums: array<vec4f, N>;
  let nearest = select(0u, start - min(start, p.window - 1u), p.window > 0u);
  let end = select(min(start + T, p.keys), p.keys, p.all == 1u);
  for (var keyStart = nearest; keyStart < end; keyStart += T) {
    workgroupBarrier();
    ${load('keys', 'k', KEYS, 'keyHead', 'keyStart')}
    ${each}
  }
  ${end}
}`;

/** Heads are read four numbers at a time: pads each with zeros, which add nothing to any dot product. */
export function wholeVectors(x: Tensor2D, heads: number): Tensor2D {
  const size = x.shape[1] / heads;
  if (size % 4 === 0) return x;
  return tf.tidy(() => {
    const apart = tf.reshape(x, [x.shape[0] * heads, size]) as Tensor2D;
    return tf.reshape(tf.pad2d(apart, [[0, 0], [0, 4 - (size % 4)]]), [x.shape[0], -1]); // prettier-ignore
  });
}

/** Takes the zeros of `wholeVectors` off again. */
export function withoutPadding(x: Tensor2D, heads: number, size: number): Tensor2D {
  if (x.shape[1] === heads * size) return x;
  return tf.tidy(() => {
    const apart = tf.reshape(x, [x.shape[0] * heads, x.shape[1] / heads]) as Tensor2D;
    return tf.reshape(tf.slice2d(apart, [0, 0], [-1, size]), [x.shape[0], heads * size]);
  });
}

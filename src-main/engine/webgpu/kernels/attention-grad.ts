import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { AttentionOptions } from '../../fused-kernels.ts';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, run, spread, type Kernel } from '../kernel.ts';
import {
  dots,
  eachOut,
  eachRow,
  eachSum,
  enabled,
  flopsOf,
  isHalf,
  KEYS,
  load,
  MAIN,
  overInner,
  PARAMS,
  paramsOf,
  QUERIES,
  QUERY_TILE,
  ROWS,
  seen,
  SEES,
  shapeOf,
  tell,
  tiled,
  tileText,
  tileType,
  tokensOf,
  toldBy,
  wholeVectors,
  withoutPadding,
  type Shape,
} from './attention-tile.ts';
import { SCALE_OF } from './row-scales.ts';

// Backward of attention (FlashAttention-2, arXiv 2307.08691): weights P are made again from the saved log sums, then
// dV = P^T dO, dS = P (dO V^T - rowsum(dO O)), dQ = scale dS K, dK = scale dS^T Q.

const THREADS = 64;

/**
 * rowsum(dO O), [tokens, heads]; in half precision with the power of two that dO is multiplied by in tiles, so that small gradients stay,
 * and of dO as it is there: rows of dS then add up to 0 as they do in f32. A thread a number.
 */
const alongKernel = (half: boolean): Kernel => ({
  name: `attentionAlong ${half}`,
  reads: { dOut: 'vec4f', out: 'vec4f' },
  writes: { along: half ? 'vec2f' : 'f32' },
  params: { size: 'u32', vectors: 'u32' },
  enable: half ? ['f16'] : [],
  code: `${tiled(half)}
${SCALE_OF}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let row = flat(group, groups) * ${THREADS}u + thread;
  if (row >= p.size) { return; }
  let end = (row + 1u) * p.vectors;
  var sum = 0.0;
  ${
    half
      ? `var most = vec4f(0.0);
  for (var i = row * p.vectors; i < end; i++) { most = max(most, abs(dOut[i])); }
  let scale = scaleOf(max(max(most.x, most.y), max(most.z, most.w)));
  for (var i = row * p.vectors; i < end; i++) { sum += dot(vec4f(tiled(dOut[i] * scale.x)) * scale.y, out[i]); }
  along[row] = vec2f(sum, scale.x);`
      : `for (var i = row * p.vectors; i < end; i++) { sum += dot(dOut[i], out[i]); }
  along[row] = sum;`
  }
}`,
});

const reads = ({ half }: Shape) => ({
  ...{ q: 'vec4f', k: 'vec4f', v: 'vec4f', segments: 'i32', dOut: 'vec4f', logSums: 'f32' },
  along: half ? 'vec2f' : 'f32',
});

const tiles = (shape: Shape, queries: 'T' | 'K', keys: 'T' | 'K') => `
var<workgroup> queries: array<${tileType(shape)}, ${queries} * S>;
var<workgroup> keys: array<${tileType(shape)}, ${keys} * S>;
var<workgroup> values: array<${tileType(shape)}, ${keys} * S>;
var<workgroup> slopes: array<${tileType(shape)}, ${queries} * S>; // of dOut
${SEES}`;

/** What a token's dOut is multiplied by on its way to a tile. */
const scaled = ({ half }: Shape) => (half ? ' * along[(first + token) * p.heads + head].y' : '');

/** A workgroup a tile of queries of one head. */
const toQueries = (shape: Shape): Kernel => ({
  name: `attentionToQueries ${Object.values(shape).join()}`,
  reads: reads(shape),
  writes: { dQ: 'vec4f' },
  params: PARAMS,
  enable: enabled(shape),
  code: `${tileText(shape, 1)}
${tiles(shape, 'T', 'K')}
${MAIN(shape)}
  ${QUERY_TILE}
  ${load('queries', 'q', QUERIES, 'head', 'start', 'T')}
  ${load('slopes', 'dOut', QUERIES, 'head', 'start', 'T', scaled(shape))}
  ${eachSum(shape, (row, n) => `var sum${row}_${n} = vec4f(0.0);`)}
  ${eachRow(
    shape,
    (row) => `let query${row} = start + quad * ${shape.rows}u + ${row}u;
  let at${row} = (first + min(query${row}, p.length - 1u)) * p.heads + head;
  let logSum${row} = logSums[at${row}];
  let along${row} = along[at${row}]${shape.half ? '.x' : ''};
  ${shape.half ? `let back${row} = 1.0 / along[at${row}].y;` : ''}`,
  )}
  for (var keyStart = nearest; keyStart < end; keyStart += K) {
    workgroupBarrier();
    ${load('keys', 'k', KEYS, 'keyHead', 'keyStart', 'K')}
    ${load('values', 'v', KEYS, 'keyHead', 'keyStart', 'K')}
    workgroupBarrier();
    ${dots(shape, [
      { name: 'score', own: 'queries', other: 'keys' },
      { name: 'slope', own: 'slopes', other: 'values' },
    ])}
    ${eachRow(
      shape,
      (row) => `let seen${row} = ${seen(shape, (column) => `sees(first, query${row}, keyStart + ${column})`)};
    let dScore${row} = select(vec4f(0.0), exp(score${row} * p.scale - logSum${row}) * (slope${row}${shape.half ? ` * back${row}` : ''} - along${row}), seen${row});`,
    )}
    ${tell(shape, [(row) => `dScore${row}`])}
    ${overInner(
      shape,
      eachRow(shape, (row) => `let by${row} = ${toldBy(shape, 0, row, `dScore${row}`)};`),
      (n) => `let key = vec4f(keys[at]); ${eachRow(shape, (row) => `sum${row}_${n} += by${row}[c] * key;`)}`,
    )}
  }
  ${eachOut(shape, QUERIES, 'head', 'start', (row, n) => `dQ[at] = sum${row}_${n} * p.scale;`)}
}`,
});

/** A workgroup a tile of keys of one key head, through all query heads that share it. */
const toKeys = (shape: Shape, back = shape.half ? ' * backs' : ''): Kernel => ({
  name: `attentionToKeys ${Object.values(shape).join()}`,
  reads: reads(shape),
  writes: { dK: 'vec4f', dV: 'vec4f' },
  params: PARAMS,
  enable: enabled(shape),
  code: `${tileText(shape, 2)}
${tiles(shape, 'K', 'T')}
var<workgroup> logSumsHere: array<f32, K>;
var<workgroup> alongHere: array<f32, K>;
${shape.half ? 'var<workgroup> backHere: array<f32, K>;' : ''}
${MAIN(shape)}
  let keyStart = group.x * T;
  let keyHead = group.y;
  let shared_ = p.heads / p.keyHeads;
  ${ROWS}
  ${load('keys', 'k', KEYS, 'keyHead', 'keyStart', 'T')}
  ${load('values', 'v', KEYS, 'keyHead', 'keyStart', 'T')}
  ${eachSum(shape, (row, n) => `var toK${row}_${n} = vec4f(0.0); var toV${row}_${n} = vec4f(0.0);`)}
  ${eachRow(shape, (row) => `let key${row} = keyStart + quad * ${shape.rows}u + ${row}u;`)}
  let nearest = select(keyStart, 0u, p.all == 1u);
  let end = select(p.length, min(p.length, keyStart + T + p.window), p.window > 0u);
  for (var head = keyHead * shared_; head < (keyHead + 1u) * shared_; head++) {
    for (var start = nearest; start < end; start += K) {
      workgroupBarrier();
      ${load('queries', 'q', QUERIES, 'head', 'start', 'K')}
      ${load('slopes', 'dOut', QUERIES, 'head', 'start', 'K', scaled(shape))}
      for (var i = thread; i < K; i += THREADS) {
        let at = (first + min(start + i, p.length - 1u)) * p.heads + head;
        logSumsHere[i] = logSums[at];
        alongHere[i] = along[at]${shape.half ? '.x' : ''};
        ${shape.half ? 'backHere[i] = 1.0 / along[at].y;' : ''}
      }
      workgroupBarrier();
      ${dots(shape, [
        { name: 'score', own: 'keys', other: 'queries' },
        { name: 'slope', own: 'values', other: 'slopes' },
      ])}
      let logSum = ${ofLane(shape, 'logSumsHere')};
      let alongs = ${ofLane(shape, 'alongHere')};
      ${shape.half ? `let backs = ${ofLane(shape, 'backHere')};` : ''}
      ${eachRow(
        shape,
        (row) => `let seen${row} = ${seen(shape, (column) => `sees(first, start + ${column}, key${row})`)};
      let weight${row} = select(vec4f(0.0), exp(score${row} * p.scale - logSum), seen${row});
      let dScore${row} = weight${row} * (slope${row}${back} - alongs);
      let pull${row} = weight${row}${back};`,
      )}
      ${tell(shape, [(row) => `pull${row}`, (row) => `dScore${row}`])}
      ${overInner(
        shape,
        eachRow(
          shape,
          (row) => `let pulls${row} = ${toldBy(shape, 0, row, `pull${row}`)};
        let dScores${row} = ${toldBy(shape, 1, row, `dScore${row}`)};`,
        ),
        (n) => `let query = vec4f(queries[at]); let slope = vec4f(slopes[at]);
        ${eachRow(shape, (row) => `toV${row}_${n} += pulls${row}[c] * slope; toK${row}_${n} += dScores${row}[c] * query;`)}`,
      )}
    }
  }
  ${eachOut(shape, KEYS, 'keyHead', 'keyStart', (row, n) => `dK[at] = toK${row}_${n} * p.scale; dV[at] = toV${row}_${n};`)}
}`,
});

/** A number of each of a lane's inner tokens. */
const ofLane = ({ inner }: Shape, from: string): string =>
  `vec4f(${[0, 1, 2, 3].map((c) => (c < inner / 4 ? `${from}[lane * ${inner / 4}u + ${c}u]` : '0.0')).join(', ')})`;

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
  const half = isHalf(backend);
  const along = empty<Tensor2D>(backend, [logSums.shape[0], (half ? 2 : 1) * heads]);
  const alongGroups = spread(Math.ceil(logSums.size / THREADS));
  run(backend, alongKernel(half), [slopes, out], [along], [logSums.size, headSize / 4], alongGroups);
  const [dQ, dK, dV] = [q, k, v].map(({ shape }) => empty<Tensor2D>(backend, shape)) as [Tensor2D, Tensor2D, Tensor2D];
  const given = [q, k, v, segments, slopes, logSums, along];
  const rows = q.shape[0] / length;
  const groups = (tokens: number, shape: Shape, count: number): [number, number, number] => [
    ...([Math.ceil(tokens / tokensOf(shape)), count, rows] as const),
  ];
  const flops = flopsOf(options, q);
  const queries = shapeOf(backend, headSize, { own: 2, others: 2, sums: 1, told: 1 });
  run(backend, toQueries(queries), given, [dQ], paramsOf(options), groups(length, queries, heads), 3 * flops);
  const keys = shapeOf(backend, headSize, { own: 2, others: 2, sums: 2, told: 2 });
  const ofKeys = groups(options.keyLength ?? length, keys, keyValueHeads);
  run(backend, toKeys(keys), given, [dK, dV], paramsOf(options), ofKeys, 4 * flops);
  along.dispose();
  return [
    withoutPadding(dQ, heads, size),
    withoutPadding(dK, keyValueHeads, size),
    withoutPadding(dV, keyValueHeads, size),
  ];
}

import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { AttentionOptions } from '../../fused-kernels.ts';
import type { Backend } from '../backend.ts';
import { empty, run, type Kernel } from '../kernel.ts';
import {
  dots,
  eachOut,
  eachRow,
  eachSum,
  enabled,
  flopsOf,
  KEYS,
  largestOfQuad,
  load,
  MAIN,
  overInner,
  PARAMS,
  paramsOf,
  QUERIES,
  QUERY_TILE,
  seen,
  SEES,
  shapeOf,
  tell,
  tileText,
  tileType,
  tokensOf,
  toldBy,
  wholeVectors,
  withoutPadding,
  type Shape,
} from './attention-tile.ts';

const text = (shape: Shape) => `${tileText(shape, 1)}
var<workgroup> queries: array<${tileType(shape)}, T * S>;
var<workgroup> keys: array<${tileType(shape)}, K * S>; // then values
const NONE = -1e30;
${SEES}
${MAIN(shape)}
  ${QUERY_TILE}
  ${load('queries', 'q', QUERIES, 'head', 'start', 'T')}
  ${eachSum(shape, (row, n) => `var sum${row}_${n} = vec4f(0.0);`)}
  ${eachRow(shape, (row) => `var highest${row} = NONE; var total${row} = 0.0;`)}
  for (var keyStart = nearest; keyStart < end; keyStart += K) {
    workgroupBarrier();
    ${load('keys', 'k', KEYS, 'keyHead', 'keyStart', 'K')}
    workgroupBarrier();
    ${dots(shape, [{ name: 'score', own: 'queries', other: 'keys' }])}
    ${eachRow(
      shape,
      (row) => `let query${row} = start + quad * ${shape.rows}u + ${row}u;
    let seen${row} = ${seen(shape, (column) => `sees(first, query${row}, keyStart + ${column})`)};
    score${row} = select(vec4f(NONE), score${row} * p.scale, seen${row});
    var most${row} = max(highest${row}, max(max(score${row}.x, score${row}.y), max(score${row}.z, score${row}.w)));`,
    )}
    workgroupBarrier();
    ${load('keys', 'v', KEYS, 'keyHead', 'keyStart', 'K')}
    ${largestOfQuad(shape, (row) => `most${row}`)}
    ${eachRow(
      shape,
      (row) => `let weight${row} = select(vec4f(0.0), exp(score${row} - most${row}), seen${row});
    let shrink${row} = exp(highest${row} - most${row});
    total${row} = total${row} * shrink${row} + dot(weight${row}, vec4f(1.0));
    highest${row} = most${row};`,
    )}
    ${eachSum(shape, (row, n) => `sum${row}_${n} *= shrink${row};`)}
    ${tell(shape, [(row) => `weight${row}`])}
    ${shape.subgroups ? 'workgroupBarrier();' : ''}
    ${overInner(
      shape,
      eachRow(shape, (row) => `let by${row} = ${toldBy(shape, 0, row, `weight${row}`)};`),
      (n) => `let value = vec4f(keys[at]); ${eachRow(shape, (row) => `sum${row}_${n} += by${row}[c] * value;`)}`,
    )}
  }
  // each of a quad's four has added up the weights of its own keys
  ${eachRow(shape, (row) => `var parts${row} = vec4f(total${row});`)}
  workgroupBarrier();
  ${tell(shape, [(row) => `parts${row}`])}
  ${eachRow(shape, (row) => `total${row} = 0.0;`)}
  for (var j = 0u; j < 4u; j++) { ${eachRow(shape, (row) => `total${row} += ${toldBy(shape, 0, row, `parts${row}`)}.x;`)} }
  ${eachOut(shape, QUERIES, 'head', 'start', (row, n) => `out[at] = sum${row}_${n} / total${row};`)}
  ${eachRow(
    shape,
    (row) => `{
    let token = start + quad * ${shape.rows}u + ${row}u;
    if (lane == 0u && token < p.length) { logSums[(first + token) * p.heads + head] = highest${row} + log(total${row}); }
  }`,
  )}
}`;

/**
 * Attention without the score matrix (FlashAttention, arXiv 2205.14135): a workgroup a tile of queries of one head, which goes
 * through the keys it sees tile by tile with a running maximum and sum. Causal, packed segments, window, grouped-query; or all of a row's keys.
 */
function kernel(shape: Shape): Kernel {
  return {
    name: `attention ${Object.values(shape).join()}`,
    reads: { q: 'vec4f', k: 'vec4f', v: 'vec4f', segments: 'i32' },
    writes: { out: 'vec4f', logSums: 'f32' },
    params: PARAMS,
    enable: enabled(shape),
    code: text(shape),
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
  const shape = shapeOf(backend, headSize, { own: 1, others: 1, sums: 1, told: 1 });
  const out = empty<Tensor2D>(backend, wide.shape);
  const logSums = empty<Tensor2D>(backend, [q.shape[0], heads]);
  const groups = [Math.ceil(length / tokensOf(shape)), heads, q.shape[0] / length] as [number, number, number];
  const reads = [wide, wholeVectors(k, keyValueHeads), wholeVectors(v, keyValueHeads), segments];
  run(backend, kernel(shape), reads, [out, logSums], paramsOf(options), groups, 2 * flopsOf(options, wide));
  return [withoutPadding(out, heads, q.shape[1] / heads), logSums];
}

import type { AttentionOptions } from '../../fused-kernels.ts';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';

/**
 * How a workgroup shares out a tile of tokens: four threads, a quad, have `rows` of its tokens each, and go through `inner` others at a time,
 * of whose scores each of the four makes a quarter.
 */
export interface Shape {
  quads: number;
  rows: number;
  inner: number;
  /** of four numbers, in a head */
  vectors: number;
  subgroups: boolean;
  /** tiles lie in f16; what is added up is f32 */
  half: boolean;
}

/** Tokens of a tile. */
export const tokensOf = ({ quads, rows }: Shape): number => quads * rows;

/** What a kernel keeps: tiles of its own tokens, of others, sums in registers, and what the four of a quad tell each other. */
export interface Needs {
  own: number;
  others: number;
  sums: number;
  told: number;
}

/** Whether attention is asked for in f16, on a device that has it. */
export const isHalf = (backend: Backend): boolean => backend.half && backend.opened.has('shader-f16');

/** WGSL of `fn tiled(vector: vec4f)`, a vector as it lies in a tile: f16 has no numbers beyond 65,504. */
export const tiled = (half: boolean): string =>
  half
    ? 'fn tiled(vector: vec4f) -> vec4<f16> { return vec4<f16>(clamp(vector, vec4f(-65504.0), vec4f(65504.0))); }'
    : 'fn tiled(vector: vec4f) -> vec4f { return vector; }';

/** Type of a tile's vectors. */
export const tileType = ({ half }: Shape): string => (half ? 'vec4<f16>' : 'vec4f');

/** Quads and rows, the most tokens first. A software adapter compiles every thread: few have many rows there. */
const SHARES = [
  ...([[16, 4], [16, 2], [8, 4], [16, 1], [8, 2], [4, 4], [8, 1], [4, 2], [4, 1], [2, 1], [1, 1]] as const), // prettier-ignore
];
const SOFTWARE_QUADS = 8;
/** Vectors that a thread adds up in registers, at most. */
const MOST_SUMS = 16;

/** The most tokens whose tiles fit into a workgroup's memory; in f16 where that is asked for and the device has it. */
export function shapeOf(backend: Backend, headSize: number, { own, others, sums, told }: Needs): Shape {
  const { limits } = backend.opened.gpu;
  const most = backend.opened.found.software ? SOFTWARE_QUADS : Infinity;
  const vectors = headSize / 4;
  const subgroups = backend.opened.has('subgroups');
  const half = isHalf(backend);
  const bytes = ({ quads, rows, inner }: Shape) =>
    (half ? 8 : 16) * (own * quads * rows + others * inner) * (vectors + 1) +
    (subgroups ? 0 : 16 * (told + 1) * rows * quads * 4);
  for (const [quads, rows] of SHARES.filter(([quads]) => quads <= most))
    for (const inner of [16, 8, 4]) {
      const shape = { quads, rows, inner, vectors, subgroups, half };
      const fits = bytes(shape) <= limits.maxComputeWorkgroupStorageSize;
      if (fits && (rows === 1 || rows * sums * Math.ceil(vectors / 4) <= MOST_SUMS)) return shape;
    }
  throw new Error(`Heads of ${headSize} numbers are too large for this GPU`);
}

const list = (count: number, line: (i: number) => string, between = '\n') =>
  Array.from({ length: count }, (_, i) => line(i)).join(between);

/** For every row of a thread. */
export const eachRow = ({ rows }: Shape, line: (row: number) => string): string => list(rows, line);

/** Vectors of a head that one of a quad's four sums up. */
const share = ({ vectors }: Shape) => Math.ceil(vectors / 4);

/** Every vector of a thread's rows: named NAME<row>_<n>. */
export const eachSum = (shape: Shape, line: (row: number, n: number) => string): string =>
  eachRow(shape, (row) => list(share(shape), (n) => line(row, n)));

/** Text that all kernels share: the tile's constants, and what the four of a quad tell each other, by subgroups where the device has them. */
export function tileText(shape: Shape, told: number): string {
  const { quads, rows, inner, vectors, subgroups, half } = shape;
  const memory = subgroups
    ? ''
    : `var<workgroup> told: array<vec4f, ${told * rows * quads * 4}>;
var<workgroup> tops: array<f32, ${rows * quads * 4}>;`;
  return `const T = ${quads * rows}u; const K = ${inner}u; const W = ${vectors}u; const S = ${vectors + 1}u; const THREADS = ${4 * quads}u;
${memory}
${tiled(half)}`;
}

export const enabled = ({ subgroups, half }: Shape): string[] => [
  ...(subgroups ? ['subgroups'] : []),
  ...(half ? ['f16'] : []),
];

/** `main`'s head: who a thread is. Where subgroups pass numbers on, it goes by its place in them. */
export const MAIN = ({ subgroups, quads }: Shape) => `@compute @workgroup_size(${4 * quads})
fn main(@builtin(workgroup_id) group: vec3u, ${
  subgroups
    ? '@builtin(subgroup_id) subgroup: u32, @builtin(subgroup_size) subgroupSize: u32, @builtin(subgroup_invocation_id) place: u32'
    : '@builtin(local_invocation_index) thread: u32'
}) {
  ${subgroups ? `let thread = subgroup * subgroupSize + place;\n  let four = place & ~3u;` : ''}
  let lane = thread % 4u;
  let quad = thread / 4u;`;

/** The largest of a number a row, `names(row)`, among a quad's four. */
export function largestOfQuad(shape: Shape, name: (row: number) => string): string {
  if (shape.subgroups)
    return eachRow(
      shape,
      (row) => `${name(row)} = max(${name(row)}, subgroupShuffleXor(${name(row)}, 1u));
    ${name(row)} = max(${name(row)}, subgroupShuffleXor(${name(row)}, 2u));`,
    );
  const at = (row: number) => `${row}u * THREADS + thread - lane`;
  return `${eachRow(shape, (row) => `tops[${row}u * THREADS + thread] = ${name(row)};`)}
    workgroupBarrier();
    ${eachRow(shape, (row) => `for (var j = 0u; j < 4u; j++) { ${name(row)} = max(${name(row)}, tops[${at(row)} + j]); }`)}`;
}

/** Tells a quad's four a vector a row each of `names`; before it is told again comes a barrier. */
export const tell = (shape: Shape, names: ((row: number) => string)[]): string =>
  shape.subgroups
    ? ''
    : `${names.map((name, k) => eachRow(shape, (row) => `told[${k * shape.rows + row}u * THREADS + thread] = ${name(row)};`)).join('\n')}
    workgroupBarrier();`;

/** What the `j`-th of a quad's four told, the `k`-th of what was told. */
export const toldBy = ({ subgroups, rows }: Shape, k: number, row: number, name: string): string =>
  subgroups ? `subgroupShuffle(${name}, four + j)` : `told[${k * rows + row}u * THREADS + thread - lane + j]`;

/** Goes through the inner tokens, with `begin` once for each of a quad's four, whose `j`-th has token `j * K / 4 + c`, and `each` for its vectors. */
export function overInner(shape: Shape, begin: string, each: (n: number) => string): string {
  const { inner, vectors } = shape;
  const columns = inner / 4;
  const vector = (n: number) => {
    const isWhole = 4 * n + 3 < vectors;
    return `${isWhole ? '' : `if (lane + ${4 * n}u < W) `}{ let at = (j * ${columns}u + c) * S + lane + ${4 * n}u; ${each(n)} }`;
  };
  return `for (var j = 0u; j < 4u; j++) {
      ${begin}
      for (var c = 0u; c < ${columns}u; c++) { ${list(share(shape), vector)} }
    }`;
}

/** NAME<row> = own token's vector times each of the lane's inner tokens', of two tiles. */
export function dots(shape: Shape, pairs: { name: string; own: string; other: string }[]): string {
  const columns = shape.inner / 4;
  const padded = (row: number, n: number) =>
    [0, 1, 2, 3].map((c) => (c < columns ? `dot(own${n}_${row}, other${n}_${c})` : '0.0')).join(', ');
  return `${pairs.map(({ name }) => eachRow(shape, (row) => `var ${name}${row} = vec4f(0.0);`)).join('\n')}
    for (var i = 0u; i < W; i++) {
      ${pairs
        .map(
          (
            { name, own, other },
            n,
          ) => `${eachRow(shape, (row) => `let own${n}_${row} = vec4f(${own}[(quad * ${shape.rows}u + ${row}u) * S + i]);`)}
      ${list(columns, (c) => `let other${n}_${c} = vec4f(${other}[(lane * ${columns}u + ${c}u) * S + i]);`)}
      ${eachRow(shape, (row) => `${name}${row} += vec4f(${padded(row, n)});`)}`,
        )
        .join('\n')}
    }`;
}

/** Which of a lane's four inner tokens count: those of `sees(own, other)`. */
export const seen = ({ inner }: Shape, sees: (column: string) => string): string =>
  `vec4<bool>(${[0, 1, 2, 3].map((c) => (c < inner / 4 ? sees(`lane * ${inner / 4}u + ${c}u`) : 'false')).join(', ')})`;

/** Writes what a thread summed up for its rows: `put(row, n)` to vector `at`. */
export const eachOut = (
  shape: Shape,
  { first, length, heads }: Lie,
  head: string,
  start: string,
  put: (row: number, n: number) => string,
) =>
  eachRow(
    shape,
    (row) => `{
    let token = ${start} + quad * ${shape.rows}u + ${row}u;
    if (token < ${length}) {
      ${list(share(shape), (n) => `if (lane + ${4 * n}u < W) { let at = ((${first} + token) * ${heads} + ${head}) * W + lane + ${4 * n}u; ${put(row, n)} }`)}
    }
  }`,
  );

/** Sizes every attention kernel takes, in the order of `PARAMS`. */
export const PARAMS = {
  ...({ length: 'u32', keys: 'u32', heads: 'u32', keyHeads: 'u32', window: 'u32' } as const),
  ...({ all: 'u32', scale: 'f32' } as const),
} as const;
export const paramsOf = ({ length, keyLength, heads, keyValueHeads, window, scale }: AttentionOptions) => [
  ...[length, keyLength ?? length, heads, keyValueHeads, window ?? 0],
  ...[Number(keyLength !== undefined), scale],
];

/** Of one product of every query with every key. */
export const flopsOf = ({ length, keyLength }: AttentionOptions, q: Tensor2D) => 2 * q.size * (keyLength ?? length);

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

/** Reads `count` tokens' vectors of one head into workgroup memory, zeros past the row's end; `times` is what each is multiplied by. */
export const load = (
  tile: string,
  from: string,
  { first, length, heads }: Lie,
  head: string,
  start: string,
  count: 'T' | 'K',
  times = '',
) => `
  for (var i = thread; i < ${count} * W; i += THREADS) {
    let token = ${start} + i / W;
    var vector = vec4f(0.0);
    if (token < ${length}) { vector = ${from}[((${first} + token) * ${heads} + ${head}) * W + i % W]${times}; }
    ${tile}[i / W * S + i % W] = tiled(vector);
  }`;

/** Kernels whose workgroups have a tile of queries of one head each: where these begin, and which keys they see. */
export const QUERY_TILE = `let start = group.x * T;
  let head = group.y;
  let keyHead = head / (p.heads / p.keyHeads);
  ${ROWS}
  let nearest = select(0u, start - min(start, p.window - 1u), p.window > 0u);
  let end = select(min(start + T, p.keys), p.keys, p.all == 1u);`;

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

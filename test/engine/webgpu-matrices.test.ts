import { noSoftwareGpu, softwareGpu } from '../support/software-gpu.ts';
import { onWebgpu } from '../support/on-webgpu.ts';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { create } from 'webgpu';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { WEIGHT_FORMATS, type WeightFormat } from '../../src-main/engine/weight-formats.ts';
import { empty, run, textOf, type Kernel } from '../../src-main/engine/webgpu/kernel.ts';
import { frozenProduct, frozenProductGrad } from '../../src-main/engine/webgpu/kernels/frozen.ts';
import { matrixKernel, type Matrices } from '../../src-main/engine/webgpu/kernels/matrix-product.ts';
import { floats } from '../../src-main/engine/webgpu/kernels/operands.ts';
import { paramsOf, type ProductSpec } from '../../src-main/engine/webgpu/kernels/product-parts.ts';
import { rowScales } from '../../src-main/engine/webgpu/kernels/row-scales.ts';
import { quantized } from '../../src-main/engine/webgpu/kernels/weight-formats.ts';
import {
  CANDIDATES,
  MATRIX_SUBGROUPS,
  matrixThreads,
  matrixTiles,
  SOFTWARE_TILES,
  type MatrixUnits,
  type Tile,
} from '../../src-main/engine/webgpu/tiles.ts';
import { multipliesRight } from '../../src-main/engine/webgpu/tuner.ts';
import { dequantize } from '../../src-main/models/gguf/dequantize.ts';
import { difference, numbers, weightBytes } from './webgpu-numbers.ts';

/** What GPUs list: Apple's, Intel's, NVIDIA's and AMD's. */
const UNITS: MatrixUnits[] = [
  { rows: 8, columns: 8, inner: 8 },
  { rows: 8, columns: 16, inner: 16 },
  { rows: 16, columns: 16, inner: 16 },
];
const name = ({ rows, columns, inner }: MatrixUnits) => `${rows} x ${columns} x ${inner}`;

/** x W^T, or dy W. */
const specOf = (format: WeightFormat, columns: number, turned: boolean): ProductSpec => ({
  ...{ left: floats('a', 64), leftAlong: 'inner', right: quantized(format, 'weight', columns), half: true },
  rightAlong: turned ? 'inner' : 'outer',
});

/**
 * The twin that every device with subgroups can do: a matrix is where it begins in its tile, a result where it begins in memory that a
 * subgroup's threads share. Each of these
 * `size` threads has every so many numbers of a result.
 */
const composed = ({ rows, columns, inner }: MatrixUnits, results: number, size: number): Matrices => ({
  enable: ['subgroups'],
  text: `var<workgroup> sums: array<f32, ${MATRIX_SUBGROUPS * results * rows * columns}>;
struct Placed { offset: u32, down: u32, across: u32 }
fn multiplied(left: Placed, right: Placed, result: u32, thread: u32) -> u32 {
  for (var i = thread % ${size}u; i < ${rows * columns}u; i += ${size}u) {
    var sum = sums[result + i];
    for (var k = 0u; k < min(${inner}u, p.inner); k++) { // a bound that compilers can't know, so that they leave it a loop
      sum += f32(leftTile[left.offset + i / ${columns}u * left.down + k * left.across])
        * f32(rightTile[right.offset + k * right.down + i % ${columns}u * right.across]);
    }
    sums[result + i] = sum;
  }
  return result;
}
fn stored(offset: u32, result: u32, stride: u32, thread: u32) {
  for (var i = thread % ${size}u; i < ${rows * columns}u; i += ${size}u) {
    patches[offset + i / ${columns}u * stride + i % ${columns}u] = sums[result + i];
  }
}`,
  empty: (n) => `(min(subgroup, ${MATRIX_SUBGROUPS - 1}u) * ${results}u + ${n}u) * ${rows * columns}u`,
  left: (offset, stride) => `Placed(${offset}, ${stride}u, 1u)`,
  right: (offset, stride, turned) => `Placed(${offset}, ${turned ? `1u, ${stride}u` : `${stride}u, 1u`})`,
  multiplied: (left, right, sum) => `multiplied(${left}, ${right}, ${sum}, thread)`,
  stored: (offset, sum, stride) => `stored(${offset}, ${sum}, ${stride}u, thread);`,
});

/** The kernel around the twin, of `down` x `across` matrices in a quarter, which is two deep; in f32 where the device has no f16. */
function twin(
  backend: Backend,
  spec: ProductSpec,
  units: MatrixUnits,
  [down, across]: [number, number],
): { kernel: Kernel; tile: Tile } {
  const sides = { rows: 2 * down * units.rows, columns: 2 * across * units.columns, inner: 2 * units.inner };
  const tile = { ...sides, perRow: 0, perColumn: 0, units };
  const threads = matrixThreads(backend.opened);
  const kernel = matrixKernel(spec, tile, threads, true, composed(units, down * across, threads / MATRIX_SUBGROUPS));
  kernel.name = `twin of ${kernel.name}`; // kernels are kept by name
  if (backend.opened.has('shader-f16')) return { kernel, tile };
  const code = kernel.code.replaceAll('<f16', '<f32');
  return { kernel: { ...kernel, code, enable: ['subgroups'] }, tile };
}

/** In double precision. */
function expected(left: Float32Array, right: (k: number, j: number) => number, rows: number, columns: number) {
  const inner = left.length / rows;
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += left[Math.floor(at / columns) * inner + k]! * right(k, at % columns);
    return sum;
  });
}

/** What rounding to f16 lets two factors' products differ by, as a share of the largest: 2^-11 each, and both round both ways. */
const BOUND = 2 ** -10;

describe('products on tensor cores: the text', () => {
  it.each(UNITS)('with matrices of $rows x $columns x $inner is taken by Chromium’s compiler', async (units) => {
    // Dawn's own device that does nothing, and takes all that the compiler knows
    const gpu = create(['enable-dawn-features=allow_unsafe_apis', 'backend=null']);
    const adapter = (await gpu.requestAdapter())!;
    const features = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'] as GPUFeatureName[];
    const device = await adapter.requestDevice({ requiredFeatures: features });
    const messages = async (code: string) => {
      device.pushErrorScope('validation');
      const { messages: all } = await device.createShaderModule({ code }).getCompilationInfo();
      await device.popErrorScope();
      return all.map(({ message }) => message);
    };
    for (const tile of matrixTiles([units]))
      for (const format of WEIGHT_FORMATS)
        for (const turned of [false, true]) {
          const text = textOf(matrixKernel(specOf(format, 256, turned), { ...tile, units }, 128, true));
          expect(await messages(text)).toEqual([]);
          expect(await messages(text.replaceAll('subgroup_matrix_left<f16', 'subgroup_matrix_left<f32'))).not.toEqual(
            [],
          );
        }
    device.destroy();
  });

  it('sizes that a tile is no multiple of are left out', () => {
    expect(matrixTiles([{ rows: 12, columns: 8, inner: 8 }])).toEqual([]);
    expect(matrixTiles(UNITS).map(({ units, rows }) => `${name(units!)} in ${rows}`)).toEqual(
      UNITS.flatMap((units) => [64, 128].map((side) => `${name(units)} in ${side}`)),
    );
  });
});

describe.skipIf(noSoftwareGpu)(
  `products on tensor cores on ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`,
  () => {
    let backend: Backend;
    onWebgpu((opened) => (backend = opened));

    const [tokens, rows, columns] = [40, 72, 96]; // no tile's multiples

    it.each([
      { units: UNITS[0]!, quarter: [2, 2] as [number, number], format: 'f16' as const, ...UNITS[0]! },
      { units: UNITS[1]!, quarter: [1, 2] as [number, number], format: 'q4_0' as const, ...UNITS[1]! },
      { units: UNITS[2]!, quarter: [2, 1] as [number, number], format: 'q8_0' as const, ...UNITS[2]! },
    ])(
      'around matrices of $rows x $columns x $inner, composed, with weights in $format: x W^T and dy W',
      async ({ units, quarter, format }) => {
        const bytes = weightBytes(format, rows * columns);
        const weight = dequantize(bytes, format);
        for (const turned of [true, false]) {
          const [inner, wide] = turned ? [columns, rows] : [rows, columns];
          const left = numbers(tokens * inner);
          const spec = { ...specOf(format, columns, turned), left: floats('a', inner) };
          const { kernel, tile } = twin(backend, spec, units, quarter);
          const out = tf.tidy(() => {
            const a = tf.tensor2d(left, [tokens, inner]);
            const packed = tf.tensor1d(new Int32Array(bytes.buffer), 'int32');
            const made = empty<Tensor2D>(backend, [tokens, wide]);
            const groups: [number, number] = [Math.ceil(wide / tile.columns), Math.ceil(tokens / tile.rows)];
            const params = paramsOf({ rows: tokens, columns: wide, inner }, 0);
            run(backend, kernel, [a, packed, rowScales(backend, a)], [made], params, groups);
            return made;
          });
          const right = (k: number, j: number) => weight[turned ? j * columns + k : k * columns + j]!;
          expect(difference(await out.data(), expected(left, right, tokens, wide))).toBeLessThan(BOUND);
          out.dispose();
        }
      },
    );

    it('that a device does not take are no choice of the tuner’s, and the device goes on', async ({ skip }) => {
      const { opened, tiles } = backend;
      if (!opened.has('shader-f16')) skip(`${opened.found.device} has no f16`);
      const [ordinary] = CANDIDATES.half;
      expect(await multipliesRight(backend, ordinary!)).toBe(true);
      if (opened.matrixUnits.length > 0) skip(`${opened.found.device} lists matrices of a subgroup`);
      for (const tile of matrixTiles(UNITS)) expect(await multipliesRight(backend, tile)).toBe(false);
      expect(backend.tiles).toBe(tiles);
      expect(await multipliesRight(backend, ordinary!)).toBe(true);
    });

    it('on a device that lists matrices, by its own instructions', async ({ skip }) => {
      const tiles = matrixTiles(backend.opened.matrixUnits);
      if (tiles.length === 0) skip(`${backend.opened.found.device} lists no matrices of a subgroup`);
      const bytes = weightBytes('q4_0', rows * columns);
      const weight = dequantize(bytes, 'q4_0');
      const tensor = tf.tensor1d(new Int32Array(bytes.buffer), 'int32');
      const matrix = { format: 'q4_0' as const, rows, columns, parts: [{ tensor, start: 0, rows }] };
      const [x, dy] = [numbers(tokens * columns), numbers(tokens * rows)];
      for (const half of tiles) {
        Object.assign(backend, { half: true, tiles: { ...SOFTWARE_TILES, half } });
        const [y, dx] = [empty<Tensor2D>(backend, [tokens, rows]), empty<Tensor2D>(backend, [tokens, columns])];
        frozenProduct(backend, tf.tensor2d(x, [tokens, columns]), matrix, y);
        frozenProductGrad(backend, tf.tensor2d(dy, [tokens, rows]), matrix, dx);
        Object.assign(backend, { half: false, tiles: SOFTWARE_TILES });
        const turned = expected(x, (k, j) => weight[j * columns + k]!, tokens, rows);
        expect(difference(await y.data(), turned), name(half.units!)).toBeLessThan(BOUND);
        const straight = expected(dy, (k, j) => weight[k * columns + j]!, tokens, columns);
        expect(difference(await dx.data(), straight), name(half.units!)).toBeLessThan(BOUND);
      }
    });
  },
);

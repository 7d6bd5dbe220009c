import { noSoftwareGpu, softwareGpu } from '../support/software-gpu.ts';
import { onWebgpu } from '../support/on-webgpu.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { randomStream } from '../../src-main/engine/random.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { productAdd } from '../../src-main/engine/webgpu/kernels/adapter-products.ts';
import type { MatrixSource } from '../../src-main/engine/packed.ts';
import {
  frozenProduct,
  frozenProductGrad,
  frozenRows,
  type FrozenMatrix,
  type FrozenPart,
} from '../../src-main/engine/webgpu/kernels/frozen.ts';
import { empty } from '../../src-main/engine/webgpu/kernel.ts';
import { bytesOfRows, WEIGHT_FORMATS, type WeightFormat } from '../../src-main/engine/weight-formats.ts';
import { loadMatrix } from '../../src-main/engine/webgpu/load-matrix.ts';
import {
  CANDIDATES,
  sameTiles,
  SOFTWARE_TILE,
  SOFTWARE_TILES,
  TILE_KINDS,
} from '../../src-main/engine/webgpu/tiles.ts';
import { difference, numbers, weightBytes } from './webgpu-numbers.ts';
import { tune } from '../../src-main/engine/webgpu/tuner.ts';
import { dequantize } from '../../src-main/models/gguf/dequantize.ts';
import { quantize } from '../../src-main/models/gguf/quantize.ts';
import { GGML_TYPES } from '../../src-main/models/gguf/types.ts';

const random = randomStream(4, 'products');

/** left [rows, inner] times right [inner, columns] in double precision. */
function expected(left: Float32Array, right: Float32Array, rows: number, inner: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < inner; k++)
      for (let j = 0; j < columns; j++) out[i * columns + j]! += left[i * inner + k]! * right[k * columns + j]!;
  return out;
}

function transposed(x: Float32Array, rows: number, columns: number): Float32Array {
  return x.map((_, i) => x[(i % rows) * columns + Math.floor(i / rows)]!);
}

describe.skipIf(noSoftwareGpu)(`products on ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  let backend: Backend;
  onWebgpu((opened) => (backend = opened));

  const folder = mkdtempSync(path.join(os.tmpdir(), 'effilora-products-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** A matrix in a file, at no aligned place. */
  async function sourceOf(bytes: Uint8Array, inFile: WeightFormat, rows: number, width: number): Promise<MatrixSource> {
    const file = path.join(folder, 'matrix');
    await fs.writeFile(file, Buffer.concat([Buffer.alloc(5), bytes]));
    return { path: file, offset: 5, format: GGML_TYPES[inFile].id, rows, width };
  }

  /** Rows, x W^T and dy W of a matrix against double precision. */
  async function check(matrix: FrozenMatrix, weight: Float32Array, tokens: number, bound = 1e-5, scale = 1) {
    const { rows, columns } = matrix;
    const around = (count: number) => numbers(count).map((value) => scale * value);
    const [x, slope] = [around(tokens * columns), around(tokens * rows)];
    const [y, dx, picked] = tf.tidy(() => {
      const results = [empty<Tensor2D>(backend, [tokens, rows]), empty<Tensor2D>(backend, [tokens, columns])] as const;
      frozenProduct(backend, tf.tensor2d(x, [tokens, columns]), matrix, results[0]);
      frozenProductGrad(backend, tf.tensor2d(slope, [tokens, rows]), matrix, results[1]);
      return [...results, frozenRows(backend, tf.tensor1d([rows - 1, 0, 5], 'int32'), matrix)];
    });
    const row = (index: number) => [...weight.subarray(index * columns, (index + 1) * columns)];
    expect(difference(await picked.data(), [...row(rows - 1), ...row(0), ...row(5)])).toBeLessThan(1e-6);
    const [forward, gradient] = [await y.data(), await dx.data()];
    tf.dispose([y, dx, picked, ...matrix.parts.map(({ tensor }) => tensor as tf.Tensor)]);
    const wanted = expected(x, transposed(weight, rows, columns), tokens, columns, rows);
    expect(difference(forward, wanted)).toBeLessThan(bound);
    expect(difference(gradient, expected(slope, weight, tokens, rows, columns))).toBeLessThan(bound);
  }

  it.each([
    ...WEIGHT_FORMATS.map((format) => [format, 37, 512] as const),
    ...(['f32', 'f16', 'bf16'] as const).map((format) => [format, 37, 31] as const),
  ])(
    'a frozen matrix in %s, %i x %i: rows, x W^T and dy W are those of the unpacked one',
    async (format, rows, width) => {
      const bytes = weightBytes(format, rows * width);
      const matrix = await loadMatrix(backend, await sourceOf(bytes, format, rows, width), format);
      await check(matrix, dequantize(bytes, format), 9);
    },
  );

  /** What f does while the device binds no more bytes at once. */
  async function binding<T>(mostBytes: number, f: () => Promise<T>): Promise<T> {
    const { limits } = backend.opened.gpu;
    const lowered = new Proxy(limits, {
      get: (target, name: keyof GPUSupportedLimits) =>
        ['maxStorageBufferBindingSize', 'maxBufferSize'].includes(name) ? mostBytes : target[name],
    });
    Object.defineProperty(backend.opened.gpu, 'limits', { configurable: true, value: lowered });
    try {
      return await f();
    } finally {
      Object.defineProperty(backend.opened.gpu, 'limits', { configurable: true, value: limits });
    }
  }

  it.each([
    ['f32', 'f32'],
    ['q8_0', 'q8_0'],
    ['q4_k', 'q4_k'],
    ['f16', 'bf16'],
  ] as const)(
    'a matrix in %s, held in %s, that is larger than a device binds lies there in parts',
    async (from, to) => {
      const [rows, columns] = [777, 256];
      const bytes = weightBytes(from, rows * columns);
      const source = await sourceOf(bytes, from, rows, columns);
      const most = bytesOfRows(to, 259, columns);
      const matrix = await binding(most, () => loadMatrix(backend, source, to));
      expect(matrix.parts.map(({ rows }) => rows)).toEqual([256, 256, 256, 9]);
      for (const { tensor } of matrix.parts) {
        backend.uploadToGPU(tensor.dataId);
        expect(backend.tensorMap.get(tensor.dataId).resource!.size).toBeLessThanOrEqual(Math.ceil(most / 16) * 16);
      }
      const values = dequantize(bytes, from);
      await check(matrix, to === 'bf16' ? dequantize(quantize(values, to), to) : values, 5);
    },
  );

  it.each(['bf16', 'q8_0', 'q4_0'] as const)('puts f32 weights into %s, to the byte', async (format) => {
    const [rows, columns] = [37, 352];
    const values = numbers(rows * columns).map((x) => x * 10 ** (4 * random() - 4));
    values.fill(0, 32, 64); // a block without a scale
    const source = await sourceOf(new Uint8Array(values.buffer), 'f32', rows, columns);
    const order = Array.from({ length: rows }, (_, i) => (i * 7) % rows);
    const matrix = await loadMatrix(backend, { ...source, order }, format);
    const [part] = matrix.parts as [FrozenPart];
    const ours = new Uint8Array(((await (part.tensor as Tensor1D).data()) as Int32Array).buffer);
    tf.dispose(part.tensor as Tensor1D);
    const theirs = quantize(Float32Array.from(order.flatMap((r) => [...values.subarray(r * columns, (r + 1) * columns)])), format); // prettier-ignore
    expect(ours.length).toBe(Math.ceil(theirs.length / 4) * 4);
    // where a quotient lies on an edge, a device's division, exact to 2.5 units in the last place, may fall to the other side
    const differing = theirs.filter((byte, i) => byte !== ours[i]).length;
    expect(differing / theirs.length).toBeLessThan(format === 'bf16' ? 1e-9 : 2e-3);
    const [got, wanted] = [dequantize(ours.slice(0, theirs.length), format), dequantize(theirs, format)];
    expect(difference(got, wanted)).toBeLessThan(format === 'q4_0' ? 0.13 : 0.01);
  });

  // Numbers that f16 has not got: gradients of a mean over many tokens, and what models have far out.
  it.each([1, 3e-9, 2e6])(`products in half precision, of numbers about %d`, async (scale) => {
    const [rows, columns] = [37, 320];
    const bytes = weightBytes('q8_0', rows * columns);
    const matrix = await loadMatrix(backend, await sourceOf(bytes, 'q8_0', rows, columns), 'q8_0');
    backend.half = true;
    try {
      await check(matrix, dequantize(bytes, 'q8_0'), 9, 3e-3, scale);
    } finally {
      backend.half = false;
    }
  });

  it('reads a matrix of several portions that lies beyond 2 GiB of its file, and back in several', async () => {
    const [rows, width] = [1050, 32_768];
    const words = Int32Array.from({ length: bytesOfRows('q8_0', rows, width) / 4 }, (_, i) => Math.imul(i, 2654435761));
    const file = path.join(folder, 'large');
    const offset = 2 ** 31 + 7;
    const handle = await fs.open(file, 'w');
    await handle.write(new Uint8Array(words.buffer), 0, words.byteLength, offset);
    await handle.close();
    const source = { path: file, offset, format: GGML_TYPES.q8_0.id, rows, width };
    const { mappedBytes } = backend;
    backend.mappedBytes = 2 ** 24;
    try {
      const { parts } = await loadMatrix(backend, source, 'q8_0');
      expect(parts.length).toBe(1);
      const tensor = parts[0]!.tensor as Tensor1D;
      expect(Buffer.compare(Buffer.from(words.buffer), Buffer.from((await tensor.data()).buffer))).toBe(0);
      tensor.dispose();
    } finally {
      backend.mappedBytes = mappedBytes;
    }
  });

  it('says what is wrong with a file that is too short, and keeps nothing of it', async () => {
    const source = await sourceOf(weightBytes('q8_0', 64 * 32), 'q8_0', 65, 32);
    const before = tf.memory().numTensors;
    await expect(binding(68 * 32, () => loadMatrix(backend, source, 'q8_0'))).rejects.toThrow(/ends before/);
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each([...CANDIDATES.square.slice(0, 3), ...CANDIDATES.flat.slice(0, 1)])(
    'with tiles of $rows x $columns, $inner deep, $perRow x $perColumn a thread',
    async (tile) => {
      backend.tiles = sameTiles(tile);
      const [rows, inner, columns] = [70, 37, 66];
      const [a, b, y] = [numbers(rows * inner), numbers(inner * columns), numbers(rows * columns)];
      const out = productAdd(
        backend,
        tf.tensor2d(y, [rows, columns]),
        tf.tensor2d(a, [rows, inner]),
        tf.tensor2d(b, [inner, columns]),
        0.5,
      );
      const wanted = expected(a, b, rows, inner, columns).map((sum, i) => y[i]! + 0.5 * sum);
      expect(difference(await out.data(), wanted)).toBeLessThan(1e-5);
      backend.tiles = SOFTWARE_TILES;
    },
  );

  it('takes a product apart that is too much for one submission, and sends each part', async () => {
    const [rows, inner, columns] = [70, 16, 33];
    const [a, b, y] = [numbers(rows * inner), numbers(inner * columns), numbers(rows * columns)];
    const [submit, dispatch] = [vi.spyOn(backend.queue, 'submit'), vi.spyOn(backend, 'dispatch')];
    const tensors = [tf.tensor2d(y, [rows, columns]), tf.tensor2d(a, [rows, inner]), tf.tensor2d(b, [inner, columns])];
    backend.flopsASubmission = 2 * SOFTWARE_TILE.rows * inner * columns;
    backend.tiles = sameTiles(SOFTWARE_TILE);
    try {
      const out = productAdd(backend, ...(tensors as [Tensor2D, Tensor2D, Tensor2D]), 1);
      expect(dispatch).toHaveBeenCalledTimes(3);
      expect(submit).toHaveBeenCalledTimes(2); // the last part waits for what follows
      const wanted = expected(a, b, rows, inner, columns).map((sum, i) => y[i]! + sum);
      expect(difference(await out.data(), wanted)).toBeLessThan(1e-5);
      tf.dispose([out, ...tensors]);
    } finally {
      backend.flopsASubmission = Infinity;
      backend.tiles = SOFTWARE_TILES;
      vi.restoreAllMocks();
    }
  });

  it('the tuner keeps its choice by device, and makes it again where the file is not one of its own', async () => {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'effilora-tiles-'));
    const file = path.join(folder, 'webgpu-tiles.json');
    const { vendor, architecture, device, description } = backend.opened.found.adapter.info;
    const key = [vendor, architecture, device, description].join(' | ');
    const { square, flat, half, integer } = CANDIDATES;
    const kept = {
      tiles: { square: square[4]!, flat: flat[2]!, half: half[1]!, integer: integer[2]! },
      flopsPerSecond: 1e12,
    };
    await fs.writeFile(file, JSON.stringify({ [key]: kept, 'another GPU': kept }));
    expect(await tune(backend, folder)).toEqual(kept);
    await fs.writeFile(file, '{"half a file');
    const all = { ...CANDIDATES };
    for (const kind of TILE_KINDS) CANDIDATES[kind] = CANDIDATES[kind].slice(0, 1);
    try {
      const chosen = await tune(backend, folder, { square: [64, 64, 32], flat: [64, 16, 32] });
      for (const kind of TILE_KINDS) expect(chosen.tiles[kind]).toEqual(all[kind][0]);
      expect(chosen.flopsPerSecond).toBeGreaterThan(0);
      expect(JSON.parse(await fs.readFile(file, 'utf8'))).toEqual({ [key]: chosen });
      expect(backend.tiles).toEqual(SOFTWARE_TILES);
    } finally {
      Object.assign(CANDIDATES, all);
      await fs.rm(folder, { recursive: true });
    }
  });
});

import { noSoftwareGpu } from '../support/software-gpu.ts';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { productAdd } from '../../src-main/engine/webgpu/kernels/adapter-products.ts';
import { frozenProduct, frozenProductGrad, frozenRows } from '../../src-main/engine/webgpu/kernels/frozen.ts';
import { empty } from '../../src-main/engine/webgpu/kernel.ts';
import { bytesOfRows, WEIGHT_FORMATS, type WeightFormat } from '../../src-main/engine/webgpu/kernels/weight-formats.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { CANDIDATES, SOFTWARE_TILE } from '../../src-main/engine/webgpu/tiles.ts';
import { tunedTiles } from '../../src-main/engine/webgpu/tuner.ts';
import { dequantize } from '../../src-main/models/gguf/dequantize.ts';

const random = randomStream(3, 'products');
const numbers = (count: number) => Float32Array.from({ length: count }, () => 2 * random() - 1);

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

function difference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  let [largest, apart] = [1e-6, 0];
  for (let i = 0; i < theirs.length; i++) {
    largest = Math.max(largest, Math.abs(theirs[i]!));
    apart = Math.max(apart, Math.abs(ours[i]! - theirs[i]!));
  }
  return ours.length === theirs.length ? apart / largest : Infinity;
}

const bfloat = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0]! >>> 16;

/** Bytes of a frozen matrix: blocks of random quants with scales that are halves near 1/64. */
function weightBytes(format: WeightFormat, count: number): Uint8Array {
  if (format === 'f32') return new Uint8Array(numbers(count).buffer);
  if (format === 'bf16') return new Uint8Array(Uint16Array.from(numbers(count), bfloat).buffer);
  const { block, bytes, halves } = {
    f16: { block: 1, bytes: 2, halves: [0] },
    q4_0: { block: 32, bytes: 18, halves: [0] },
    q4_1: { block: 32, bytes: 20, halves: [0, 2] },
    q5_0: { block: 32, bytes: 22, halves: [0] },
    q8_0: { block: 32, bytes: 34, halves: [0] },
    q4_k: { block: 256, bytes: 144, halves: [0, 2] },
    q6_k: { block: 256, bytes: 210, halves: [208] },
  }[format];
  const out = Uint8Array.from({ length: (count / block) * bytes }, () => Math.floor(256 * random()));
  for (let start = 0; start < out.length; start += bytes)
    for (const half of halves) out[start + half + 1] = (random() < 0.5 ? 0x80 : 0) | 0x24; // exponent of 2^-6
  return out;
}

describe.skipIf(noSoftwareGpu)(`products on SwiftShader${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  let backend: Backend;
  beforeAll(async () => {
    await openEngine('webgpu');
    backend = await openWebgpu();
  });
  afterAll(() => expect(backend.opened.log).toEqual([]));

  async function forwardAndGradient(format: WeightFormat, rows: number, columns: number, tokens: number) {
    const bytes = weightBytes(format, rows * columns);
    const words = new Int32Array(Math.ceil(bytes.length / 4));
    new Uint8Array(words.buffer).set(bytes);
    const weight = dequantize(bytes, format);
    const [x, slope] = [numbers(tokens * columns), numbers(tokens * rows)];
    const [y, dx, picked] = tf.tidy(() => {
      const tensor = format === 'f32' ? tf.tensor1d(weight) : tf.tensor1d(words, 'int32');
      const matrix = { tensor, format, rows, columns };
      const results = [empty<Tensor2D>(backend, [tokens, rows]), empty<Tensor2D>(backend, [tokens, columns])] as const;
      frozenProduct(backend, tf.tensor2d(x, [tokens, columns]), matrix, results[0]);
      frozenProductGrad(backend, tf.tensor2d(slope, [tokens, rows]), matrix, results[1]);
      return [...results, frozenRows(backend, tf.tensor1d([rows - 1, 0, 5], 'int32'), matrix)];
    });
    const row = (index: number) => [...weight.subarray(index * columns, (index + 1) * columns)];
    expect(difference(await picked.data(), [...row(rows - 1), ...row(0), ...row(5)])).toBeLessThan(1e-6);
    const [forward, gradient] = [await y.data(), await dx.data()];
    tf.dispose([y, dx, picked]);
    const wanted = expected(x, transposed(weight, rows, columns), tokens, columns, rows);
    expect(difference(forward, wanted)).toBeLessThan(1e-5);
    expect(difference(gradient, expected(slope, weight, tokens, rows, columns))).toBeLessThan(1e-5);
  }

  it.each(WEIGHT_FORMATS)(
    'a frozen matrix in %s: rows, x W^T and dy W are those of the unpacked one',
    async (format) => {
      await forwardAndGradient(format, 37, 512, 9);
    },
  );

  it.each(['f32', 'q8_0', 'q4_k'] as const)(
    'a matrix in %s larger than a device binds goes window by window',
    async (format) => {
      const { limits } = backend.opened.gpu;
      const most = bytesOfRows(format, 256, 256);
      Object.defineProperty(backend.opened.gpu, 'limits', {
        configurable: true,
        value: new Proxy(limits, {
          get: (target, name: keyof GPUSupportedLimits) =>
            name === 'maxStorageBufferBindingSize' ? most : target[name],
        }),
      });
      try {
        await forwardAndGradient(format, 777, 256, 5);
      } finally {
        Object.defineProperty(backend.opened.gpu, 'limits', { configurable: true, value: limits });
      }
    },
  );

  it.each([...CANDIDATES.square.slice(0, 2), ...CANDIDATES.flat.slice(0, 1)])(
    'with tiles of $rows x $columns, $inner deep, $perThread rows a thread',
    async (tile) => {
      backend.tiles = { square: tile, flat: tile };
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
      backend.tiles = { square: SOFTWARE_TILE, flat: SOFTWARE_TILE };
    },
  );

  it('the tuner keeps its choice by device, and makes it again where the file is not one of its own', async () => {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'effilora-tiles-'));
    const file = path.join(folder, 'webgpu-tiles.json');
    const { vendor, architecture, device, description } = backend.opened.found.adapter.info;
    const key = [vendor, architecture, device, description].join(' | ');
    const kept = { square: CANDIDATES.square[4]!, flat: CANDIDATES.flat[2]! };
    await fs.writeFile(file, JSON.stringify({ [key]: kept, 'another GPU': kept }));
    expect(await tunedTiles(backend, folder)).toEqual(kept);
    await fs.writeFile(file, '{"half a file');
    const [square, flat] = [CANDIDATES.square.splice(1), CANDIDATES.flat.splice(1)];
    try {
      const chosen = await tunedTiles(backend, folder, { square: [64, 64, 32], flat: [64, 16, 32] });
      expect(chosen).toEqual({ square: CANDIDATES.square[0], flat: CANDIDATES.flat[0] });
      expect(JSON.parse(await fs.readFile(file, 'utf8'))).toEqual({ [key]: chosen });
      expect(backend.tiles.square).toEqual(SOFTWARE_TILE);
    } finally {
      CANDIDATES.square.push(...square);
      CANDIDATES.flat.push(...flat);
      await fs.rm(folder, { recursive: true });
    }
  });
});

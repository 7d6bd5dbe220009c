import { noSoftwareGpu, softwareGpu } from '../support/software-gpu.ts';
import { onWebgpu } from '../support/on-webgpu.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { frozenProduct, packedKernels } from '../../src-main/engine/frozen.ts';
import { linearCrossEntropy } from '../../src-main/engine/cross-entropy.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { integerProductComposed, withIntegerProducts } from '../../src-main/engine/integer-product.ts';
import { type FrozenMatrix, PackedMatrix } from '../../src-main/engine/packed.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { bytesOfRows, WEIGHT_FORMATS, type WeightFormat } from '../../src-main/engine/weight-formats.ts';
import { dequantize } from '../../src-main/models/gguf/dequantize.ts';
import { GGML_TYPES } from '../../src-main/models/gguf/types.ts';
import { difference, numbers, weightBytes } from './webgpu-numbers.ts';

describe.skipIf(noSoftwareGpu)(
  `products in integers on ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`,
  () => {
    let backend: Backend;
    beforeAll(() => openEngine('cpu'));
    onWebgpu((opened) => (backend = opened));

    const folder = mkdtempSync(path.join(os.tmpdir(), 'effilora-integers-'));
    afterAll(() => rmSync(folder, { recursive: true }));

    async function load(bytes: Uint8Array, format: WeightFormat, rows: number, width: number): Promise<PackedMatrix> {
      await tf.setBackend('webgpu');
      const file = path.join(folder, 'matrix');
      writeFileSync(file, bytes);
      const { id } = GGML_TYPES[format];
      return PackedMatrix.load(packedKernels()!, { path: file, offset: 0, format: id, rows, width }, id);
    }

    /** x W^T and dy W in integers, of a kernel's own and by tfjs's cpu backend in f32. */
    async function check(bytes: Uint8Array, format: WeightFormat, [tokens, rows, width]: [number, number, number]) {
      const matrix = await load(bytes, format, rows, width);
      const [x, dy] = [numbers(tokens * width), numbers(tokens * rows).map((value) => 1e-4 * value)];
      const ours = tf.tidy(() => {
        const f = (a: tf.Tensor) => frozenProduct(a as Tensor2D, matrix);
        const { value, grad } = withIntegerProducts(() =>
          tf.valueAndGrad(f)(tf.tensor2d(x, [tokens, width]), tf.tensor2d(dy, [tokens, rows])),
        );
        return [value, grad];
      });
      const [value, grad] = await Promise.all(ours.map((tensor) => tensor.data()));
      tf.dispose(ours);
      const { isInBlocks } = matrix;
      matrix.dispose();
      await tf.setBackend('cpu');
      const composed = (factor: Float32Array, of: number, gradient: boolean) =>
        tf.tidy(() => {
          const plain = tf.tensor2d(dequantize(bytes, format), [rows, width]);
          return integerProductComposed(tf.tensor2d(factor, [tokens, of]), plain, gradient, isInBlocks).dataSync();
        });
      // a quotient that lies on an edge may fall to the other side: one step of 127 in one of a line's numbers
      expect(difference(value!, composed(x, width, false))).toBeLessThan(3e-3);
      expect(difference(grad!, composed(dy, rows, true))).toBeLessThan(3e-3);
      return { value: value!, composed: composed(x, width, false) };
    }

    it.each([
      ...WEIGHT_FORMATS.map((format) => [format, 37, 512] as const),
      ...(['f32', 'bf16'] as const).map((format) => [format, 40, 50] as const),
    ])('a matrix in %s, %i x %i: x W^T and dy W are as composed', async (format, rows, width) => {
      const { value, composed } = await check(weightBytes(format, rows * width), format, [9, rows, width]);
      // nearly all of them to the last bits
      const near = composed.filter((wanted, i) => Math.abs(wanted - value[i]!) < 1e-5 * Math.abs(wanted) + 1e-6);
      expect(near.length / composed.length).toBeGreaterThan(0.9);
    });

    it('has the loss and its gradient with a head in integers that are composed', async () => {
      const [rows, width, tokens] = [67, 96, 70]; // more tokens than a chunk of so few logits would need
      const bytes = weightBytes('bf16', rows * width);
      const matrix = await load(bytes, 'bf16', rows, width);
      const x = numbers(tokens * width).map((value) => 0.05 * value);
      const labels = Int32Array.from({ length: tokens }, (_, i) => (i % 5 === 0 ? -1 : (i * 31) % rows));
      const inIntegers = (weight: FrozenMatrix) =>
        withIntegerProducts(() => {
          const wanted = tf.tensor1d(labels, 'int32');
          const loss = (a: tf.Tensor) => linearCrossEntropy(a as Tensor2D, weight, true, wanted);
          return tf.valueAndGrad(loss)(tf.tensor2d(x, [tokens, width]));
        });
      const ours = tf.tidy(() => inIntegers(matrix));
      const [value, grad] = await Promise.all([ours.value.data(), ours.grad.data()]);
      tf.dispose([ours.value, ours.grad]);
      matrix.dispose();
      await tf.setBackend('cpu');
      tf.tidy(() => {
        const composed = inIntegers(tf.tensor2d(dequantize(bytes, 'bf16'), [rows, width]));
        expect(Math.abs(value[0]! / composed.value.dataSync()[0]! - 1)).toBeLessThan(1e-4);
        // an exponential's last bit may move a number over a rounding's edge, which shows in its token's gradient
        const wanted = composed.grad.dataSync();
        const near = wanted.filter((each, i) => Math.abs(each - grad[i]!) < 1e-4 * Math.abs(each) + 1e-6);
        expect(near.length / wanted.length).toBeGreaterThan(0.9);
        expect(difference(grad, wanted)).toBeLessThan(2e-2);
      });
    });

    it('in parts, as a device binds no more at once', async () => {
      const { limits } = backend.opened.gpu;
      const most = bytesOfRows('q4_0', 40, 64);
      const lowered = new Proxy(limits, {
        get: (target, name: keyof GPUSupportedLimits) =>
          ['maxStorageBufferBindingSize', 'maxBufferSize'].includes(name) ? most : target[name],
      });
      Object.defineProperty(backend.opened.gpu, 'limits', { configurable: true, value: lowered });
      try {
        await check(weightBytes('q4_0', 77 * 64), 'q4_0', [35, 77, 64]);
      } finally {
        Object.defineProperty(backend.opened.gpu, 'limits', { configurable: true, value: limits });
      }
    });

    it('says that a number is none, and takes what is nearly nothing for 0', async () => {
      const [rows, width] = [37, 64];
      const matrix = await load(weightBytes('q8_0', rows * width), 'q8_0', rows, width);
      const values = new Float32Array(4 * width).fill(1);
      values[5] = NaN;
      values[width + 5] = Infinity;
      values.fill(1e-35, 2 * width, 3 * width);
      const product = tf.tidy(() => withIntegerProducts(() => frozenProduct(tf.tensor2d(values, [4, width]), matrix)));
      const y = [...(await product.data())];
      tf.dispose(product);
      matrix.dispose();
      expect([y[0], y[rows]]).toEqual([NaN, NaN]);
      expect(y.slice(2 * rows, 3 * rows).every((value) => value === 0)).toBe(true);
      expect(y.slice(3 * rows).every((value) => Number.isFinite(value) && value !== 0)).toBe(true);
    });
  },
);

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  frozenLinear,
  frozenProduct,
  frozenRows,
  frozenTransposed,
  packedKernels,
} from '../../src-main/engine/frozen.ts';
import { linearCrossEntropy } from '../../src-main/engine/cross-entropy.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { integerProductComposed, withIntegerProducts } from '../../src-main/engine/integer-product.ts';
import { PackedMatrix, type MatrixSource } from '../../src-main/engine/packed.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { dequantize } from '../../src-main/models/gguf/dequantize.ts';
import { readGgufHeader } from '../../src-main/models/gguf/header.ts';
import { GGML_TYPES, type GgmlType } from '../../src-main/models/gguf/types.ts';
import { runPython } from '../support/python.ts';
import { data, largestDifference } from '../models/support.ts';

const TYPES: GgmlType[] = ['q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k', 'f16', 'bf16'];
/** wider and deeper than what one thread takes of an AMX product at a time, and no multiple of its tiles */
const ROWS = 275;
const WIDTH = 2304;
/** Of a product in integers and its gradient, by the weights' type. */
const BITS: Partial<Record<GgmlType, string>> = {
  q8_0: '209252641e15e650',
  q4_0: 'fd92e6d3ba1c9e6a',
  q4_1: 'cc2e5c1406f05e54',
  q5_0: 'ce1c5c36ef51f3f9',
  q5_1: 'df6243f8295f2c27',
  q4_k: '92b9a901058c7288',
  q5_k: '7f3ad14f0db0326d',
  q6_k: '53197a922d48f106',
  f16: 'ac65621da64c16de',
  bf16: 'fee20a066a074200',
};
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-packed-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));
beforeAll(async () => void (await openEngine('tensorflow')));

/** Blocks of the Python package gguf's own file, drawn again and again: a matrix of any size whose numbers are known. */
async function matrixFile(type: GgmlType): Promise<{ source: MatrixSource; values: Float32Array }> {
  const reader = await FileReader.open(path.join(data, 'every-type.gguf'));
  const { offset, byteLength } = (await readGgufHeader(reader)).tensors.get(`${type}.weight`)!;
  const blocks = await reader.read(offset, byteLength);
  await reader.close();
  const { bytes: size, block, id } = GGML_TYPES[type];
  const random = randomStream(5, type);
  const bytes = new Uint8Array(((ROWS * WIDTH) / block) * size);
  for (let at = 0; at < bytes.length; at += size) {
    const from = Math.floor((random() * byteLength) / size) * size;
    bytes.set(blocks.subarray(from, from + size), at);
  }
  const file = path.join(folder, type);
  fs.writeFileSync(file, Buffer.concat([Buffer.alloc(5), bytes])); // at no aligned place
  const source = { path: file, offset: 5, format: id, rows: ROWS, width: WIDTH };
  return { source, values: dequantize(bytes, type) };
}

const load = (source: MatrixSource, format = source.format) => PackedMatrix.load(packedKernels()!, source, format);

describe.each(TYPES)('%s', (type) => {
  let matrix: PackedMatrix;
  let plain: Tensor2D;
  beforeAll(async () => {
    const { source, values } = await matrixFile(type);
    matrix = await load(source);
    plain = tf.tensor2d(values, [ROWS, WIDTH]);
  });
  afterAll(() => {
    matrix.dispose();
    plain.dispose();
  });

  // one token and a few unpack into registers, more into panels
  it.each([1, 3, 7, 8, 9, 70])('multiplies %i tokens, and their gradient, as its unpacked numbers do', (tokens) => {
    tf.tidy(() => {
      const x = tf.randomNormal<tf.Rank.R2>([tokens, WIDTH], 0, 1, 'float32', 1);
      const dy = tf.randomNormal<tf.Rank.R2>([tokens, ROWS], 0, 1, 'float32', 2);
      const [ours, theirs] = [matrix, plain].map((w) => tf.valueAndGrad((a) => frozenProduct(a as Tensor2D, w))(x, dy));
      expect(largestDifference(ours!.value.dataSync(), theirs!.value.dataSync())).toBeLessThan(2e-5);
      expect(largestDifference(ours!.grad.dataSync(), theirs!.grad.dataSync())).toBeLessThan(2e-5);
    });
  });

  it.each([5, 70])('adds a bias to the products of %i tokens in one pass', (tokens) => {
    tf.tidy(() => {
      const x = tf.randomNormal<tf.Rank.R2>([tokens, WIDTH], 0, 1, 'float32', 1);
      const dy = tf.randomNormal<tf.Rank.R2>([tokens, ROWS], 0, 1, 'float32', 2);
      const bias = tf.randomNormal<tf.Rank.R1>([ROWS], 0, 10, 'float32', 3);
      const ours = tf.valueAndGrad((a) => frozenLinear(a as Tensor2D, matrix, bias))(x, dy);
      const theirs = tf.valueAndGrad((a) => tf.add(tf.matMul(a as Tensor2D, plain, false, true), bias))(x, dy);
      expect(largestDifference(ours.value.dataSync(), theirs.value.dataSync())).toBeLessThan(2e-5);
      expect(largestDifference(ours.grad.dataSync(), theirs.grad.dataSync())).toBeLessThan(2e-5);
    });
  });

  // a few go row by row of the weights, more by panels; many are shared out by rows of x
  it.each([1, 3, 11, 300])('multiplies %i tokens in integers as f32 numbers that are rounded likewise', (tokens) => {
    tf.tidy(() => {
      const x = tf.randomNormal<tf.Rank.R2>([tokens, WIDTH], 0, 1, 'float32', 1);
      const dy = tf.randomNormal<tf.Rank.R2>([tokens, ROWS], 0, 1e-4, 'float32', 2);
      const ours = withIntegerProducts(() => tf.valueAndGrad((a) => frozenProduct(a as Tensor2D, matrix))(x, dy));
      const composed = (factor: Tensor2D, gradient: boolean) =>
        integerProductComposed(factor, plain, gradient, matrix.isInBlocks).dataSync();
      expect(largestDifference(ours.value.dataSync(), composed(x, false))).toBeLessThan(2e-6);
      expect(largestDifference(ours.grad.dataSync(), composed(dy, true))).toBeLessThan(2e-6);
    });
  });

  it('gives a token the same bits in integers however many go with it', () => {
    tf.tidy(() => {
      const most = 20;
      const x = tf.randomNormal<tf.Rank.R2>([most, WIDTH], 0, 1, 'float32', 1);
      const dy = tf.randomNormal<tf.Rank.R2>([most, ROWS], 0, 1e-4, 'float32', 2);
      const of = (tokens: number) => {
        const [a, b] = [x, dy].map((all) => tf.slice(all, [most - tokens, 0], [tokens, -1]));
        const { value, grad } = withIntegerProducts(() => tf.valueAndGrad((input) => frozenProduct(input as Tensor2D, matrix))(a!, b)); // prettier-ignore
        return [value, grad].map((y) => y.dataSync());
      };
      const all = of(most);
      for (const tokens of [1, 2, 5, 8])
        of(tokens).forEach((few, i) => expect(few).toEqual(all[i]!.slice(all[i]!.length - few.length)));
    });
  });

  it('gives the same bits in integers whatever the instructions', () => {
    // numbers without a library's logarithm: the same everywhere
    const random = randomStream(3, type);
    const numbers = (count: number) => Float32Array.from({ length: count }, () => Math.fround(2 * random() - 1));
    tf.tidy(() => {
      const x = tf.tensor2d(numbers(9 * WIDTH), [9, WIDTH]);
      const dy = tf.tensor2d(numbers(9 * ROWS), [9, ROWS]);
      const { value, grad } = withIntegerProducts(() =>
        tf.valueAndGrad((a) => frozenProduct(a as Tensor2D, matrix))(x, dy),
      );
      const hash = createHash('sha256').update(value.dataSync()).update(grad.dataSync());
      expect(hash.digest('hex').slice(0, 16)).toBe(BITS[type]);
    });
  });

  it('says in integers, too, that a number is none, and takes what is nearly nothing for 0', () => {
    tf.tidy(() => {
      const values = new Float32Array(4 * WIDTH).fill(1);
      values[5] = NaN;
      values[WIDTH + 5] = Infinity;
      values.fill(1e-38, 2 * WIDTH, 3 * WIDTH);
      const y = withIntegerProducts(() => frozenProduct(tf.tensor2d(values, [4, WIDTH]), matrix)).dataSync();
      expect([y[0], y[ROWS]]).toEqual([NaN, NaN]);
      expect(y.slice(2 * ROWS, 3 * ROWS).every((value) => value === 0)).toBe(true);
      expect(y.slice(3 * ROWS).every(Number.isFinite)).toBe(true);
    });
  });

  it('gives rows and the whole, to the last bit but one', () => {
    tf.tidy(() => {
      const ids = tf.tensor1d([3, ROWS - 1, 3, 0], 'int32');
      const rows = [matrix, plain].map((w) => frozenRows(w, ids).dataSync());
      expect(largestDifference(rows[0]!, rows[1]!)).toBeLessThan(1e-6);
      const whole = [matrix, plain].map((w) => frozenTransposed(w).dataSync());
      expect(largestDifference(whole[0]!, whole[1]!)).toBeLessThan(1e-6);
    });
  });

  it('has the loss, its gradient and the log-probabilities of its unpacked numbers', () => {
    tf.tidy(() => {
      const x = tf.randomNormal<tf.Rank.R2>([40, WIDTH], 0, 0.01, 'float32', 3);
      const wanted = Int32Array.from({ length: 40 }, (_, i) => (i % 5 === 0 ? -1 : (i * 37) % ROWS));
      const labels = tf.tensor1d(wanted, 'int32');
      const [ours, theirs] = [matrix, plain].map((w) =>
        tf.valueAndGrad((a) => linearCrossEntropy(a as Tensor2D, w, true, labels))(x),
      );
      expect(largestDifference(ours!.value.dataSync(), theirs!.value.dataSync())).toBeLessThan(1e-5);
      expect(largestDifference(ours!.grad.dataSync(), theirs!.grad.dataSync())).toBeLessThan(1e-4);
      const logs = packedKernels()!.logProbabilities(x, matrix, labels).dataSync();
      const all = tf.logSoftmax(frozenProduct(x, plain)).arraySync() as number[][];
      const expected = Array.from(wanted, (label, i) => (label < 0 ? 0 : all[i]![label]!));
      expect(largestDifference(logs, expected)).toBeLessThan(1e-5);
    });
  });

  it('has the loss and its gradient in integers of f32 numbers that are rounded likewise', () => {
    tf.tidy(() => {
      const x = tf.randomNormal<tf.Rank.R2>([40, WIDTH], 0, 0.3, 'float32', 3);
      const wanted = Int32Array.from({ length: 40 }, (_, i) => (i % 5 === 0 ? -1 : (i * 37) % ROWS));
      const loss = (a: tf.Tensor) => linearCrossEntropy(a as Tensor2D, matrix, true, tf.tensor1d(wanted, 'int32'));
      const [inF32, ours] = [tf.valueAndGrad(loss)(x), withIntegerProducts(() => tf.valueAndGrad(loss)(x))];
      const logs = tf.logSoftmax(integerProductComposed(x, plain, false, matrix.isInBlocks)) as Tensor2D;
      const rows = logs.arraySync();
      const value = wanted.reduce((sum, label, i) => sum - (label < 0 ? 0 : rows[i]![label]!), 0);
      const counts = tf.tensor2d(Array.from(wanted, (label) => [label < 0 ? 0 : 1]));
      const hits = tf.oneHot(
        tf.tensor1d(
          wanted.map((label) => Math.max(label, 0)),
          'int32',
        ),
        ROWS,
      );
      const dLogits = tf.mul<Tensor2D>(tf.sub(tf.exp(logs), hits), counts);
      const grad = integerProductComposed(dLogits, plain, true, matrix.isInBlocks).dataSync();
      expect(Math.abs(ours.value.dataSync()[0]! / value - 1)).toBeLessThan(1e-5);
      // an exponential's last bit may move a number over a rounding's edge
      expect(largestDifference(ours.grad.dataSync(), grad)).toBeLessThan(1e-3);
      expect(largestDifference(inF32.grad.dataSync(), grad)).toBeGreaterThan(2e-3);
    });
  });
});

/** What the Python package gguf makes of f32 numbers, as bytes in a file by each type's name. */
async function quantizeByGguf(values: string, types: readonly string[]): Promise<void> {
  const script = path.join(folder, 'quantize.py');
  fs.writeFileSync(
    script,
    [
      'import sys, numpy as np',
      'from gguf import GGMLQuantizationType',
      'from gguf.quants import quantize',
      `x = np.fromfile(sys.argv[1], dtype=np.float32).reshape(${ROWS}, ${WIDTH})`,
      'for name in sys.argv[2:]:',
      '    quantize(x, GGMLQuantizationType[name.upper()]).tofile(f"{sys.argv[1]}.{name}")',
    ].join('\n'),
  );
  await runPython(script, [values, ...types]);
}

describe('quantizing at load', () => {
  const MADE = ['q8_0', 'q4_0', 'bf16'] as const;
  let file: string;
  // In a hook: where Python's packages aren't there yet they are downloaded, which takes longer than a test may.
  beforeAll(async () => {
    const values = tf.tidy(() => tf.randomNormal([ROWS, WIDTH], 0, 0.05, 'float32', 4).dataSync()) as Float32Array;
    file = path.join(folder, 'values');
    fs.writeFileSync(file, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    await quantizeByGguf(file, MADE);
  });

  it.each(MADE)('makes of f32 what the package gguf makes of it: %s', async (type) => {
    const source = { path: file, offset: 0, format: GGML_TYPES.f32.id, rows: ROWS, width: WIDTH };
    const matrix = await load(source, GGML_TYPES[type].id);
    const ours = tf.tidy(() => tf.transpose(frozenTransposed(matrix)).dataSync());
    matrix.dispose();
    const expected = dequantize(fs.readFileSync(`${file}.${type}`), type);
    const differing = expected.filter((value, i) => Math.abs(value - ours[i]!) > 1e-6).length;
    // a tie may be rounded the other way: gguf counts in f64
    expect(differing / expected.length).toBeLessThan(1e-4);
    expect(largestDifference(ours, expected)).toBeLessThan(0.02);
  });
});

describe('a packed matrix', () => {
  it('takes rows in another order', async () => {
    const { source, values } = await matrixFile('q4_1');
    const order = Array.from({ length: ROWS }, (_, i) => (i * 7) % ROWS);
    const matrix = await load({ ...source, order });
    tf.tidy(() => {
      const row = frozenRows(matrix, tf.tensor1d([11], 'int32')).dataSync();
      expect(largestDifference(row, values.slice(77 * WIDTH, 78 * WIDTH))).toBeLessThan(1e-6);
    });
    matrix.dispose();
  });

  it('says what is wrong with a file that is too short, and with weights that have been freed', async () => {
    const { source } = await matrixFile('q8_0');
    await expect(load({ ...source, rows: ROWS + 1 })).rejects.toThrow(/file ends before/);
    await expect(load({ ...source, width: 33 })).rejects.toThrow(/width/);
    await expect(load({ ...source, path: path.join(folder, 'absent') })).rejects.toThrow(/can't be opened/);
    const matrix = await load(source);
    const number = tf.clone(matrix.number) as Tensor1D;
    matrix.dispose();
    const freed = Object.assign(Object.create(matrix) as PackedMatrix, { number });
    expect(() => frozenRows(freed, tf.tensor1d([0], 'int32'))).toThrow(/have been freed/);
    number.dispose();
  });
});

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { afterAll, expect, it } from 'vitest';
import { frozenProduct } from '../../src-main/engine/frozen.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { roundedAsQ8, roundedByBlock, withIntegerProducts } from '../../src-main/engine/integer-product.ts';
import { largestDifference } from '../models/support.ts';
import { runPython } from '../support/python.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-integers-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

// by hand: half to even, a scale a block, a shorter last block, blocks of nothing
it('rounds by line and block of 32', async () => {
  await openEngine('cpu');
  const line = new Float32Array(35);
  line.set([127, -63.5, 0.5, 1.5, 2.4999], 0);
  line.set([2, -1, 0.0078], 32);
  const expected = new Float32Array(35);
  expected.set([127, -64, 0, 2, 2], 0);
  // 2 / 127 a step: -1 is -63.5 of them, 0.0078 is 0.4953
  expected.set([2, (-64 * 2) / 127, 0], 32);
  tf.tidy(() => {
    const x = tf.tensor2d([...line, ...new Float32Array(35)], [2, 35]);
    const rounded = roundedByBlock(x).dataSync();
    expect(largestDifference(rounded.slice(0, 35), expected)).toBeLessThan(1e-7);
    expect(rounded.slice(35).every((value) => value === 0)).toBe(true);
    // 127 steps of f16(1 / 127) = 0.00787354
    const q8 = roundedAsQ8(tf.tensor2d([[1, 0.5, -0.25]])).dataSync();
    expect(largestDifference(q8, [127 * 0.00787353515625, 64 * 0.00787353515625, -32 * 0.00787353515625])).toBe(0);
  });
});

/** The same in NumPy, sums in double precision: y and dx of x [tokens, width], W [rows, width], dy [tokens, rows]. */
const NUMPY = `
import sys, numpy as np
tokens, width, rows = map(int, sys.argv[2:])
numbers = np.fromfile(sys.argv[1], dtype=np.float32)
x, w, dy = np.split(numbers, [tokens * width, tokens * width + rows * width])
def blocks(a):
    a = np.pad(a, ((0, 0), (0, -a.shape[1] % 32)))
    return a.reshape(a.shape[0], -1, 32)
def rounded(a, q8):
    b = blocks(a)
    most = np.abs(b).max(2, keepdims=True)
    scale = most / np.float32(127)
    inverse = 1 / scale if q8 else np.float32(127) / most
    d = scale.astype(np.float16) if q8 else scale
    return (np.rint(b * inverse).astype(np.float64) * d).reshape(a.shape[0], -1)[:, : a.shape[1]]
x, w, dy = x.reshape(tokens, width), w.reshape(rows, width), dy.reshape(tokens, rows)
y = rounded(x, False) @ rounded(w, True).T
dx = rounded(dy, False) @ rounded(np.ascontiguousarray(w.T), True).T
np.concatenate([y.ravel(), dx.ravel()]).astype(np.float32).tofile(sys.argv[1] + ".out")
`;

it.each([
  [5, 96, 64],
  [7, 50, 33],
])('multiplies %i tokens, %i wide, with %i rows as NumPy does', async (tokens, width, rows) => {
  await openEngine('tensorflow');
  const [script, file] = ['likewise.py', `numbers-${width}`].map((name) => path.join(folder, name)) as [string, string];
  const [x, w, dy] = [
    tf.randomNormal<tf.Rank.R2>([tokens, width], 0, 2, 'float32', 1),
    tf.randomNormal<tf.Rank.R2>([rows, width], 0, 0.05, 'float32', 2),
    tf.randomNormal<tf.Rank.R2>([tokens, rows], 0, 1e-5, 'float32', 3),
  ];
  fs.writeFileSync(script, NUMPY);
  fs.writeFileSync(file, Buffer.concat([x, w, dy].map((tensor) => Buffer.from(tensor.dataSync().slice().buffer))));
  await runPython(script, [file, tokens, width, rows].map(String));
  const expected = new Float32Array(Uint8Array.from(fs.readFileSync(`${file}.out`)).buffer);
  const { value, grad } = withIntegerProducts(() => tf.valueAndGrad((a) => frozenProduct(a as Tensor2D, w))(x, dy));
  expect(largestDifference(value.dataSync(), expected.slice(0, tokens * rows))).toBeLessThan(1e-6);
  expect(largestDifference(grad.dataSync(), expected.slice(tokens * rows))).toBeLessThan(1e-6);
});

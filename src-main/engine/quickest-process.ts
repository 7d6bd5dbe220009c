import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { packedKernels } from './frozen.ts';
import { PackedMatrix } from './packed.ts';
import { openPort } from './port.ts';
import type { ProductSeconds } from './quickest-products.ts';
import { startEngine } from './start.ts';

/** SmolLM2-135M's gate, in the blocks that most files have. */
const [ROWS, WIDTH, TOKENS] = [1536, 576, 512];
const Q8_0 = { format: 8, block: 32, bytes: 34 };
const CALLS = 7;

/** Measures products in f32 and in integers, says what they took, and ends. */
const port = openPort<ProductSeconds>();
port.onClose(() => process.exit(0));
port.onMessage(() => void measure().then((seconds) => port.send(seconds)).then(() => port.end())); // prettier-ignore

async function measure(): Promise<ProductSeconds> {
  await startEngine('tensorflow', { gpu: false });
  const { product, integerProduct } = packedKernels()!;
  const matrix = await someMatrix();
  const directions = [
    { x: tf.randomUniform<tf.Rank.R2>([TOKENS, WIDTH], -1, 1), gradient: false },
    { x: tf.randomUniform<tf.Rank.R2>([TOKENS, ROWS], -1, 1), gradient: true },
  ];
  const both = (multiply: typeof product) =>
    directions.reduce((sum, { x, gradient }) => sum + timed(() => multiply(x, matrix, gradient)), 0);
  const seconds = { f32: Infinity, int8: Infinity };
  // In turn, so that other work on the machine meets both; the quickest of some calls is what it leaves alone.
  for (let call = 0; call < CALLS; call++) {
    seconds.f32 = Math.min(seconds.f32, both(product));
    seconds.int8 = Math.min(seconds.int8, both(integerProduct!));
  }
  tf.dispose(directions.map(({ x }) => x));
  matrix.dispose();
  return seconds;
}

function timed(run: () => Tensor2D): number {
  const begun = performance.now();
  run().dispose();
  return (performance.now() - begun) / 1000;
}

/** Blocks of one scale and integers that look like any. */
async function someMatrix(): Promise<PackedMatrix> {
  const bytes = Buffer.alloc(((ROWS * WIDTH) / Q8_0.block) * Q8_0.bytes);
  for (let at = 0; at < bytes.length; at++) bytes[at] = at * 73;
  const scale = 0x2000; // 2^-7 in f16
  for (let at = 0; at < bytes.length; at += Q8_0.bytes) bytes.writeUInt16LE(scale, at);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-products-'));
  const file = path.join(folder, 'matrix');
  try {
    fs.writeFileSync(file, bytes);
    const source = { path: file, offset: 0, format: Q8_0.format, rows: ROWS, width: WIDTH };
    return await PackedMatrix.load(packedKernels()!, source, Q8_0.format);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { linearCrossEntropy } from '../../src-main/engine/cross-entropy.ts';
import { frozenProduct, packedKernels } from '../../src-main/engine/frozen.ts';
import { withIntegerProducts } from '../../src-main/engine/integer-product.ts';
import { type PackedKernels, PackedMatrix } from '../../src-main/engine/packed.ts';
import { MOST_UNPACKED } from '../../src-main/engine/product-in-pieces.ts';
import { wordsAtATime } from '../../src-main/engine/loss-in-pieces.ts';
import { dequantize } from '../../src-main/models/gguf/dequantize.ts';
import { GGML_TYPES } from '../../src-main/models/gguf/types.ts';
import { largestDifference } from '../models/support.ts';
import { cpuKernels } from '../support/cpu-kernels.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';
import { temporary } from '../trainer/support.ts';

let ofCpu: PackedKernels;
beforeAll(async () => void (ofCpu = cpuKernels(await openGpuConfiguration())));

/** So large a head that products and losses take it in pieces, the last of them smaller. */
const [VOCABULARY, WIDTH, TOKENS] = [300_000, 256, 3];
const LABELS = Int32Array.of(5, -1, VOCABULARY - 1);

/** In Q4_0, with scales so that the largest logits are far from the others and lie in different pieces. */
async function head(kernels = packedKernels()!) {
  const { bytes, block, id } = GGML_TYPES.q4_0;
  const blocks = (VOCABULARY * WIDTH) / block;
  const data = new Uint8Array(blocks * bytes);
  for (let i = 0; i < data.length; i++) data[i] = Math.imul(i, 2654435761) >>> 24;
  const perRow = WIDTH / block;
  for (let n = 0; n < blocks; n++) {
    const row = Math.floor(n / perRow);
    // 2^-9 and 2^-8 as halves; a row in each of four pieces has 2^-6
    data.set([0, row % 70_001 === 70_000 ? 0x24 : 0x18 + 4 * (n % 2)], n * bytes);
  }
  const file = path.join(temporary('large-head'), 'head.bin');
  fs.writeFileSync(file, data);
  const source = { path: file, offset: 0, format: id, rows: VOCABULARY, width: WIDTH };
  return { weight: await PackedMatrix.load(kernels, source, id), values: dequantize(data, 'q4_0') };
}

const wave = (length: number, pace: number) => Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * pace));

/** The same in plain JavaScript: logits, dy W, the loss and its gradient to x, log p of the labels. */
function expectedOf(x: Float32Array, dy: Float32Array, w: Float32Array) {
  const logits = new Float32Array(TOKENS * VOCABULARY);
  const back = new Float32Array(TOKENS * WIDTH);
  const dx = new Float32Array(TOKENS * WIDTH);
  const own = new Float32Array(TOKENS);
  const into = (sums: Float64Array, factor: number, row: number) => {
    for (let k = 0; k < WIDTH; k++) sums[k]! += factor * w[row * WIDTH + k]!;
  };
  let loss = 0;
  for (let token = 0; token < TOKENS; token++) {
    const ofToken = new Float64Array(VOCABULARY);
    const [gradient, turned] = [new Float64Array(WIDTH), new Float64Array(WIDTH)];
    for (let row = 0; row < VOCABULARY; row++) {
      for (let k = 0; k < WIDTH; k++) ofToken[row]! += x[token * WIDTH + k]! * w[row * WIDTH + k]!;
      into(turned, dy[token * VOCABULARY + row]!, row);
    }
    logits.set(ofToken, token * VOCABULARY);
    back.set(turned, token * WIDTH);
    const label = LABELS[token]!;
    if (label < 0) continue;
    const largest = ofToken.reduce((most, value) => Math.max(most, value));
    const total = ofToken.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    own[token] = ofToken[label]! - largest - Math.log(total);
    loss -= own[token]!;
    ofToken.forEach((value, row) => into(gradient, Math.exp(value - largest) / total - (row === label ? 1 : 0), row));
    dx.set(gradient, token * WIDTH);
  }
  return [logits, back, Float32Array.of(loss), dx, own];
}

it('a head that is unpacked in pieces has the numbers of the whole: in products, the loss and log p', async () => {
  const { weight, values } = await head();
  expect(VOCABULARY * WIDTH).toBeGreaterThan(MOST_UNPACKED);
  expect(VOCABULARY / wordsAtATime(TOKENS, weight.shape)).toBeGreaterThan(4);
  const given = [wave(TOKENS * WIDTH, 0.7), wave(TOKENS * VOCABULARY, 1.3), LABELS] as const;
  const expected = expectedOf(given[0], given[1], values);
  const [x, dy] = [tf.tensor2d(given[0], [TOKENS, WIDTH]), tf.tensor2d(given[1], [TOKENS, VOCABULARY])];
  const labels = tf.tensor1d(given[2], 'int32');
  const loss = (input: tf.Tensor) => linearCrossEntropy(input as tf.Tensor2D, weight, true, labels);
  const all = () => [
    frozenProduct(x, weight),
    tf.grad((input) => frozenProduct(input as tf.Tensor2D, weight))(x, dy),
    loss(x),
    tf.grad(loss)(x),
    packedKernels()!.logProbabilities(x, weight, labels),
  ];
  const eager = all().map((tensor) => tensor.dataSync() as Float32Array);
  const graph = await stepCompiler()!.compile({
    ...{ feeds: [x, dy, labels], state: [], precision: 'f32', owner: weight },
    step: () => ({ outputs: all(), updates: [] }),
  });
  const compiled = await graph.run([...given]);
  expected.forEach((wanted, i) => {
    expect(largestDifference(eager[i]!, wanted), `eager ${i}`).toBeLessThan(1e-4);
    expect(largestDifference(compiled[i]!, wanted), `compiled ${i}`).toBeLessThan(1e-4);
  });
});

it('has in integers, too, the numbers that the processor’s kernels have of the whole', async () => {
  const [x, dy] = [tf.tensor2d(wave(TOKENS * WIDTH, 0.7), [TOKENS, WIDTH]), tf.tensor2d(wave(TOKENS * VOCABULARY, 1.3), [TOKENS, VOCABULARY])]; // prettier-ignore
  const labels = tf.tensor1d(LABELS, 'int32');
  const { weight: theirs } = await head(ofCpu);
  const expected = [
    ofCpu.integerProduct(x, theirs, false),
    ofCpu.integerProduct(dy, theirs, true),
    ...ofCpu.integerLoss(x, theirs, labels),
  ];
  const { weight } = await head();
  const product = (input: tf.Tensor) => frozenProduct(input as tf.Tensor2D, weight);
  const loss = (input: tf.Tensor) => linearCrossEntropy(input as tf.Tensor2D, weight, true, labels);
  const ours = withIntegerProducts(() => [product(x), tf.grad(product)(x, dy), loss(x), tf.grad(loss)(x)]);
  ours.forEach((tensor, i) =>
    expect(largestDifference(tensor.dataSync(), expected[i]!.dataSync()), `${i}`).toBeLessThan(i < 3 ? 1e-5 : 1e-3),
  );
  [weight, theirs].forEach((each) => each.dispose());
});

it('takes so few words at a time that neither their rows nor all tokens’ logits fill memory', () => {
  // Qwen2.5-7B's head, of 545 million numbers, and a long batch's tokens.
  const words = wordsAtATime(2048, [152_064, 3584]);
  expect([words * 3584, words * 2048].every((numbers) => numbers <= 2 ** 24)).toBe(true);
  expect(wordsAtATime(65_536, [152_064, 3584]) * 65_536).toBeLessThanOrEqual(2 ** 24);
  // Few tokens of a small one: all at once.
  expect(wordsAtATime(8, [4096, 64])).toBe(4096);
});

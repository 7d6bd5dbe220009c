// One product with a frozen matrix of SmolLM2-135M's, in a process of its own: in integers and in f32, in turn. Reads one JSON line of
// options, answers "run N" lines with the best seconds of N calls each.
import { createInterface } from 'node:readline';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { packedKernels } from '../../src-main/engine/frozen.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import type { PackedMatrix } from '../../src-main/engine/packed.ts';
import { loadCausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';

export interface ProductAnswer {
  products: { name: string; gigaflops: number; f32: number; int8: number }[];
}

const TOKENS = 1024;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { threads } = JSON.parse((await lines.next()).value as string) as { threads: number };
process.env.OMP_NUM_THREADS = String(threads);
await openEngine('tensorflow');
const file = await openTextModel(await resolveModel('smollm2-135m'));
const { weights } = await loadCausalLM(file);
const matrix = weights.layers[0]!.linears.gate_proj.weight as PackedMatrix;
const { product, integerProduct } = packedKernels()!;
const [rows, width] = matrix.shape;
const directions = [width, rows].map((inner, i) => ({
  x: tf.randomNormal<tf.Rank.R2>([TOKENS, inner]),
  gradient: i === 1,
  name: `${TOKENS} x ${inner} by ${inner} x ${i === 1 ? width : rows}, weights in Q4_1${i === 1 ? ' turned round' : ''}`,
}));

/** Seconds of a call. */
function timed(run: () => Tensor2D): number {
  const begun = performance.now();
  run().dispose();
  return (performance.now() - begun) / 1000;
}

for await (const line of lines) {
  const calls = Number(line.split(' ')[1]);
  const products = directions.map(({ x, gradient, name }) => {
    const seconds = { f32: Infinity, int8: Infinity };
    for (let call = 0; call < calls; call++) {
      seconds.f32 = Math.min(
        seconds.f32,
        timed(() => product(x, matrix, gradient)),
      );
      seconds.int8 = Math.min(
        seconds.int8,
        timed(() => integerProduct!(x, matrix, gradient)),
      );
    }
    return { name, gigaflops: (2 * TOKENS * rows * width) / 1e9, ...seconds };
  });
  process.stdout.write(`${JSON.stringify({ products })}\n`);
}
process.exit(0);

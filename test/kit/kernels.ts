// The kernels' speeds on the machine's GPU, and what it does at most, in a process of its own. Writes a line of JSON for each.
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedKernels, type FusedKernels } from '../../src-main/engine/fused-kernels.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { bytesOfRows, WEIGHT_FORMATS, type WeightFormat } from '../../src-main/engine/weight-formats.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { empty } from '../../src-main/engine/webgpu/kernel.ts';
import { frozenProduct, frozenProductGrad, type FrozenMatrix } from '../../src-main/engine/webgpu/kernels/frozen.ts';
import { frozenIntegerProduct } from '../../src-main/engine/webgpu/kernels/integer-product.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { limits, secondsOf, type Limit } from './limits.ts';

/** How fast a kernel is. */
export interface KernelRow {
  kernel: string;
  /** which of the device's limits it can reach at best */
  limit: Limit['limit'];
  /** 10^9 a second: of f32, f16 and int8 operations that its result takes, of bytes that go in and out */
  perSecond: number;
  /** of that limit */
  share: number;
  seconds: number;
}

/** What is measured: its name, what bounds it, how much of that it takes, and what does it once. */
interface Trial {
  kernel: string;
  limit: Limit['limit'];
  amount: number;
  once: () => void;
}

const matrixOf = (backend: Backend, format: WeightFormat, rows: number, columns: number): FrozenMatrix => {
  const words = bytesOfRows(format, rows, columns) / 4;
  const tensor = empty(backend, [words], format === 'f32' ? 'float32' : 'int32');
  return { format, rows, columns, parts: [{ tensor, start: 0, rows }] };
};

/** x W^T in every format, in every kind of numbers, and dy W. */
function* products(
  backend: Backend,
  formats: readonly WeightFormat[],
  [tokens, rows, columns]: [number, number, number],
): Generator<Trial> {
  const [x, y] = [empty<Tensor2D>(backend, [tokens, columns]), empty<Tensor2D>(backend, [tokens, rows])];
  const amount = 2 * tokens * rows * columns;
  for (const format of formats) {
    const matrix = matrixOf(backend, format, rows, columns);
    const named = (what: string) => `${what}, W ${format} [${rows}, ${columns}], ${tokens} tokens`;
    yield { kernel: named('x W^T'), limit: 'f32', amount, once: () => frozenProduct(backend, x, matrix, y) };
    yield { kernel: named('dy W'), limit: 'f32', amount, once: () => frozenProductGrad(backend, y, matrix, x) };
    if (backend.opened.has('shader-f16'))
      yield { kernel: named('x W^T in f16'), limit: 'f16', amount, once: () => inHalf(backend, () => frozenProduct(backend, x, matrix, y)) }; // prettier-ignore
    yield { kernel: named('x W^T in integers'), limit: 'int8', amount, once: () => frozenIntegerProduct(backend, x, matrix, y) }; // prettier-ignore
    tf.dispose(matrix.parts.map(({ tensor }) => tensor as Tensor));
  }
  tf.dispose([x, y]);
}

function inHalf(backend: Backend, once: () => void): void {
  backend.half = true;
  once();
  backend.half = false;
}

/** Attention of 64 numbers a head, four queries' heads to a key's; forward two products of each pair, backward five. */
function* attention(backend: Backend, kernels: FusedKernels, length: number, heads: number): Generator<Trial> {
  const options = { length, heads, keyValueHeads: heads / 4, scale: 64 ** -0.5 };
  const wide = (of: number) => empty<Tensor2D>(backend, [length, of * 64]);
  const [q, k, v, dy] = [wide(heads), wide(heads / 4), wide(heads / 4), wide(heads)] as const;
  const segments = tf.zeros([length], 'int32') as Tensor1D;
  const [out, sums] = kernels.attention(q, k, v, segments, options);
  const product = heads * length * length * 64; // a query sees half of the keys
  const named = (what: string) => `attention ${what}, ${length} tokens, ${heads} heads of 64`;
  const forward = () => tf.dispose(kernels.attention(q, k, v, segments, options));
  yield { kernel: named('forward'), limit: 'f32', amount: 2 * product, once: forward };
  const backward = () => tf.dispose(kernels.attentionGrad([q, k, v, segments, out, sums], dy, options));
  yield { kernel: named('backward'), limit: 'f32', amount: 5 * product, once: backward };
  tf.dispose([q, k, v, dy, segments, out, sums]);
}

/** What goes through its numbers once: bytes in and out. */
function* passes(backend: Backend, kernels: FusedKernels, tokens: number, width: number): Generator<Trial> {
  const [x, up] = [empty<Tensor2D>(backend, [tokens, width]), empty<Tensor2D>(backend, [tokens, width])];
  const weight = tf.ones([width]) as Tensor1D;
  const tables = [0, 1].map(() => empty<Tensor2D>(backend, [tokens, 32])) as [Tensor2D, Tensor2D];
  const bytes = 4 * tokens * width;
  const named = (what: string) => `${what} of [${tokens}, ${width}]`;
  const trial = (what: string, amount: number, make: () => Tensor | Tensor[]): Trial => ({
    ...{ kernel: named(what), limit: 'bytes', amount, once: () => tf.dispose(make()) },
  });
  yield trial('RMSNorm', 2 * bytes, () => kernels.rmsNorm(x, weight, 1e-5));
  yield trial('RMSNorm backward', 3 * bytes, () => kernels.rmsNormGrad(up, x, weight, 1e-5));
  yield trial('RoPE', 2 * bytes, () => kernels.rotary(x, ...tables, width / 64, 1));
  yield trial('SwiGLU', 3 * bytes, () => kernels.gated(x, up, 'silu'));
  yield trial('SwiGLU backward', 5 * bytes, () => kernels.gatedGrad(x, x, up, 'silu'));
  tf.dispose([x, up, weight, ...tables]);
}

await openEngine('webgpu');
const backend = await openWebgpu();
const small = process.argv.includes('--small');
const slow = small || backend.opened.found.software;
const tell = (line: Limit | KernelRow) => process.stdout.write(`${JSON.stringify(line)}\n`);
const most = new Map<Limit['limit'], number>();
for await (const limit of limits(backend, slow)) {
  most.set(limit.limit, limit.perSecond);
  tell(limit);
}
const kernels = fusedKernels()!;
function* trials() {
  yield* products(backend, small ? ['f32', 'q4_0'] : WEIGHT_FORMATS, slow ? [64, 256, 256] : [1024, 4096, 4096]);
  yield* attention(backend, kernels, slow ? 128 : 2048, slow ? 4 : 32);
  yield* passes(backend, kernels, slow ? 256 : 4096, slow ? 256 : 4096);
}
for (const { kernel, limit, amount, once } of trials()) {
  const seconds = await secondsOf(backend, slow, once);
  const perSecond = (1e-9 * amount) / seconds;
  tell({ kernel, limit, perSecond, share: perSecond / most.get(limit)!, seconds });
}
if (backend.opened.log.length > 0) throw new Error(`Dawn said: ${backend.opened.log[0]}`);
process.exit(0);

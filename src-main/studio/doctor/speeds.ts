import * as tf from '@tensorflow/tfjs-core';

/** How fast an engine is on its device. */
export interface Speeds {
  /** 10^9 floating-point operations a second of an f32 product */
  productGflops: number;
  /** 10^9 bytes a second through memory, of a sum of two tensors that no cache holds */
  bandwidthGBs: number;
}

/** Edge of the product's matrices, and numbers of the sum: so large that a device is busy, so small that it fits and ends. */
const SIZES = {
  gpu: { edge: 4096, numbers: 2 ** 25 },
  cpu: { edge: 1024, numbers: 2 ** 24 },
  /** software adapters, WebAssembly, JavaScript */
  slow: { edge: 256, numbers: 2 ** 20 },
};
/** One measurement repeats its operation for about so long, within so many times. */
const SECONDS = 0.3;
const MOST_REPEATS = 100;

/** Measures the engine in use. */
export async function measureSpeeds(onGpu: boolean, slow: boolean): Promise<Speeds> {
  const { edge, numbers } = SIZES[slow ? 'slow' : onGpu ? 'gpu' : 'cpu'];
  const square = () => tf.randomUniform<tf.Rank.R2>([edge, edge], -1, 1, 'float32', 1);
  const [a, b] = [square(), square()];
  const product = await secondsOf(() => tf.matMul(a, b));
  tf.dispose([a, b]);
  const [x, y] = [tf.ones([numbers]), tf.ones([numbers])];
  const sum = await secondsOf(() => tf.add(x, y));
  tf.dispose([x, y]);
  // two read, one written
  return { productGflops: (2 * edge ** 3) / product / 1e9, bandwidthGBs: (3 * 4 * numbers) / sum / 1e9 };
}

/** Of one of many operations, which run one after the other and end when the last one's result can be read. */
async function secondsOf(operation: () => tf.Tensor): Promise<number> {
  const run = async (times: number) => {
    const begun = performance.now();
    for (let n = 1; n < times; n++) operation().dispose();
    const last = tf.tidy(() => tf.slice(tf.reshape(operation(), [-1]), 0, 1));
    await last.data();
    last.dispose();
    return (performance.now() - begun) / 1000 / times;
  };
  await run(1); // compiles, takes memory
  const once = await run(1);
  return run(Math.min(MOST_REPEATS, Math.max(2, Math.ceil(SECONDS / once))));
}

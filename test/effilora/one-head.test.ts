import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { uniform } from '../../src-main/effilora/random.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { options, sites } from './support.ts';

const [TOKENS, WIDTH] = [5, 6];
const SITES = ['q_proj', 'v_proj'];
const OUT: Record<string, number> = { q_proj: 6, v_proj: 4 };
const drawn = (name: string, ...shape: [number, number]) =>
  tf.tensor2d(uniform(3, name, shape[0] * shape[1], -1, 1), shape);
const noWeight = () => {
  throw new Error('the frozen weight is for DoRA only');
};

async function adapterOff(): Promise<Adapter> {
  const adapter = new Adapter(sites, options({ heads: 1, targets: SITES }), 1);
  adapter.import((await adapter.export()).map((t) => ({ ...t, data: uniform(2, t.name, t.data.length, -1, 1) })));
  adapter.step = {
    active: sites.map(() => tf.ones<tf.Rank.R1>([1])),
    shareWeight: tf.tensor2d([0.1, 0.2, 0, 0.3, 0.4], [TOKENS, 1]),
  };
  return adapter;
}

describe('sites with one head that read the same x', () => {
  beforeAll(async () => void (await openEngine('cpu')));

  it('have the gradients of the formula with its softmax, and one product with A', async () => {
    const adapter = await adapterOff();
    const x = tf.variable(drawn('x', TOKENS, WIDTH));
    const directions = SITES.map((site) => drawn(`direction ${site}`, TOKENS, OUT[site]!));
    const lossOf = (outputs: Tensor2D[]) =>
      tf.addN(outputs.map((y, i) => tf.sum(tf.mul(y, directions[i]!)))) as tf.Scalar;

    const adapted = () => {
      const parameters = adapter.parameters(1);
      return lossOf(SITES.map((site) => adapter.apply({ block: 1, site }, x, tf.zeros([TOKENS, OUT[site]!]), parameters, noWeight))); // prettier-ignore
    };
    const named = new Map(adapter.tensors.map(({ name, variable }) => [name, variable as unknown as Tensor2D]));
    const formula = () =>
      lossOf(
        SITES.map((site) => {
          const h = tf.matMul(x, named.get('shared.A.6')!, false, true);
          const omega = tf.softmax(tf.matMul(x, named.get(`layers.1.${site}.router`)!, false, true));
          return tf.mul(tf.matMul(tf.mul(omega, h), named.get(`layers.1.${site}.B`)!), 2) as Tensor2D;
        }),
      );

    const all = [x, ...adapter.trainables.map(({ variable }) => variable)];
    const ours = tf.variableGrads(adapted, [...all, ...adapter.taps]);
    const theirs = tf.variableGrads(formula, all);
    expect(ours.value.dataSync()[0]).toBeCloseTo(theirs.value.dataSync()[0]!, 5);
    const reached = all.filter(({ name }) => theirs.grads[name]);
    expect(reached).toHaveLength(1 + 1 + 2 * SITES.length); // x, A, and of each site B and the router
    for (const { name } of reached) {
      const wanted = theirs.grads[name]!.dataSync();
      ours.grads[name]!.dataSync().forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 5));
    }
    // the share of a single head is all of what is weighed
    const shares = adapter.taps.flatMap(({ name }) => [...(ours.grads[name]?.dataSync() ?? [])]);
    expect(shares).toHaveLength(SITES.length);
    for (const share of shares) expect(share).toBeCloseTo(1, 6);

    const { kernels } = await tf.profile(() => void adapted());
    const withA = kernels.filter(({ inputShapes }) => JSON.stringify(inputShapes.slice(0, 2)) === '[[5,6],[2,6]]');
    expect(withA).toHaveLength(1);
    adapter.dispose();
  });
});

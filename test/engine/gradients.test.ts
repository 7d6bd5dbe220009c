import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';

/** x, and what is told when its gradient passes. */
const passing = (x: Tensor, told: () => void) =>
  tf.customGrad((input) => ({
    value: tf.clone(input as Tensor),
    gradFunc: (dy: Tensor) => {
      told();
      return tf.clone(dy);
    },
  }))(x);

describe('a pass backward', () => {
  beforeAll(async () => void (await openEngine('cpu')));

  it('frees what it has used as it goes', () => {
    const depth = 30;
    const tensors = { end: 0, start: 0 };
    const x = tf.tensor1d([0.1, -0.2, 0.3]);
    const before = tf.memory().numTensors;
    const gradient = tf.grad((input) => {
      let y = passing(input, () => (tensors.start = tf.memory().numTensors));
      for (let n = 0; n < depth; n++) y = tf.square(tf.sin(y)); // saves both inputs
      return tf.sum(passing(y, () => (tensors.end = tf.memory().numTensors)));
    })(x);
    expect(tensors.end - before).toBeGreaterThan(2 * depth);
    // the outputs themselves tfjs keeps
    expect(tensors.end - tensors.start).toBeGreaterThan(2 * depth - 5);
    tf.dispose([x, gradient]);
    expect(tf.memory().numTensors).toBe(before - 1);
  });

  it('repeats what sums and means are given, along what was summed', () => {
    const x = tf.ones([2, 3, 2]);
    const dy = tf.tensor2d([1, 2, 3, 4], [2, 2]);
    const along = [1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4];
    const of = (f: (input: Tensor) => Tensor, upstream: Tensor) => Array.from(tf.grad(f)(x, upstream).dataSync());
    expect(of((input) => tf.sum(input, 1), dy)).toEqual(along);
    expect(of((input) => tf.sum(input, -2, true), tf.reshape(dy, [2, 1, 2]))).toEqual(along);
    of((input) => tf.mean(input, [1]), dy).forEach((value, i) => expect(value).toBeCloseTo(along[i]! / 3, 6));
    expect(of((input) => tf.sum(input), tf.scalar(5))).toEqual(Array.from({ length: 12 }, () => 5));
  });

  it('keeps gradients apart that a function gives as one tensor, and its own upstream', () => {
    const add = tf.customGrad((...args) => {
      const [a, b] = args as Tensor[];
      return { value: tf.add(a!, b!), gradFunc: (dy: Tensor) => [dy, dy] };
    });
    const kept = tf.customGrad((...args) => {
      const [a, save] = args as unknown as [Tensor, tf.GradSaveFunc];
      save([a]);
      return { value: tf.mul(tf.square(a), 0.5), gradFunc: (_: Tensor, saved: Tensor[]) => saved[0]! }; // upstream is 1
    });
    const dy = tf.tensor1d([1, 10]);
    const [a, b] = [tf.tensor1d([2, 3]), tf.tensor1d([5, 7])];
    // f = 3a + b^2 with both parts' gradients out of one tensor
    const [da, db] = tf.grads((p, q) => add(tf.mul(p!, 3), tf.square(q!)))([a, b], dy);
    expect([...da!.dataSync(), ...db!.dataSync()]).toEqual([3, 30, 10, 140]);
    const dKept = tf.grad((p) => tf.sum(kept(tf.mul(p, 2))))(a);
    expect([...dKept.dataSync()]).toEqual([8, 12]); // of (2a)^2 / 2
    expect([...dy.dataSync()]).toEqual([1, 10]);
    expect(dy.isDisposed).toBe(false);
  });

  it('of a pass backward still works', () => {
    const cube = (x: Tensor) => tf.mul(tf.square(x), x);
    const second = tf.grad((x) => tf.sum(tf.grad(cube)(x)));
    expect([...second(tf.tensor1d([1, -2])).dataSync()]).toEqual([6, -12]);
  });
});

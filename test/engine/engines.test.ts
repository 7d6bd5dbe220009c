import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { chooseEngine, listEngines, openEngine } from '../../src-main/engine/index.ts';
import type { EngineName } from '../../src-main/engine/types.ts';

describe('engines', () => {
  it('are listed with device, memory, versions and a reason each', async () => {
    const engines = await listEngines();
    expect(engines.map(({ name }) => name)).toEqual(expect.arrayContaining(['tensorflow', 'webgpu', 'wasm', 'cpu']));
    for (const engine of engines) {
      expect(engine.device).not.toBe('');
      if (engine.available) expect(engine.memoryBytes).toBeGreaterThan(2 ** 28);
      expect(Object.values(engine.versions).every((version) => /^\d+\./.test(version))).toBe(true);
      expect(engine.reason).toMatch(/^[A-Z].{10,}/);
    }
  });

  it('auto takes the first available and says so', async () => {
    const first = (await listEngines()).find(({ available }) => available)!;
    const chosen = await chooseEngine();
    expect(chosen.name).toBe(first.name);
    expect(chosen.reason).toContain('Chosen');
  });

  it('an unknown one is refused with those there are', async () => {
    await expect(openEngine('quantum' as EngineName)).rejects.toThrow(/"quantum" does not exist here; choose/);
  });

  // By hand: f = sum(sigmoid(w x)^2), w x = (1, -2); df/dw = 2 s^2 (1 - s) x.
  it.each<EngineName>(['tensorflow', 'wasm', 'cpu'])(
    '%s gives a value and a gradient worked out by hand',
    async (name) => {
      await openEngine(name);
      const s = [1, -2].map((z) => 1 / (1 + Math.exp(-z)));
      const { value, grad } = tf.tidy(() => {
        const x = tf.tensor2d([[1], [2]]);
        return tf.valueAndGrad((w: tf.Tensor) => tf.sum(tf.square(tf.sigmoid(tf.matMul(w as tf.Tensor2D, x)))))(
        tf.tensor2d([[-1, 1], [0, -1]]),
      ); // prettier-ignore
      });
      expect(value.dataSync()[0]).toBeCloseTo(s[0]! ** 2 + s[1]! ** 2, 5);
      const slope = s.map((v) => 2 * v * v * (1 - v));
      const expected = [slope[0]!, 2 * slope[0]!, slope[1]!, 2 * slope[1]!];
      grad.dataSync().forEach((g, i) => expect(g).toBeCloseTo(expected[i]!, 5));
      tf.dispose([value, grad]);
    },
  );
});

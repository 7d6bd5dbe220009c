import path from 'node:path';
import { expect, it } from 'vitest';
import { packagesOf, runPython } from '../../support/python.ts';

const here = import.meta.dirname;
const training = path.join(here, '../../../resources/diffusion-default/training');

it('the default text-to-image model trains on in the same numbers after a kill, and diffusers draws with what it writes', async () => {
  // A checkpoint a step and one at the autoencoder's end: the fifth is of the second stage's first step.
  const packages = await packagesOf('requirements-diffusers.txt');
  const told = JSON.parse(await runPython(path.join(here, 'default_training.py'), [training, '5'], packages)) as Record<string, number>; // prettier-ignore
  const { difference, spread, mean, deviation, folded, said, kid, kidByHand, ...rest } = told;
  // "dog" is one of the cut vocabulary's merges, "a" one of its letters.
  expect(rest).toEqual({
    ...{ resumedAt: [1, 1], different: [], unmoved: [], sheets: ['diffusion-000002.png', 'vae-000002.png'] },
    ...{ tokens: 8192, ids: [8190, 256 + 64, 513, 8191] },
  });
  expect(spread).toBeGreaterThan(0.01);
  expect(difference).toBeLessThan(1e-4);
  // What the style is measured by: batch norms folded in half precision, and the distance of two sets of features.
  expect(folded).toBeLessThan(0.01 * said!);
  expect(kid).toBeCloseTo(kidByHand!, 4);
  // Of the latents that the second stage learns from.
  expect(Math.abs(mean!)).toBeLessThan(0.5);
  expect(deviation).toBeGreaterThan(0.5);
  expect(deviation).toBeLessThan(1.5);
});
